// The most overconfident weights of a class: pruned by FTP, sorted by contribution above the mean.

import { h } from "../ui/dom.js";
import { count, decimal } from "../ui/format.js";
import { allowedRange, detailsOf, type WeightDetails } from "./details.js";
import { type Explanation, Reason } from "itp-ood";

const MAX_ROWS = 12;

/** The most overconfident weights of a class, and the number of all overconfident ones. */
export function overconfidentWeights(explanation: Explanation): { weights: WeightDetails[]; total: number } {
  const found: WeightDetails[] = [];
  explanation.reason.forEach((reason, feature) => {
    if (reason === Reason.Overconfident || reason === Reason.Both) found.push(detailsOf(explanation, feature));
  });
  found.sort((a, b) => b.contribution - b.mu - (a.contribution - a.mu));
  return { weights: found.slice(0, MAX_ROWS), total: found.length };
}

/** One sentence on the weights that speak too loudly. */
export function describeLoudest(explanation: Explanation): string {
  const { weights, total } = overconfidentWeights(explanation);
  const all = `${explanation.label}'s ${count(explanation.weight.length)} weights`;
  const [loudest] = weights;
  if (!loudest) return `None of ${all} shouts: each says what is usual, or less.`;
  const digits = Math.abs(loudest.contribution - loudest.mu) < 0.02 ? 4 : 2;
  return `${count(total)} of ${all} shout${total === 1 ? "s" : ""}: the loudest, of feature ${loudest.feature}, says ${decimal(loudest.contribution, digits)} where ${decimal(loudest.mu, digits)} is usual.`;
}

/** The scores HELD and HELD+T of the same image, as sums that add up. */
export function heldNote({ label, held }: Explanation): string {
  const logit = `HELD clamps ${decimal(held.heldBackSum, 3)} off the logit of “${label}”: ${decimal(held.logit + held.heldBackSum, 3)} becomes ${decimal(held.logit, 3)}. The score HELD, over all classes, is ${decimal(held.held, 3)}, and the atypicality T of the features is ${decimal(held.t, 3)}`;
  return held.a === undefined || held.heldT === undefined
    ? `${logit}.`
    : `${logit}: HELD+T = ${decimal(held.held, 3)} − ${decimal(held.a, 3)} × ${decimal(held.t, 3)} = ${decimal(held.heldT, 3)}.`;
}

/** What happens when a feature of the list is pressed or pointed at. */
export interface ListActions {
  goTo(feature: number): void;
  point(feature: number): void;
}

/** Fills the table. Returns the number of overconfident weights. */
export function fillList(body: HTMLElement, explanation: Explanation, { goTo, point }: ListActions): number {
  const { weights, total } = overconfidentWeights(explanation);
  body.replaceChildren(
    ...weights.map((weight) => {
      const button = h(
        "button",
        { type: "button", class: "as-link", "aria-label": `Show feature ${weight.feature} on the map` },
        String(weight.feature),
      );
      button.addEventListener("click", () => goTo(weight.feature));
      const cells = [
        decimal(weight.W, 3),
        decimal(weight.h, 3),
        allowedRange(weight),
        decimal(weight.contribution, 3),
        `${decimal(weight.mu, 3)} ± ${decimal(weight.sigma, 3)}`,
        decimal(weight.z, 1),
      ];
      const row = h("tr", { "data-feature": weight.feature }, h("th", { scope: "row" }, button), ...cells.map((text) => h("td", {}, text)));
      row.addEventListener("pointerenter", () => point(weight.feature));
      return row;
    }),
  );
  if (weights.length === 0) body.append(h("tr", {}, h("td", { colspan: 7 }, "No weight of this class is overconfident for this image.")));
  return total;
}

/** Highlights the row of a feature. */
export function markRow(body: HTMLElement, feature: number | undefined): void {
  for (const row of body.querySelectorAll<HTMLElement>("tr")) row.classList.toggle("pointed", row.dataset["feature"] === String(feature));
}
