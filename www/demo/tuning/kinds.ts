// The sixteen kinds of pseudo-OOD images, described and previewed.

import { h } from "../ui/dom.js";
import type { RawImage, TuneKind, TunePreview } from "itp-ood";

/** What is done to an ID image. */
export const KINDS: Record<TuneKind, string> = {
  jigsaw2: "four tiles, shuffled",
  jigsaw4: "sixteen tiles, shuffled",
  pixels: "all pixels, shuffled",
  mixup: "blended with another class",
  cutmix: "half of another class",
  rot90: "on its side",
  rot180: "upside down",
  blur: "blurred",
  noise: "noise added",
  invert: "colours inverted",
  cutout: "a grey square over it",
  contrast: "a fifth of the contrast",
  phase: "shapes lost, colours kept",
  swap: "outlines kept, tones of another class",
  zoom: "a small part, enlarged",
  tile: "a small part, repeated",
};

/** Kinds that stand for near-OOD data. */
export const NEAR_OOD: ReadonlySet<TuneKind> = new Set<TuneKind>(["jigsaw2", "mixup", "cutmix", "rot90", "rot180", "invert", "cutout"]);

/** The preview of a kind, with its name and description. */
export function kindFigure({ kind, made }: TunePreview): HTMLElement {
  return h(
    "li",
    { class: "kind" },
    canvasOf(made, `${kind}: ${KINDS[kind]}`),
    h("b", {}, kind),
    h("span", { class: "quiet" }, KINDS[kind]),
    NEAR_OOD.has(kind) ? h("span", { class: "near" }, "near-OOD") : undefined,
  );
}

/** The pixels on a canvas of the same size; the style sheet enlarges it. */
function canvasOf({ data, width, height, channels = 3 }: RawImage, name: string): HTMLCanvasElement {
  const canvas = h("canvas", { width, height, role: "img", "aria-label": name, class: width <= 64 ? "pixels" : "" });
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = data[i * channels + (channels === 1 ? 0 : c)] as number;
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  return canvas;
}
