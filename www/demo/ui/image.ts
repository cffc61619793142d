// Decodes images and draws them into square canvases.

import type { Subject } from "../state/app.js";

/** Draws an image into a square canvas, uncropped and centred. Small images keep hard pixel edges. */
export function drawImage(canvas: HTMLCanvasElement, image: Subject["drawable"], side: number): void {
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
export async function decodeForDisplay(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file);
  } catch (cause) {
    throw new Error(`“${name}” can't be shown as an image. ${adviceOn(file.type, name)}`, { cause });
  }
}

/** Why a browser may not show a file, and what to do about it. */
function adviceOn(type: string, name: string): string {
  if (/svg/i.test(type) || /\.svgz?$/i.test(name)) return "It is a drawing of lines (SVG), not of pixels: save it as PNG first.";
  if (/hei[cf]/i.test(type) || /\.hei[cf]$/i.test(name))
    return "It is in Apple's format HEIC, which this browser can't read: save it as JPEG first. On an iPhone, Settings › Camera › Formats › Most Compatible does so for new photos.";
  if (/tiff?$/i.test(type) || /\.(tiff?|dng|cr2|nef|arw|raw)$/i.test(name))
    return "Browsers can't read this format: save it as JPEG or PNG first.";
  return "The file is damaged, or in a format that this browser can't read: save it as JPEG or PNG.";
}
