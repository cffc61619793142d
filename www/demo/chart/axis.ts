// The score axis: held-out familiar pictures as a histogram, the threshold, and this picture
// before and after pruning.

import type { Detection } from "itp-ood";
import { svg } from "../ui/dom.js";
import { decimal, tickLabel, ticks } from "../ui/format.js";
import { nameOf } from "../state/overrides.js";
import { bins, rangeOf } from "./bins.js";
import { chart, label, scale } from "./frame.js";

/** What the axis shows. */
export interface AxisData {
  result: Detection;
  idScores: Float32Array | undefined;
}

/** Scores on the scale of energy, with which the score before pruning can be compared. */
const ENERGIES = new Set(["energy", "crp", "ftp", "itp", "react", "itp+react"]);

/** Draws the axis into `place`; the result draws it again. */
export function axisChart(place: HTMLElement, data: () => AxisData | undefined, { small = false } = {}): () => void {
  // The range only grows while a setting is dragged, so that the axis does not tremble.
  let held: { score: string; ids: number; range: [number, number] } | undefined;
  return chart(
    place,
    () => (small ? 108 : 200),
    ({ svg: root, width, height }) => {
      const shown = data();
      if (!shown) return undefined;
      const { result, idScores } = shown;
      const name = result.scoreName;
      const before = ENERGIES.has(name) && name !== "energy" ? result.unprunedScore : undefined;
      const marks = [result.score, ...(before === undefined ? [] : [before]), ...(result.threshold === undefined ? [] : [result.threshold])];
      const range = rangeOf(idScores ?? [], marks);
      if (held?.score === name && held.ids === (idScores?.length ?? 0)) {
        const [low, high] = held.range;
        // Unless it has become far too wide.
        if (high - low < 2 * (range[1] - range[0])) range.splice(0, 2, Math.min(low, range[0]), Math.max(high, range[1]));
      }
      held = { score: name, ids: idScores?.length ?? 0, range };
      const side = 14;
      const bottom = height - (small ? 22 : 40);
      const top = small ? 40 : 62;
      const x = scale(range, [side, width - side]);
      if (idScores) drawHistogram(root, bins(idScores, ...range, small ? 32 : 48), x, range, top, bottom);
      drawScale(root, range, x, side, width, bottom);
      if (!small) root.append(label(`${nameOf(name)} score: to the right, more like the training pictures`, width / 2, height - 4, "axis-title", "middle"));
      if (result.threshold !== undefined) drawThreshold(root, x(result.threshold), result.threshold, bottom, width);
      drawPicture(root, { score: result.score, before, threshold: result.threshold, x, width, bottom, inside: result.inDistribution });
      return words(result, idScores, before);
    },
  );
}

function drawHistogram(root: SVGSVGElement, shares: number[], x: (value: number) => number, [low, high]: [number, number], top: number, bottom: number): void {
  const tallest = Math.max(...shares, 1e-9);
  const step = (high - low) / shares.length;
  const left = x(low);
  const wide = x(low + step) - left;
  shares.forEach((share, i) => {
    const tall = (share / tallest) * (bottom - top);
    if (tall > 0) root.append(svg("rect", { x: left + i * wide + 0.5, y: bottom - tall, width: Math.max(1, wide - 1), height: tall, class: "bar-id", rx: 1 }));
  });
}

function drawScale(root: SVGSVGElement, [low, high]: [number, number], x: (value: number) => number, side: number, width: number, bottom: number): void {
  root.append(svg("line", { x1: side, x2: width - side, y1: bottom + 0.5, y2: bottom + 0.5, class: "axis-line" }));
  const marks = ticks(low, high, Math.max(3, width / 90));
  for (const value of marks) root.append(label(tickLabel(value, marks), x(value), bottom + 16, "tick", "middle"));
}

function drawThreshold(root: SVGSVGElement, at: number, value: number, bottom: number, width: number): void {
  root.append(svg("line", { x1: at, x2: at, y1: 20, y2: bottom, class: "threshold" }));
  const text = `threshold ${decimal(value)}`;
  const room = text.length * 6.4;
  const anchor = at + room / 2 > width - 4 ? "end" : at - room / 2 < 4 ? "start" : "middle";
  root.append(label(text, anchor === "end" ? Math.min(at + 4, width - 4) : anchor === "start" ? Math.max(at - 4, 4) : at, 13, "threshold-text", anchor));
}

interface Mark {
  score: number;
  before: number | undefined;
  threshold: number | undefined;
  x: (value: number) => number;
  width: number;
  bottom: number;
  inside: boolean | undefined;
}

function drawPicture(root: SVGSVGElement, { score, before, threshold, x, width, bottom, inside }: Mark): void {
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
  }
  root.append(svg("line", { x1: at, x2: at, y1: y + 8, y2: bottom, class: `stem ${kind}` }));
  root.append(svg("path", { d: inside === false ? `M${at} ${y - 8}l8 14h-16Z` : `M${at} ${y - 7.5}l7.5 7.5-7.5 7.5-7.5-7.5Z`, class: `mark ${kind}` }));
  // Beside the marks, where there is room without crossing the threshold; below them where there is none.
  const text = `this picture ${decimal(score)}`;
  const room = text.length * 7.5;
  const sides = [-1, 1].map((way) => {
    const beyond = before === undefined ? 0 : way * (x(before) - at);
    const start = at + way * (beyond > 0 ? Math.max(13, beyond + 11) : 13);
    const end = start + way * room;
    const crossed = threshold !== undefined && (x(threshold) - start) * (x(threshold) - end) < 0;
    return { way, start, fits: end > 4 && end < width - 4, crossed };
  });
  const fitting = sides.filter(({ fits }) => fits);
  const place = fitting.find(({ crossed }) => !crossed) ?? fitting[0];
  if (place) root.append(label(text, place.start, y + 4.5, "mark-text halo", place.way < 0 ? "end" : "start"));
  else root.append(label(text, at + (at > width / 2 ? -13 : 13), y + 21, "mark-text halo", at > width / 2 ? "end" : "start"));
}

function words(result: Detection, idScores: Float32Array | undefined, before: number | undefined): string {
  const parts = [`The picture's ${nameOf(result.scoreName)} score is ${decimal(result.score)}`];
  if (before !== undefined) parts.push(`before pruning it is ${decimal(before)}`);
  if (result.threshold !== undefined) parts.push(`the threshold is ${decimal(result.threshold)}`);
  if (idScores?.length) parts.push(`${idScores.length} held-out familiar pictures score from ${decimal(idScores[0] as number)} to ${decimal(idScores[idScores.length - 1] as number)}`);
  return `${parts.join("; ")}.`;
}
