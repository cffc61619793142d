// A map of signed values over the greyed crop, with a legend: blue above zero, orange below, in proportion.

import type { Subject } from "../state/app.js";
import { cropOf } from "../ui/crop.js";
import { byId } from "../ui/dom.js";
import { decimal, signed } from "../ui/format.js";
import type { Preprocess } from "itp-ood";

/** Values over the crop, row by row from the top left. */
export interface Overlay {
  values: Float32Array;
  columns: number;
  rows: number;
  /** What has the full colour; larger values have it, too. */
  full: number;
}

/** Sides of the drawn crop, at most. */
const SIDE = 448;

/** Told apart by eyes of every kind, on grey, in light and dark. */
const ABOVE = [38, 102, 240] as const;
const BELOW = [240, 106, 12] as const;
/** Of 255: the crop shines through. */
const STRENGTH = 200;

/** Draws the crop. */
export function drawCrop(canvas: HTMLCanvasElement, image: Subject["drawable"], preprocess: Preprocess): void {
  const { part } = cropOf(preprocess, image);
  const factor = SIDE / Math.max(part.width, part.height);
  canvas.width = Math.max(1, Math.round(part.width * factor));
  canvas.height = Math.max(1, Math.round(part.height * factor));
  const context = canvas.getContext("2d");
  if (!context) return;
  // Few pixels keep their edges.
  context.imageSmoothingEnabled = Math.max(part.width, part.height) > 64;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, part.left, part.top, part.width, part.height, 0, 0, canvas.width, canvas.height);
}

/** Draws a map, one pixel a value; the style sheet enlarges it. */
export function drawMap(canvas: HTMLCanvasElement, { values, columns, rows, full }: Overlay): void {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  values.forEach((value, i) => {
    const share = full > 0 ? Math.min(1, Math.abs(value) / full) : 0;
    image.data.set([...(value < 0 ? BELOW : ABOVE), Math.round(STRENGTH * share)], 4 * i);
  });
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

/** Fills the legend. */
export function showScale({ values, full }: Overlay, unit: string, texts: { below: string; above: string }): void {
  const digits = full === 0 ? 2 : Math.max(2, Math.min(6, 1 - Math.floor(Math.log10(full))));
  const isClipped = values.some((value) => Math.abs(value) > full);
  byId("sight-low").textContent = `${signed(-full, digits)}${isClipped ? " or less" : ""}`;
  byId("sight-high").textContent = `${signed(full, digits)}${isClipped ? " or more" : ""}`;
  byId("sight-below").textContent = texts.below;
  byId("sight-above").textContent = texts.above;
  byId("sight-unit").textContent = unit;
}

/** The value at a place, for who points at it, and where it is. */
export function describeAt({ values, columns, rows, full }: Overlay, x: number, y: number): string {
  const [column, row] = [Math.min(columns - 1, Math.floor(x * columns)), Math.min(rows - 1, Math.floor(y * rows))];
  const digits = full === 0 ? 2 : Math.max(2, Math.min(6, 2 - Math.floor(Math.log10(full))));
  return `Row ${row + 1}, column ${column + 1}: ${signed(values[row * columns + column] as number, digits)}`;
}

/** Where the map is strongest, in words. */
export function describeStrongest({ values, columns, rows }: Overlay): string {
  const at = values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best] as number) ? i : best), 0);
  const place = placeOf((at % columns) / columns + 0.5 / columns, Math.floor(at / columns) / rows + 0.5 / rows);
  return `the strongest, ${signed(values[at] as number)}, ${place}`;
}

/** A place as one of nine. */
export function placeOf(x: number, y: number): string {
  const across = x < 1 / 3 ? "left" : x > 2 / 3 ? "right" : "";
  const down = y < 1 / 3 ? "upper" : y > 2 / 3 ? "lower" : "";
  if (across && down) return `at the ${down} ${across}`;
  if (across) return `at the ${across}`;
  return down ? `at the ${down === "upper" ? "top" : "bottom"}` : "in the middle";
}

/** A sum, told by its parts' rounded values. */
export const rounded = (value: number): number => Math.round(value * 100) / 100;

export const plain = (value: number): string => decimal(rounded(value));
