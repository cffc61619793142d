// The table of the section Explain that shows why ITP is worse on near-OOD images.

import { assetUrl } from "../state/assets.js";
import { byId, h } from "../ui/dom.js";
import { decimal, signed } from "../ui/format.js";

/**
 * Means over the images of a data set, for the predicted class: the logit, its negative part, what CRP
 * adds, what FTP removes, and the pruned logit; docs/results-beyond.md says how they were measured.
 * Gallery images illustrate the sets; one is a blend of two of them.
 */
const NEAR_FAR: readonly {
  set: string;
  images: readonly string[];
  values: readonly [logit: number, negative: number, crp: number, ftp: number, itp: number];
}[] = [
  { set: "ID: CIFAR-10", images: ["horse.webp"], values: [17.82, -4.31, 4.04, 1.12, 20.74] },
  { set: "Near-OOD: CIFAR-100", images: ["horse.webp", "windmill.webp"], values: [9.66, -6.39, 6.07, 0.61, 15.12] },
  { set: "Near-OOD: places", images: ["colosseum.webp"], values: [8.39, -6.44, 6.12, 0.3, 14.21] },
  { set: "Far-OOD: SVHN", images: ["house-number.webp"], values: [8.6, -4.96, 4.71, 1.38, 11.93] },
  { set: "Far-OOD: textures", images: ["bricks.webp"], values: [10.15, -4.75, 4.52, 2.48, 12.19] },
];

/** Fills the table, and the text below it. */
export function showNearFar(): void {
  const heads = ["Example", "Data set", "Logit", "Its negative part", "CRP adds", "FTP removes", "ITP"];
  byId("near-far").replaceChildren(
    h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col", class: head === "Data set" ? "start" : "" }, head)))),
    h(
      "tbody",
      {},
      ...NEAR_FAR.map(({ set, images, values: [logit, negative, crp, ftp, itp] }) =>
        h(
          "tr",
          {},
          h(
            "td",
            {},
            images.length > 1
              ? blend(images)
              : h("img", { src: assetUrl(`gallery/${images[0] ?? ""}`), alt: "", loading: "lazy", width: 44, height: 44 }),
          ),
          h("th", { scope: "row", class: "wide start" }, set),
          ...[decimal(logit, 1), decimal(negative, 1), signed(crp, 1), signed(-ftp, 1), decimal(itp, 1)].map((text) => h("td", {}, text)),
        ),
      ),
    ),
  );
  const [id, near, , , far] = NEAR_FAR.map(({ values: [logit, , , , itp] }) => [logit, itp] as const);
  if (!id || !near || !far) return;
  const margin = (other: readonly [number, number]): string => `from ${decimal(id[0] - other[0], 1)} to ${decimal(id[1] - other[1], 1)}`;
  byId("near-far-words").textContent =
    `So the margin of ID images over near-OOD ones (CIFAR-100) shrinks ${margin(near)}, and over far-OOD ones (textures) it grows ${margin(far)}.`;
}

/** Images blended in equal parts, as by mixup. */
function blend(files: readonly string[]): HTMLCanvasElement {
  const canvas = h("canvas", { width: 88, height: 88, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  void Promise.all(
    files.map(async (file) => {
      const image = new Image();
      image.src = assetUrl(`gallery/${file}`);
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
    // The image is only an illustration.
    () => undefined,
  );
  return canvas;
}
