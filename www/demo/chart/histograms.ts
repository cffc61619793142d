// Two histograms of one score: familiar and foreign pictures.

import { svg } from "../ui/dom.js";
import { decimal, percent, tickLabel, ticks } from "../ui/format.js";
import { bins, rangeOf } from "./bins.js";
import { chart, label, scale } from "./frame.js";

/** What the histograms show. */
export interface TwoSets {
  id: Float64Array;
  ood: Float64Array;
  threshold: number;
}

/** Draws the histograms into `place`, one upwards and one downwards, so that they tell apart without colour. */
export function histogramsChart(place: HTMLElement, data: () => TwoSets | undefined): () => void {
  return chart(
    place,
    () => 260,
    ({ svg: root, width, height }) => {
      const shown = data();
      if (!shown) return undefined;
      const { id, ood, threshold } = shown;
      const range = rangeOf(id, ood);
      const wanted = Math.max(12, Math.min(40, Math.round(width / 14)));
      const sets = [bins(id, ...range, wanted), bins(ood, ...range, wanted)];
      const tallest = Math.max(...sets.flat(), 1e-9);
      const x = scale(range, [10, width - 10]);
      const bottom = height - 24;
      const middle = bottom / 2 + 8;
      const half = middle - 26;
      const wide = (width - 20) / wanted;
      sets.forEach((shares, set) =>
        shares.forEach((share, i) => {
          const tall = (share / tallest) * (set ? bottom - middle - 6 : half);
          if (tall > 0) root.append(svg("rect", { x: 10 + i * wide + 0.5, y: set ? middle : middle - tall, width: Math.max(1, wide - 1), height: tall, class: set ? "bar-ood" : "bar-id" }));
        }),
      );
      root.append(svg("line", { x1: 10, x2: width - 10, y1: middle, y2: middle, class: "axis-line" }));
      root.append(svg("line", { x1: x(threshold), x2: x(threshold), y1: 22, y2: bottom, class: "threshold" }));
      root.append(label("▲ familiar", 10, 14, "name"), label("▼ foreign", 86, 14, "name"));
      root.append(label(`95% threshold ${decimal(threshold)}`, width - 10, 14, "threshold-text", "end"));
      const marks = ticks(...range, Math.max(3, width / 90));
      for (const value of marks) root.append(label(tickLabel(value, marks), x(value), bottom + 18, "tick", "middle"));
      const above = ood.filter((score) => score >= threshold).length / ood.length;
      return `${id.length} familiar pictures upwards and ${ood.length} foreign ones downwards; ${percent(above)} of the foreign ones score from the threshold of ${decimal(threshold)} on.`;
    },
  );
}
