// The score axis: a histogram of held-out ID images, the threshold, and this image's score before and
// after pruning.

import { isReact, withoutReact } from "../state/overrides.js";
import { nameOf } from "../state/scores.js";
import { svg } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { chart, label, type Scale, scale, ticks } from "./frame.js";
import { paddedRange, type Range, shares } from "./histogram.js";
import type { Detection } from "itp-ood";

/** Data of the axis. */
export interface AxisData {
  result: Detection;
  idScores: Float32Array | undefined;
}

/** Whether a score is the energy of changed features or weights, and so compares with that before the change. */
function comparesWithEnergy({ scoreName, energies }: Detection): boolean {
  const base = withoutReact(scoreName);
  return (energies !== undefined && base in energies) || (base === "energy" && isReact(scoreName));
}

/** Adds the axis to `container`; the returned function redraws it. */
export function axisChart(container: HTMLElement, data: () => AxisData | undefined, { small = false } = {}): () => void {
  // The range only grows while a slider is dragged, so that the axis stays still.
  let previous: { score: string; idCount: number; range: Range } | undefined;
  return chart(
    container,
    () => (small ? 108 : 200),
    ({ svg: root, width, height }) => {
      const shown = data();
      if (!shown) return undefined;
      const { result, idScores } = shown;
      const name = result.scoreName;
      const before = comparesWithEnergy(result) ? result.unprunedScore : undefined;
      const marks = [
        result.score,
        ...(before === undefined ? [] : [before]),
        ...(result.threshold === undefined ? [] : [result.threshold]),
      ];
      const range = paddedRange(idScores ?? [], marks);
      const idCount = idScores?.length ?? 0;
      if (previous?.score === name && previous.idCount === idCount) {
        const [low, high] = previous.range;
        // Unless it has become much too wide.
        if (high - low < 2 * (range[1] - range[0])) range.splice(0, 2, Math.min(low, range[0]), Math.max(high, range[1]));
      }
      previous = { score: name, idCount, range };
      const side = 14;
      const bottom = height - (small ? 22 : 40);
      const top = small ? 40 : 62;
      const x = scale(range, [side, width - side]);
      if (idScores) drawHistogram(root, shares(idScores, range, small ? 32 : 48), x, top, bottom);
      drawTicks(root, x, width, bottom);
      if (!small)
        root.append(label(`${nameOf(name)} score: higher is more in-distribution`, width / 2, height - 4, "axis-title", "middle"));
      if (result.threshold !== undefined) drawThreshold(root, x(result.threshold), result.threshold, bottom, width);
      drawImageMarks(root, { score: result.score, before, threshold: result.threshold, x, width, bottom, inside: result.inDistribution });
      return describe(result, idScores, before);
    },
  );
}

function drawHistogram(root: SVGSVGElement, bars: number[], x: Scale, top: number, bottom: number): void {
  const tallest = Math.max(...bars, 1e-9);
  const [left = 0, right = 0] = x.range();
  const wide = (right - left) / bars.length;
  bars.forEach((share, i) => {
    const tall = (share / tallest) * (bottom - top);
    if (tall > 0)
      root.append(
        svg("rect", { x: left + i * wide + 0.5, y: bottom - tall, width: Math.max(1, wide - 1), height: tall, class: "bar-id", rx: 1 }),
      );
  });
}

function drawTicks(root: SVGSVGElement, x: Scale, width: number, bottom: number): void {
  const [left = 0, right = 0] = x.range();
  root.append(svg("line", { x1: left, x2: right, y1: bottom + 0.5, y2: bottom + 0.5, class: "axis-line" }));
  for (const { value, text } of ticks(x, width, 3)) root.append(label(text, x(value), bottom + 16, "tick", "middle"));
}

function drawThreshold(root: SVGSVGElement, at: number, value: number, bottom: number, width: number): void {
  root.append(svg("line", { x1: at, x2: at, y1: 20, y2: bottom, class: "threshold" }));
  const text = `threshold ${decimal(value)}`;
  const room = text.length * 6.4;
  const anchor = at + room / 2 > width - 4 ? "end" : at - room / 2 < 4 ? "start" : "middle";
  root.append(
    label(
      text,
      anchor === "end" ? Math.min(at + 4, width - 4) : anchor === "start" ? Math.max(at - 4, 4) : at,
      13,
      "threshold-text",
      anchor,
    ),
  );
}

interface Mark {
  score: number;
  before: number | undefined;
  threshold: number | undefined;
  x: Scale;
  width: number;
  bottom: number;
  inside: boolean | undefined;
}

function drawImageMarks(root: SVGSVGElement, { score, before, threshold, x, width, bottom, inside }: Mark): void {
  const y = 32;
  const at = x(score);
  const kind = inside === undefined ? "mark-none" : inside ? "mark-in" : "mark-out";
  if (before !== undefined) {
    const from = x(before);
    if (Math.abs(from - at) > 10) {
      const way = Math.sign(at - from);
      root.append(svg("line", { x1: from + way * 6, x2: at - way * 9, y1: y, y2: y, class: "move" }));
    }
    root.append(svg("circle", { cx: from, cy: y, r: 5, class: "mark-before" }));
    // Its name stands above it, unless it would meet the threshold's.
    const isApart = Math.abs(from - at) > 24 && (threshold === undefined || Math.abs(from - x(threshold)) > 90);
    if (isApart) root.append(label("unpruned", Math.max(30, Math.min(width - 30, from)), y - 11, "tick halo", "middle"));
  }
  root.append(svg("line", { x1: at, x2: at, y1: y + 8, y2: bottom, class: `stem ${kind}` }));
  root.append(
    svg("path", {
      d: inside === false ? `M${at} ${y - 8}l8 14h-16Z` : `M${at} ${y - 7.5}l7.5 7.5-7.5 7.5-7.5-7.5Z`,
      class: `mark ${kind}`,
    }),
  );
  // Beside the marks, where it fits without crossing the threshold; otherwise below them.
  const text = `this image ${decimal(score)}`;
  const room = text.length * 7.5;
  const sides = [-1, 1].map((way) => {
    const beyond = before === undefined ? 0 : way * (x(before) - at);
    const start = at + way * (beyond > 0 ? Math.max(13, beyond + 11) : 13);
    const end = start + way * room;
    const crossed = threshold !== undefined && (x(threshold) - start) * (x(threshold) - end) < 0;
    return { way, start, fits: end > 4 && end < width - 4, crossed };
  });
  const fitting = sides.filter(({ fits }) => fits);
  const side = fitting.find(({ crossed }) => !crossed) ?? fitting[0];
  if (side) root.append(label(text, side.start, y + 4.5, "mark-text halo", side.way < 0 ? "end" : "start"));
  else root.append(label(text, at + (at > width / 2 ? -13 : 13), y + 21, "mark-text halo", at > width / 2 ? "end" : "start"));
}

function describe(result: Detection, idScores: Float32Array | undefined, before: number | undefined): string {
  const parts = [`The image's ${nameOf(result.scoreName)} score is ${decimal(result.score)}`];
  if (before !== undefined) parts.push(`before pruning it is ${decimal(before)}`);
  if (result.threshold !== undefined) parts.push(`the threshold is ${decimal(result.threshold)}`);
  if (idScores?.length)
    parts.push(
      `${idScores.length} held-out ID images score from ${decimal(idScores[0] as number)} to ${decimal(idScores[idScores.length - 1] as number)}`,
    );
  return `${parts.join("; ")}.`;
}
