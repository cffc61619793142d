// The worked example of the section Explain, computed here as the text says.

import { asset } from "../state/assets.js";
import { byId, h } from "../ui/dom.js";
import { decimal, signed } from "../ui/format.js";

const LAMBDA = 1.5;
/** With p = 50, CRP leaves out the weights whose mean contribution is not above the median. */
const W = [
  [1, -2, 0.5],
  [-1, 1, 0],
];
const BIAS = [0.1, -0.1];
/** Mean and deviation of the three features over the training pictures of each class. */
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
  says: number;
  mu: number;
  sigma: number;
  redundant: boolean;
  overconfident: boolean;
}

/** ITP on the example, by the formulas of the text. */
export function example(): { weights: ExampleWeight[]; omega: number; before: number[]; after: number[]; energyBefore: number; energyAfter: number } {
  const means = W.flatMap((row, k) => row.map((w, j) => w * at(MEAN, k, j)));
  const sorted = [...means].sort((a, b) => a - b);
  const omega = ((sorted[2] as number) + (sorted[3] as number)) / 2;
  const weights = W.flatMap((row, k) =>
    row.map((w, j) => {
      const says = w * (FEATURES[j] as number);
      const mu = w * at(MEAN, k, j);
      const sigma = Math.abs(w) * at(DEVIATION, k, j);
      return { classIndex: k, feature: j, says, mu, sigma, redundant: mu <= omega, overconfident: says > mu + LAMBDA * sigma };
    }),
  );
  const logits = (keep: (weight: ExampleWeight) => boolean): number[] =>
    BIAS.map((bias, k) => weights.filter((weight) => weight.classIndex === k && keep(weight)).reduce((sum, { says }) => sum + says, bias));
  const energy = (values: number[]): number => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
  const before = logits(() => true);
  const after = logits(({ redundant, overconfident }) => !redundant && !overconfident);
  return { weights, omega, before, after, energyBefore: energy(before), energyAfter: energy(after) };
}

const at = (table: number[][], row: number, column: number): number => table[row]?.[column] as number;

/**
 * Means over the pictures of a set, of the predicted class: the logit, its negative part, what CRP
 * adds, what FTP takes, and what is left; docs/results-beyond.md says how they were measured. The
 * pictures stand for the sets: they are the gallery's, and one is a blend of two of them.
 */
const NEAR_FAR: readonly { set: string; pictures: readonly string[]; values: readonly [logit: number, negative: number, crp: number, ftp: number, itp: number] }[] = [
  { set: "Familiar: CIFAR-10", pictures: ["horse.webp"], values: [17.82, -4.31, 4.04, 1.12, 20.74] },
  { set: "Near: CIFAR-100", pictures: ["horse.webp", "windmill.webp"], values: [9.66, -6.39, 6.07, 0.61, 15.12] },
  { set: "Near: places", pictures: ["colosseum.webp"], values: [8.39, -6.44, 6.12, 0.3, 14.21] },
  { set: "Far: SVHN", pictures: ["house-number.webp"], values: [8.6, -4.96, 4.71, 1.38, 11.93] },
  { set: "Far: textures", pictures: ["bricks.webp"], values: [10.15, -4.75, 4.52, 2.48, 12.19] },
];

/** Fills the table that shows why ITP loses near the training data. */
function showNearFar(): void {
  const heads = ["Such as", "Pictures", "Logit", "Its negative part", "CRP adds", "FTP takes", "ITP"];
  byId("near-far").replaceChildren(
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col", class: head === "Pictures" ? "start" : "" }, head)))),
    h(
      "tbody",
      {},
      ...NEAR_FAR.map(({ set, pictures, values: [logit, negative, crp, ftp, itp] }) =>
        h(
          "tr",
          {},
          h("td", {}, pictures.length > 1 ? blend(pictures) : h("img", { src: asset(`gallery/${pictures[0] ?? ""}`), alt: "", loading: "lazy", width: 44, height: 44 })),
          h("th", { scope: "row", class: "wide start" }, set),
          ...[decimal(logit, 1), decimal(negative, 1), signed(crp, 1), signed(-ftp, 1), decimal(itp, 1)].map((text) => h("td", {}, text)),
        ),
      ),
    ),
  );
  const [familiar, near, , , far] = NEAR_FAR.map(({ values: [logit, , , , itp] }) => [logit, itp] as const);
  if (!familiar || !near || !far) return;
  const lead = (other: readonly [number, number]): string => `from ${decimal(familiar[0] - other[0], 1)} to ${decimal(familiar[1] - other[1], 1)}`;
  byId("near-far-words").textContent = `So the lead of familiar pictures over near ones (CIFAR-100) shrinks ${lead(near)}, and over far ones (textures) it grows ${lead(far)}.`;
}

/** Pictures laid over each other in equal parts, as the kind `mixup` does. */
function blend(files: readonly string[]): HTMLCanvasElement {
  const canvas = h("canvas", { width: 88, height: 88, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  void Promise.all(
    files.map(async (file) => {
      const image = new Image();
      image.src = asset(`gallery/${file}`);
      await image.decode();
      return image;
    }),
  ).then(
    (images) =>
      images.forEach((image, i) => {
        if (!context) return;
        context.globalAlpha = 1 / (i + 1);
        context.drawImage(image, 0, 0, canvas.width, canvas.height);
      }),
    // Without the picture the table says the same.
    () => undefined,
  );
  return canvas;
}

/** Fills the tables of the section, and the words that follow from them. */
export function startExplain(): void {
  showNearFar();
  const { weights, omega, before, after, energyBefore, energyAfter } = example();
  const heads = ["Class", "Feature", "W", "h", "W·h", "μ", "σ", "μ + λσ", "Left out"];
  byId("example").replaceChildren(
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))),
    h(
      "tbody",
      {},
      ...weights.map(({ classIndex: k, feature: j, says, mu, sigma, redundant, overconfident }) => {
        const reason = redundant && overconfident ? "CRP and FTP" : redundant ? "CRP" : overconfident ? "FTP" : "–";
        const cells = [decimal(at(W, k, j), 1), decimal(FEATURES[j] as number, 1), decimal(says), decimal(mu), decimal(sigma), decimal(mu + LAMBDA * sigma), reason];
        return h("tr", {}, h("th", { scope: "row" }, "AB"[k] as string), h("td", {}, String(j + 1)), ...cells.map((text) => h("td", {}, text)));
      }),
    ),
  );
  byId("example-words").textContent =
    `With p = 50, the limit of CRP is the median of the means μ, ${decimal(omega)}; weights not above it are left out. The logits go from ${before.map((value) => decimal(value)).join(" and ")} ` +
    `to ${after.map((value) => decimal(value)).join(" and ")}, and the energy from ${decimal(energyBefore)} to ${decimal(energyAfter)}: without the one weight of class A that says 4 where it used to say 2 give or take 1, nothing speaks for either class.`;
}
