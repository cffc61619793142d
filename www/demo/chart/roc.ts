// ROC curves of all scores, with the selected one highlighted.

import { nameOf } from "../state/scores.js";
import { svg } from "../ui/dom.js";
import { percent } from "../ui/format.js";
import { chart, label, type Scale, scale } from "./frame.js";
import type { Metrics } from "itp-ood";

/** Adds the chart to `container`; the returned function redraws it. */
export function rocChart(
  container: HTMLElement,
  data: () => { all: ReadonlyMap<string, Metrics>; selected: string } | undefined,
): () => void {
  return chart(
    container,
    (width) => Math.min(width, 340),
    ({ svg: root, width, height }) => {
      const shown = data();
      const selected = shown?.all.get(shown.selected);
      if (!shown || !selected) return undefined;
      // Leaves room for half of the last tick's label.
      const side = Math.min(width - 72, height - 50);
      const left = 52 + (width - 72 - side) / 2;
      const x = scale([0, 1], [left, left + side]);
      const y = scale([0, 1], [8 + side, 8]);
      for (const value of [0, 0.25, 0.5, 0.75, 1]) {
        root.append(svg("line", { x1: x(value), x2: x(value), y1: y(0), y2: y(1), class: "grid" }));
        root.append(svg("line", { x1: x(0), x2: x(1), y1: y(value), y2: y(value), class: "grid" }));
        if (value !== 0.25 && value !== 0.75) {
          root.append(
            label(percent(value), x(value), y(0) + 16, "tick", "middle"),
            label(percent(value), x(0) - 6, y(value) + 4, "tick", "end"),
          );
        }
      }
      root.append(svg("line", { x1: x(0), x2: x(1), y1: y(0), y2: y(1), class: "joint" }));
      for (const [name, { roc }] of shown.all) {
        if (name !== shown.selected) root.append(svg("polyline", { points: points(roc, x, y), class: "roc-other" }));
      }
      root.append(svg("polyline", { points: points(selected.roc, x, y), class: "roc" }));
      root.append(svg("circle", { cx: x(selected.fpr95), cy: y(0.95), r: 4.5, class: "mark-before" }));
      root.append(label("OOD accepted", left + side / 2, height - 6, "axis-title", "middle"));
      const title = label("ID accepted", 0, 0, "axis-title", "middle");
      title.setAttribute("transform", `translate(${left - 42} ${8 + side / 2}) rotate(-90)`);
      root.append(title);
      return `ROC of ${nameOf(shown.selected)}: AUROC ${percent(selected.auroc, 1)}, ${percent(selected.fpr95, 1)} of the OOD images accepted where 95% of the ID images are.`;
    },
  );
}

/** Some hundred points at most: more can't be seen. */
function points({ fpr, tpr }: Metrics["roc"], x: Scale, y: Scale): string {
  const stride = Math.max(1, Math.floor(fpr.length / 400));
  const text: string[] = [];
  for (let i = 0; i < fpr.length; i += stride) text.push(`${x(fpr[i] as number).toFixed(1)},${y(tpr[i] as number).toFixed(1)}`);
  text.push(`${x(1)},${y(1)}`);
  return text.join(" ");
}
