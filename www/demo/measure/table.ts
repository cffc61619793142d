// The table of Measure: one row for each score.

import { nameOf } from "../state/scores.js";
import { byId, h } from "../ui/dom.js";
import { percent } from "../ui/format.js";
import { accepted, type Scores } from "./scores.js";

/** Fills the table. */
export function showTable({ id, ood, metrics, thresholds }: Scores): void {
  const best = Math.max(...Array.from(metrics.values(), ({ auroc }) => auroc));
  const share = (scores: Float64Array | undefined, threshold: number | undefined): string =>
    scores && threshold !== undefined ? percent(accepted(scores, threshold) / scores.length, 1) : "–";
  byId("measure-table").replaceChildren(
    ...Array.from(metrics, ([name, { auroc, fpr95, auprIn, auprOut }]) => {
      const threshold = thresholds.get(name);
      const chance = auroc < 0.5 ? h("span", { class: "warn" }, " worse than chance") : undefined;
      return h(
        "tr",
        {},
        h("th", { scope: "row" }, nameOf(name), chance),
        h("td", { class: auroc === best ? "best" : "" }, percent(auroc, 1)),
        h("td", {}, percent(fpr95, 1)),
        h("td", {}, share(ood.get(name), threshold)),
        h("td", {}, share(id.get(name), threshold)),
        ...[auprIn, auprOut].map((value) => h("td", {}, percent(value, 1))),
      );
    }),
  );
}
