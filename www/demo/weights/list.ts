// The most overconfident weights of a class: pruned by FTP, sorted by contribution above the mean.

import { h } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
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

/** Fills the table; clicking a feature calls `goTo`. Returns the number of overconfident weights. */
export function fillList(body: HTMLElement, explanation: Explanation, goTo: (feature: number) => void): number {
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
      return h("tr", {}, h("th", { scope: "row" }, button), ...cells.map((text) => h("td", {}, text)));
    }),
  );
  if (weights.length === 0) body.append(h("tr", {}, h("td", { colspan: 7 }, "No weight of this class is overconfident for this image.")));
  return total;
}
