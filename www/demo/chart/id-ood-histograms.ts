// Histograms of one score: ID images upwards, OOD images downwards.

import { svg } from "../ui/dom.js";
import { decimal, percent } from "../ui/format.js";
import { chart, label, scale, ticks } from "./frame.js";
import { paddedRange, type Range, shares } from "./histogram.js";

/** Scores of both sets. */
export interface IdOodScores {
  id: Float64Array;
  ood: Float64Array;
  threshold: number;
}

/** Side margins of the chart, in pixels. */
const SIDE = 10;

/** The range of scores that the chart shows. */
export const rangeOf = ({ id, ood, threshold }: IdOodScores): Range => paddedRange(id, ood, [threshold]);

/**
 * Adds the chart to `container`. The directions let the sets be told apart without colour. `onDrag`
 * gets the score that the pointer is dragged to.
 */
export function idOodHistograms(container: HTMLElement, data: () => IdOodScores | undefined, onDrag: (score: number) => void): () => void {
  let shownRange: Range = [0, 1];
  const drag = (event: PointerEvent): void => {
    if (event.buttons !== 1) return;
    const { left, width } = container.getBoundingClientRect();
    onDrag(
      scale(shownRange, [SIDE, width - SIDE])
        .clamp(true)
        .invert(event.clientX - left),
    );
  };
  container.addEventListener("pointerdown", (event) => {
    container.setPointerCapture(event.pointerId);
    drag(event);
  });
  container.addEventListener("pointermove", drag);
  return chart(
    container,
    () => 260,
    ({ svg: root, width, height }) => {
      const shown = data();
      if (!shown) return undefined;
      const { id, ood, threshold } = shown;
      const range = rangeOf(shown);
      shownRange = range;
      const binCount = Math.max(12, Math.min(40, Math.round(width / 14)));
      const sets = [shares(id, range, binCount), shares(ood, range, binCount)];
      const tallest = Math.max(...sets.flat(), 1e-9);
      const x = scale(range, [SIDE, width - SIDE]);
      const bottom = height - 24;
      const middle = bottom / 2 + 8;
      const half = middle - 26;
      const wide = (width - 20) / binCount;
      sets.forEach((bars, set) =>
        bars.forEach((share, i) => {
          const tall = (share / tallest) * (set ? bottom - middle - 6 : half);
          if (tall > 0)
            root.append(
              svg("rect", {
                x: 10 + i * wide + 0.5,
                y: set ? middle : middle - tall,
                width: Math.max(1, wide - 1),
                height: tall,
                class: set ? "bar-ood" : "bar-id",
              }),
            );
        }),
      );
      root.append(svg("line", { x1: 10, x2: width - 10, y1: middle, y2: middle, class: "axis-line" }));
      root.append(svg("line", { x1: x(threshold), x2: x(threshold), y1: 22, y2: bottom, class: "threshold" }));
      root.append(label("▲ ID", 10, 14, "name"), label("▼ OOD", 56, 14, "name"));
      root.append(label(`threshold ${decimal(threshold)}`, width - 10, 14, "threshold-text", "end"));
      for (const { value, text } of ticks(x, width, 3)) root.append(label(text, x(value), bottom + 18, "tick", "middle"));
      const above = ood.filter((score) => score >= threshold).length / ood.length;
      return `${id.length} ID images upwards and ${ood.length} OOD images downwards; ${percent(above)} of the OOD images score at least the threshold of ${decimal(threshold)}.`;
    },
  );
}
