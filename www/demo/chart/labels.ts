// Places a chart's labels so that they meet neither each other nor its marks.

import { label } from "./frame.js";

/** A rectangle in pixels. */
export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Where a label may stand: its anchor, and its baseline. */
export interface Spot {
  x: number;
  y: number;
  anchor: "start" | "middle" | "end";
}

const meet = (a: Box, b: Box): boolean => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

/** Fonts by class, as in charts.css. */
const FONTS: Readonly<Record<string, string>> = {
  tick: "12px",
  "axis-title": "12px",
  "threshold-text": "600 12.5px",
  "mark-text": "650 13px",
};
/** Around a label's text. */
const GAP = 3;
const TALL = 12;

let pen: OffscreenCanvasRenderingContext2D | null = null;
const widths = new Map<string, number>();

/** The width of a text in a chart. */
export function widthOf(text: string, kind: string): number {
  const font = `${FONTS[kind] ?? "12.5px"} ${getComputedStyle(document.body).fontFamily}`;
  const key = `${font} ${text}`;
  const known = widths.get(key);
  if (known !== undefined) return known;
  pen ??= new OffscreenCanvas(1, 1).getContext("2d");
  if (!pen) return text.length * 7;
  pen.font = font;
  const { width } = pen.measureText(text);
  widths.set(key, width);
  return width;
}

/** The labels of one chart. */
export class Labels {
  readonly #root: SVGSVGElement;
  readonly #width: number;
  readonly #taken: Box[] = [];
  /** What a label crosses as little as there is place. */
  readonly #lines: Box[] = [];

  constructor(root: SVGSVGElement, width: number) {
    this.#root = root;
    this.#width = width;
  }

  /** Keeps labels away from a mark. */
  keepFree(box: Box): void {
    this.#taken.push(box);
  }

  /** Keeps labels away from a line, if there is another place for them. */
  avoid(box: Box): void {
    this.#lines.push(box);
  }

  /** Writes a label at the first of these spots that is free of lines, or crosses the fewest; nowhere, and false, if marks or labels take all of them. */
  place(text: string, kind: string, spots: readonly Spot[]): boolean {
    const width = widthOf(text, kind);
    const all = spots.map((spot) => this.#boxAt(spot, width)).filter(({ box }) => !this.#taken.some((other) => meet(box, other)));
    const crossed = all.map(({ box }) => this.#lines.filter((line) => meet(box, line)).length);
    const best = all[crossed.indexOf(Math.min(...crossed))];
    if (!best) return false;
    this.#taken.push(best.box);
    this.#root.append(label(text, best.x, best.y, `${kind} halo`));
    return true;
  }

  /** A spot, moved into the chart. */
  #boxAt({ x, y, anchor }: Spot, width: number): { box: Box; x: number; y: number } {
    const wanted = anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2;
    const left = Math.max(2, Math.min(this.#width - width - 2, wanted));
    return { box: { left: left - GAP, right: left + width + GAP, top: y - TALL, bottom: y + GAP }, x: left, y };
  }
}
