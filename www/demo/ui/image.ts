// Draws images into square canvases.

import type { Subject } from "../state/app.js";

/** Draws an image into a square canvas, uncropped and centred. Small images keep hard pixel edges. */
export function drawImage(canvas: HTMLCanvasElement, image: NonNullable<Subject["drawable"]>, side: number): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  canvas.width = side;
  canvas.height = side;
  const fit = side / Math.max(image.width, image.height);
  const small = Math.max(image.width, image.height) <= 64;
  context.imageSmoothingEnabled = !small;
  context.imageSmoothingQuality = "high";
  const width = image.width * fit;
  const height = image.height * fit;
  context.drawImage(image, (side - width) / 2, (side - height) / 2, width, height);
}

/** Decodes a file for display only; the package decodes it again without colour management. */
export async function decodeForDisplay(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch (cause) {
    throw new Error("This file can't be shown as an image. Is it in an image format that this browser supports?", { cause });
  }
}
