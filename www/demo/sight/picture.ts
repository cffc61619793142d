// An image's pixels, covered in places, for the network to judge again.

import type { Subject } from "../state/app.js";
import type { Cover } from "../state/sight.js";
import { type Crop, cropOf } from "../ui/crop.js";
import type { Preprocess, RawImage } from "itp-ood";

/** Larger images are judged as a smaller copy, so that many covers take no more time than a network's runs. */
const LONGEST = 640;

/** Pixels, and the part of them that the network sees. */
export interface Picture {
  pixels: ImageData;
  part: Crop;
  /** What a cover is filled with. */
  colour: readonly [number, number, number];
}

/** The pixels of an image; they are read once. */
export function pictureOf({ drawable }: Subject, preprocess: Preprocess): Picture {
  const pixels = pixelsOf(drawable, preprocess);
  return { pixels, part: cropOf(preprocess, pixels).part, colour: neutralColour(preprocess) };
}

/** The colour that the network's inputs are centred on, 0 to 255. */
export function neutralColour({ mean }: Preprocess): [red: number, green: number, blue: number] {
  const of = (channel: number): number => Math.round(255 * (mean[channel] ?? mean[0] ?? 0));
  return [of(0), of(1), of(2)];
}

const known = new WeakMap<object, ImageData>();

function pixelsOf(drawable: Subject["drawable"], { resize, stretch, crop }: Preprocess): ImageData {
  const before = known.get(drawable);
  if (before) return before;
  // Never smaller than twice what the network sees.
  const least = 2 * Math.max(resize ?? 0, ...(stretch ?? []), ...(crop ?? []));
  const { width, height } = drawable;
  const factor = Math.min(1, Math.max(LONGEST / Math.max(width, height), least / Math.min(width, height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * factor));
  canvas.height = Math.max(1, Math.round(height * factor));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser gives no place to draw the image in.");
  context.imageSmoothingQuality = "high";
  context.drawImage(drawable, 0, 0, canvas.width, canvas.height);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  known.set(drawable, pixels);
  return pixels;
}

/** The place of a cover in the pixels. */
export function spotOf({ x, y, size }: Cover, { left, top, width, height }: Crop): Crop {
  const side = size * Math.min(width, height);
  return { left: left + x * width - side / 2, top: top + y * height - side / 2, width: side, height: side };
}

/** A copy of the picture; with a cover, that covers it. */
export function covered({ pixels: { data: plain, width, height }, part, colour }: Picture, cover?: Cover): RawImage {
  const data = new Uint8ClampedArray(plain);
  if (cover) {
    const spot = spotOf(cover, part);
    const within = (value: number, most: number): number => Math.max(0, Math.min(most, Math.round(value)));
    const [left, right] = [within(spot.left, width), within(spot.left + spot.width, width)];
    const [top, bottom] = [within(spot.top, height), within(spot.top + spot.height, height)];
    const pixels = new Uint32Array(data.buffer);
    const [filled = 0] = new Uint32Array(Uint8Array.of(...colour, 255).buffer);
    for (let y = top; y < bottom; y++) pixels.fill(filled, y * width + left, y * width + right);
  }
  return { data, width, height, channels: 4 };
}
