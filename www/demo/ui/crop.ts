// What of an image the network sees: the part that the preprocessing crops, at the size of its input.

import type { Subject } from "../state/app.js";
import type { Preprocess } from "itp-ood";

/** A rectangle of an image, in its pixels; where the crop is larger than the image, it reaches beyond it. */
export interface Crop {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The part of an image that the network gets, and the pixels that are made of it. */
export function cropOf(
  { resize, stretch, crop }: Preprocess,
  { width, height }: { width: number; height: number },
): { part: Crop; input: [width: number, height: number] } {
  const whole = { left: 0, top: 0, width, height };
  if (stretch) return { part: whole, input: [stretch[1], stretch[0]] };
  const factor = resize === undefined ? 1 : resize / Math.min(width, height);
  if (!crop) return { part: whole, input: [Math.trunc(width * factor), Math.trunc(height * factor)] };
  const [wide, tall] = [crop[1] / factor, crop[0] / factor];
  return { part: { left: (width - wide) / 2, top: (height - tall) / 2, width: wide, height: tall }, input: [crop[1], crop[0]] };
}

/** Whether the network sees the whole image; a pixel more or less is rounding. */
export function isWhole({ left, top, width, height }: Crop, image: { width: number; height: number }): boolean {
  const slack = 1 + Math.max(image.width, image.height) / 100;
  return left < slack && top < slack && width > image.width - 2 * slack && height > image.height - 2 * slack;
}

/** Draws the network's input, nearly: the engine resizes with another filter. */
export function drawInput(canvas: HTMLCanvasElement, image: Subject["drawable"], preprocess: Preprocess): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { part, input } = cropOf(preprocess, image);
  [canvas.width, canvas.height] = input;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (preprocess.channels === "grey") context.filter = "grayscale(1)";
  context.drawImage(image, part.left, part.top, part.width, part.height, 0, 0, canvas.width, canvas.height);
}

/** Places a frame around the part over an image that is drawn uncropped and centred in a square. */
export function placeFrame(frame: HTMLElement, part: Crop, image: { width: number; height: number }): void {
  const side = Math.max(image.width, image.height);
  const share = (value: number): string => `${(100 * value) / side}%`;
  frame.style.left = share((side - image.width) / 2 + part.left);
  frame.style.top = share((side - image.height) / 2 + part.top);
  frame.style.width = share(part.width);
  frame.style.height = share(part.height);
}
