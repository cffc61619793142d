// Showing pictures: small ones are enlarged in whole steps, large ones brought down.

import type { Subject } from "../state/app.js";

/** Draws a picture into a square canvas, whole, in the middle. */
export function showPicture(canvas: HTMLCanvasElement, picture: NonNullable<Subject["picture"]>, side: number): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = side;
  canvas.height = side;
  const fit = side / Math.max(picture.width, picture.height);
  const small = Math.max(picture.width, picture.height) <= 64;
  context.imageSmoothingEnabled = !small;
  context.imageSmoothingQuality = "high";
  const width = picture.width * fit;
  const height = picture.height * fit;
  context.drawImage(picture, (side - width) / 2, (side - height) / 2, width, height);
}

/** Decodes a file for showing. The engine decodes it by its own rules. */
export async function decodeForShow(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch (cause) {
    throw new Error("This file can't be shown as a picture. Is it an image in a format that this browser knows?", { cause });
  }
}
