// The score axis: a histogram of held-out ID images, the threshold, and this image's score before and
// after pruning.

import type { Outcome } from "../state/app.js";
import type { LoadedModel } from "../state/models.js";
import { isReact, withoutReact } from "../state/overrides.js";
import { nameOf } from "../state/scores.js";
import { svg } from "../ui/dom.js";
import { apart, decimal } from "../ui/format.js";
import { chart, label, type Scale, scale, ticks } from "./frame.js";
import { paddedRange, type Range, shares } from "./histogram.js";
import { Labels } from "./labels.js";
import type { Detection } from "itp-ood";

/** Baselines of the three rows of labels above the histogram; the marks are in the second. */
const ROWS = [13, 36.5, 57] as const;
const MARKS = 32;
const TOP = 63;

/** Whether a score is the energy of changed features or weights, and so compares with that before the change. */
function comparesWithEnergy({ scoreName, energies }: Detection): boolean {
  const base = withoutReact(scoreName);
  return (energies !== undefined && base in energies) || (base === "energy" && isReact(scoreName));
}

/** Adds the axis to `container`; the returned function redraws it. */
export function axisChart(
  container: HTMLElement,
  data: () => Outcome | undefined,
  { small = () => false }: { small?: () => boolean } = {},
): () => void {
  // The range only grows while a slider is dragged, so that the axis stays still.
  let previous: { model: LoadedModel; score: string; range: Range } | undefined;
  return chart(
    container,
    () => (small() ? 128 : 210),
    ({ svg: root, width, height }) => {
      const outcome = data();
      if (!outcome) return undefined;
      const { model, result, idScores } = outcome;
      const { scoreName: score, threshold } = result;
      const before = comparesWithEnergy(result) ? result.unprunedScore : undefined;
      const marks = [result.score, before, threshold].filter((value) => value !== undefined);
      const range = paddedRange(idScores ?? [], marks);
      if (previous?.model === model && previous.score === score) {
        const [low, high] = previous.range;
        // Unless it has become much too wide.
        if (high - low < 2 * (range[1] - range[0])) range.splice(0, 2, Math.min(low, range[0]), Math.max(high, range[1]));
      }
      previous = { model, score, range };
      const bottom = height - (small() ? 22 : 40);
      const x = scale(range, [14, width - 14]);
      if (idScores) drawHistogram(root, shares(idScores, range, small() ? 32 : 48), x, bottom);
      drawTicks(root, x, width, bottom);
      if (!small())
        root.append(label(`${nameOf(score)} score: higher is more in-distribution`, width / 2, height - 4, "axis-title", "middle"));
      drawMarks(root, { result, before, x, width, bottom });
      return describe(result, idScores, before);
    },
  );
}

function drawHistogram(root: SVGSVGElement, bars: number[], x: Scale, bottom: number): void {
  const tallest = Math.max(...bars, 1e-9);
  const [left = 0, right = 0] = x.range();
  const wide = (right - left) / bars.length;
  bars.forEach((share, i) => {
    const tall = (share / tallest) * (bottom - TOP);
    if (tall > 0)
      root.append(
        svg("rect", { x: left + i * wide + 0.5, y: bottom - tall, width: Math.max(1, wide - 1), height: tall, class: "bar-id", rx: 1 }),
      );
  });
}

function drawTicks(root: SVGSVGElement, x: Scale, width: number, bottom: number): void {
  const [left = 0, right = 0] = x.range();
  root.append(svg("line", { x1: left, x2: right, y1: bottom + 0.5, y2: bottom + 0.5, class: "axis-line" }));
  const labels = new Labels(root, width);
  for (const { value, text } of ticks(x, width, 3)) labels.place(text, "tick", [{ x: x(value), y: bottom + 16, anchor: "middle" }]);
}

interface Marks {
  result: Detection;
  before: number | undefined;
  x: Scale;
  width: number;
  bottom: number;
}

/** The threshold, the image's score, and that before pruning, each with its name. */
function drawMarks(root: SVGSVGElement, { result, before, x, width, bottom }: Marks): void {
  const { score, threshold, inDistribution: inside } = result;
  const [scoreText, thresholdText] = apart(score, threshold ?? score);
  const labels = new Labels(root, width);
  const at = x(score);
  const kind = inside === undefined ? "mark-none" : inside ? "mark-in" : "mark-out";
  const from = before === undefined ? at : x(before);
  labels.keepFree({ left: at - 9, right: at + 9, top: MARKS - 9, bottom: MARKS + 9 });
  labels.avoid({ left: at - 1, right: at + 1, top: MARKS, bottom });
  if (before !== undefined) {
    labels.keepFree({ left: from - 6, right: from + 6, top: MARKS - 6, bottom: MARKS + 6 });
    labels.avoid({ left: Math.min(from, at), right: Math.max(from, at), top: MARKS - 1, bottom: MARKS + 1 });
  }
  if (threshold !== undefined) {
    const limit = x(threshold);
    labels.avoid({ left: limit - 1, right: limit + 1, top: 20, bottom });
    root.append(svg("line", { x1: limit, x2: limit, y1: 20, y2: bottom, class: "threshold" }));
    labels.place(`threshold ${thresholdText}`, "threshold-text", [{ x: limit, y: ROWS[0], anchor: "middle" }]);
  }
  if (before !== undefined) {
    if (Math.abs(from - at) > 16) {
      const way = Math.sign(at - from);
      root.append(svg("line", { x1: from + way * 6, x2: at - way * 9, y1: MARKS, y2: MARKS, class: "move" }));
    }
    root.append(svg("circle", { cx: from, cy: MARKS, r: 5, class: "mark-before" }));
  }
  root.append(svg("line", { x1: at, x2: at, y1: MARKS + 8, y2: bottom, class: `stem ${kind}` }));
  root.append(
    svg("path", {
      d: inside === false ? `M${at} ${MARKS - 8}l8 14h-16Z` : `M${at} ${MARKS - 7.5}l7.5 7.5-7.5 7.5-7.5-7.5Z`,
      class: `mark ${kind}`,
    }),
  );
  // Beside its own mark, or else below it: beside the other one it would be read as that one's.
  labels.place(`this image ${scoreText}`, "mark-text", [
    { x: at + 13, y: ROWS[1], anchor: "start" },
    { x: at - 13, y: ROWS[1], anchor: "end" },
    { x: at + 5, y: ROWS[2], anchor: "start" },
    { x: at - 5, y: ROWS[2], anchor: "end" },
    { x: at, y: ROWS[2], anchor: "middle" },
  ]);
  // Where the two marks are one, there is nothing to tell apart.
  if (before !== undefined && Math.abs(from - at) > 12)
    labels.place("unpruned", "tick", [
      { x: from, y: ROWS[0], anchor: "middle" },
      { x: from, y: ROWS[2], anchor: "middle" },
      { x: from - 9, y: ROWS[1], anchor: "end" },
      { x: from + 9, y: ROWS[1], anchor: "start" },
      { x: from, y: ROWS[0], anchor: "start" },
      { x: from, y: ROWS[0], anchor: "end" },
      { x: from, y: ROWS[2], anchor: "start" },
      { x: from, y: ROWS[2], anchor: "end" },
    ]);
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
