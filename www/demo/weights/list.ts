// The weights of a class that shout loudest: pruned by FTP, sorted by what they say above their mean.

import { type Explanation, Reason } from "itp-ood";
import { h } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { allowed, figuresOf, type WeightFigures } from "./details.js";

const MOST = 12;

/** The most overconfident weights of a class, and how many there are in all. */
export function overconfident(explanation: Explanation): { weights: WeightFigures[]; all: number } {
  const found: WeightFigures[] = [];
  explanation.reason.forEach((reason, feature) => {
    if (reason === Reason.Overconfident || reason === Reason.Both) found.push(figuresOf(explanation, feature));
  });
  found.sort((a, b) => b.contribution - b.mu - (a.contribution - a.mu));
  return { weights: found.slice(0, MOST), all: found.length };
}

/** Fills the table; pressing a feature calls `goTo`. */
export function fillList(body: HTMLElement, explanation: Explanation, goTo: (feature: number) => void): number {
  const { weights, all } = overconfident(explanation);
  body.replaceChildren(
    ...weights.map((figures) => {
      const button = h("button", { type: "button", class: "as-link", "aria-label": `Show feature ${figures.feature} on the map` }, String(figures.feature));
      button.addEventListener("click", () => goTo(figures.feature));
      const cells = [decimal(figures.W, 3), decimal(figures.h, 3), allowed(figures), decimal(figures.contribution, 3), `${decimal(figures.mu, 3)} ± ${decimal(figures.sigma, 3)}`, decimal(figures.z, 1)];
      return h("tr", {}, h("th", { scope: "row" }, button), ...cells.map((text) => h("td", {}, text)));
    }),
  );
  if (weights.length === 0) body.append(h("tr", {}, h("td", { colspan: 7 }, "No weight of this class is overconfident here.")));
  return all;
}
