// The worked example of the section Explain, computed by the formulas of its text.

import { byId, h } from "../ui/dom.js";
import { decimal } from "../ui/format.js";

const LAMBDA = 1.5;
/** With p = 50, CRP prunes the weights whose mean contribution is not above the median. */
const W = [
  [1, -2, 0.5],
  [-1, 1, 0],
];
const BIAS = [0.1, -0.1];
/** Mean and standard deviation of the three features over the training images of each class. */
const MEAN = [
  [2, 1, 0],
  [1, 3, 1],
];
const DEVIATION = [
  [1, 0.5, 0],
  [Math.SQRT1_2, Math.SQRT2, 0],
];
const FEATURES = [4, 0.2, 1];

interface ExampleWeight {
  classIndex: number;
  feature: number;
  contribution: number;
  mu: number;
  sigma: number;
  redundant: boolean;
  overconfident: boolean;
}

/** ITP on the example. */
function example(): {
  weights: ExampleWeight[];
  omega: number;
  before: number[];
  after: number[];
  energyBefore: number;
  energyAfter: number;
} {
  const means = W.flatMap((row, k) => row.map((w, j) => w * at(MEAN, k, j)));
  const sorted = [...means].sort((a, b) => a - b);
  const omega = ((sorted[2] as number) + (sorted[3] as number)) / 2;
  const weights = W.flatMap((row, k) =>
    row.map((w, j) => {
      const contribution = w * (FEATURES[j] as number);
      const mu = w * at(MEAN, k, j);
      const sigma = Math.abs(w) * at(DEVIATION, k, j);
      return {
        classIndex: k,
        feature: j,
        contribution,
        mu,
        sigma,
        redundant: mu <= omega,
        overconfident: contribution > mu + LAMBDA * sigma,
      };
    }),
  );
  const logits = (keep: (weight: ExampleWeight) => boolean): number[] =>
    BIAS.map((bias, k) =>
      weights.filter((weight) => weight.classIndex === k && keep(weight)).reduce((sum, { contribution }) => sum + contribution, bias),
    );
  const energy = (values: number[]): number => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
  const before = logits(() => true);
  const after = logits(({ redundant, overconfident }) => !redundant && !overconfident);
  return { weights, omega, before, after, energyBefore: energy(before), energyAfter: energy(after) };
}

const at = (table: number[][], row: number, column: number): number => table[row]?.[column] as number;

/** Fills the table, and the text below it. */
export function showExample(): void {
  const { weights, omega, before, after, energyBefore, energyAfter } = example();
  const heads = ["Class", "Feature", "W", "h", "W·h", "μ", "σ", "μ + λσ", "Pruned by"];
  byId("example").replaceChildren(
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h(
      "tbody",
      {},
      ...weights.map(({ classIndex: k, feature: j, contribution, mu, sigma, redundant, overconfident }) => {
        const reason = redundant && overconfident ? "CRP and FTP" : redundant ? "CRP" : overconfident ? "FTP" : "–";
        const cells = [
          decimal(at(W, k, j), 1),
          decimal(FEATURES[j] as number, 1),
          decimal(contribution),
          decimal(mu),
          decimal(sigma),
          decimal(mu + LAMBDA * sigma),
          reason,
        ];
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, "AB"[k] as string),
          h("td", {}, String(j + 1)),
          ...cells.map((text) => h("td", {}, text)),
        );
      }),
    ),
  );
  byId("example-words").textContent =
    `With p = 50, CRP’s threshold is the median of the means μ, ${decimal(omega)}; weights with a mean not above it are pruned. The logits go from ${before.map((value) => decimal(value)).join(" and ")} ` +
    `to ${after.map((value) => decimal(value)).join(" and ")}, and the energy from ${decimal(energyBefore)} to ${decimal(energyAfter)}: once the weight of class A that contributes 4 instead of its usual 2 ± 1 is pruned, little supports either class.`;
}
