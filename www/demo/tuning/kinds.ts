// The sixteen kinds of pseudo-OOD images, described and previewed.

import { KINDS } from "../generated.js";
import { h } from "../ui/dom.js";
import type { RawImage, TunePreview } from "itp-ood";

/** The preview of a kind, with its name and description. */
export function kindFigure({ kind, made }: TunePreview): HTMLElement {
  const { description, isNear } = KINDS[kind];
  return h(
    "li",
    { class: "kind" },
    canvasOf(made, `${kind}: ${description}`),
    h("b", {}, kind),
    h("span", { class: "quiet" }, description),
    isNear ? h("span", { class: "near" }, "near-OOD") : undefined,
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
