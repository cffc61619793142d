// The map of all K x D weights: one cell per weight, one row per class.

import { colours, STATES } from "./palette.js";
import { showing, type Window, whole, within, zoomed } from "./window.js";

/** Data of the map. */
export interface MapData {
  /** The {@link Reason} of each weight, class by class. */
  states: Uint8Array;
  labels: readonly string[];
  features: number;
  /** Classes from top to bottom, and features from left to right. */
  rowOrder: readonly number[];
  columnOrder: ArrayLike<number>;
}

/** A weight by its class and feature. */
export interface Weight {
  classIndex: number;
  feature: number;
}

const LABEL_WIDTH = 84;

/** A map that can be pointed at, navigated by keys, zoomed and dragged. */
export class WeightMap {
  readonly #place: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #onPoint: (weight: Weight) => void;
  /** The whole map, one pixel per weight. */
  #bitmap: OffscreenCanvas | undefined;
  #data: MapData | undefined;
  #window: Window = whole(1, 1);
  #cursor = { column: 0, row: 0 };
  #pointed: { classIndex: number; feature?: number } | undefined;
  #drag: { x: number; y: number; window: Window } | undefined;

  constructor(place: HTMLElement, onPoint: (weight: Weight) => void) {
    this.#place = place;
    this.#canvas = place.querySelector("canvas") as HTMLCanvasElement;
    this.#onPoint = onPoint;
    new ResizeObserver(() => this.#draw()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    place.addEventListener("keydown", (event) => this.#key(event));
    place.addEventListener("pointerdown", (event) => {
      this.#drag = { x: event.clientX, y: event.clientY, window: this.#window };
      place.setPointerCapture(event.pointerId);
      this.#pointAt(event);
    });
    place.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"] as const) place.addEventListener(name, () => (this.#drag = undefined));
    place.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    place.addEventListener("focus", () => this.#draw());
    place.addEventListener("blur", () => this.#draw());
  }

  /** Whether the visitor has chosen a weight. */
  touched = false;

  /** The weight under the cursor. */
  get weight(): Weight | undefined {
    const data = this.#data;
    if (!data) return undefined;
    return { classIndex: data.rowOrder[this.#cursor.row] as number, feature: data.columnOrder[this.#cursor.column] as number };
  }

  /** Shows new data; window and cursor are kept if its size is the same. */
  show(data: MapData): void {
    const old = this.#data;
    const weight = this.weight;
    this.#data = data;
    const rows = data.labels.length;
    if (old?.features !== data.features || old.labels.length !== rows) {
      this.#window = whole(data.features, rows);
      this.#cursor = { column: 0, row: 0 };
    } else if (weight) {
      // The cursor stays on its weight in the new order.
      this.#cursor = {
        row: data.rowOrder.indexOf(weight.classIndex),
        column: Array.prototype.indexOf.call(data.columnOrder, weight.feature),
      };
    }
    this.#paint();
  }

  /** Moves the cursor to a weight and scrolls it into view. */
  goTo(weight: Weight): void {
    const data = this.#data;
    if (!data) return;
    this.#moveCursor(Array.prototype.indexOf.call(data.columnOrder, weight.feature), data.rowOrder.indexOf(weight.classIndex));
  }

  /** Marks the row of a class that is pointed at elsewhere, and one of its weights. */
  highlight(pointed: { classIndex: number; feature?: number } | undefined): void {
    this.#pointed = pointed;
    this.#draw();
  }

  /** Zooms in (above 1) or out, around the cursor. */
  zoom(factor: number): void {
    this.#zoomAround(factor, this.#cursor.column + 0.5, this.#cursor.row + 0.5);
  }

  /** Shows all weights. */
  showAll(): void {
    if (this.#data) this.#window = whole(this.#data.features, this.#data.labels.length);
    this.#draw();
  }

  #zoomAround(factor: number, column: number, row: number): void {
    const data = this.#data;
    if (!data) return;
    this.#window = zoomed(this.#window, factor, column, row, data.features, data.labels.length);
    this.#draw();
  }

  #moveCursor(column: number, row: number): void {
    const data = this.#data;
    if (!data) return;
    const rows = data.labels.length;
    this.#cursor = { column: Math.max(0, Math.min(data.features - 1, column)), row: Math.max(0, Math.min(rows - 1, row)) };
    this.#window = showing(this.#window, this.#cursor.column, this.#cursor.row, data.features, rows);
    this.#draw();
    this.#onPoint(this.weight as Weight);
  }

  #key(event: KeyboardEvent): void {
    const { column, row } = this.#cursor;
    const step = event.ctrlKey || event.shiftKey ? 10 : 1;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [column - step, row],
      ArrowRight: [column + step, row],
      ArrowUp: [column, row - step],
      ArrowDown: [column, row + step],
      Home: [0, row],
      End: [Infinity, row],
      PageUp: [column, row - 10],
      PageDown: [column, row + 10],
    };
    const move = moves[event.key];
    if (move) this.touched = true;
    if (move) this.#moveCursor(...move);
    else if (event.key === "+" || event.key === "=") this.zoom(2);
    else if (event.key === "-") this.zoom(0.5);
    else if (event.key === "0") this.showAll();
    else return;
    event.preventDefault();
  }

  #cellAt(event: MouseEvent): { column: number; row: number } | undefined {
    const box = this.#canvas.getBoundingClientRect();
    const { x, y, cell } = this.#layout();
    const column = this.#window.left + (event.clientX - box.left - x) / cell.width;
    const row = this.#window.top + (event.clientY - box.top - y) / cell.height;
    const { left, top, columns, rows } = this.#window;
    return column >= left && column < left + columns && row >= top && row < top + rows ? { column, row } : undefined;
  }

  #pointAt(event: MouseEvent): void {
    const cell = this.#cellAt(event);
    if (!cell) return;
    this.touched = true;
    this.#moveCursor(Math.floor(cell.column), Math.floor(cell.row));
  }

  #move(event: PointerEvent): void {
    const data = this.#data;
    if (!data) return;
    const { cell } = this.#layout();
    const drag = this.#drag;
    const isWhole = this.#window.columns === data.features && this.#window.rows === data.labels.length;
    if (!drag || isWhole) return this.#pointAt(event);
    const moved = {
      left: drag.window.left - (event.clientX - drag.x) / cell.width,
      top: drag.window.top - (event.clientY - drag.y) / cell.height,
    };
    this.#window = within({ ...drag.window, ...moved }, data.features, data.labels.length);
    this.#draw();
  }

  #wheel(event: WheelEvent): void {
    // Zooms only with Ctrl, which pinching on a touch pad also sends; otherwise the page scrolls.
    if (!event.ctrlKey) return;
    event.preventDefault();
    const cell = this.#cellAt(event);
    if (cell) this.#zoomAround(Math.exp(-event.deltaY / 200), cell.column, cell.row);
  }

  #layout(): { x: number; y: number; cell: { width: number; height: number } } {
    const x = this.#hasLabels() ? LABEL_WIDTH : 0;
    const height = this.#height();
    return {
      x,
      y: 0,
      cell: { width: Math.max(1, this.#place.clientWidth - x) / this.#window.columns, height: height / this.#window.rows },
    };
  }

  #hasLabels(): boolean {
    return this.#height() / this.#window.rows >= 13;
  }

  #height(): number {
    const rows = this.#data?.labels.length ?? 1;
    return Math.max(120, Math.min(440, rows * 26));
  }

  /** Repaints the bitmap after the data or the colours have changed. */
  #paint(): void {
    const data = this.#data;
    if (!data) return;
    const { states, features, rowOrder, columnOrder } = data;
    const { packed } = colours(this.#place);
    const rows = rowOrder.length;
    if (this.#bitmap?.width !== features || this.#bitmap.height !== rows) this.#bitmap = new OffscreenCanvas(features, rows);
    const pixels = new Uint32Array(features * rows);
    for (let row = 0, at = 0; row < rows; row++) {
      const start = (rowOrder[row] as number) * features;
      for (let column = 0; column < features; column++)
        pixels[at++] = packed[states[start + (columnOrder[column] as number)] as number] as number;
    }
    const image = new ImageData(new Uint8ClampedArray(pixels.buffer), features, rows);
    this.#bitmap.getContext("2d")?.putImageData(image, 0, 0);
    this.#draw();
  }

  #draw(): void {
    const data = this.#data;
    const bitmap = this.#bitmap;
    const width = this.#place.clientWidth;
    if (!data || !bitmap || width === 0) return;
    const height = this.#height();
    const ratio = devicePixelRatio;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#canvas.style.height = `${height}px`;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    const { left, top, columns, rows } = this.#window;
    const { x, cell } = this.#layout();
    // With more weights than pixels, colours should blend.
    context.imageSmoothingEnabled = cell.width * ratio < 1 || cell.height * ratio < 1;
    context.drawImage(bitmap, left, top, columns, rows, x, 0, width - x, height);
    const style = getComputedStyle(this.#place);
    if (cell.width >= 5) this.#drawGaps(context, x, width, height, cell, style.getPropertyValue("--surface"));
    if (cell.width >= 14) this.#drawMarks(context, x, cell);
    if (this.#hasLabels()) this.#drawLabels(context, cell.height, style);
    this.#drawPointed(context, x, width, cell, style.getPropertyValue("--accent"));
    this.#drawCursor(context, x, cell, style.getPropertyValue("--text"));
  }

  #drawPointed(context: CanvasRenderingContext2D, x: number, width: number, cell: { width: number; height: number }, colour: string): void {
    const { rowOrder, columnOrder } = this.#data as MapData;
    const { left, top, columns, rows } = this.#window;
    const pointed = this.#pointed;
    const row = pointed ? rowOrder.indexOf(pointed.classIndex) - top : -1;
    if (!pointed || row < 0 || row >= rows) return;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(x + 1, row * cell.height + 1, width - x - 2, cell.height - 2);
    if (pointed.feature === undefined) return;
    const column = Array.prototype.indexOf.call(columnOrder, pointed.feature) - left;
    if (column >= 0 && column < columns) context.strokeRect(x + column * cell.width - 1, row * cell.height, cell.width + 2, cell.height);
  }

  #drawGaps(
    context: CanvasRenderingContext2D,
    x: number,
    width: number,
    height: number,
    cell: { width: number; height: number },
    colour: string,
  ): void {
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    for (let column = 0; column <= this.#window.columns; column++) {
      context.moveTo(x + column * cell.width, 0);
      context.lineTo(x + column * cell.width, height);
    }
    for (let row = 0; row <= this.#window.rows; row++) {
      context.moveTo(x, row * cell.height);
      context.lineTo(width, row * cell.height);
    }
    context.stroke();
  }

  /** Marks in the cells, so that the states don't differ by colour alone. */
  #drawMarks(context: CanvasRenderingContext2D, x: number, cell: { width: number; height: number }): void {
    const { states, features, rowOrder, columnOrder } = this.#data as MapData;
    context.fillStyle = "#fff";
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const { left, top, columns, rows } = this.#window;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const state = states[(rowOrder[top + row] as number) * features + (columnOrder[left + column] as number)] as number;
        const mark = STATES[state]?.mark;
        if (mark) context.fillText(mark, x + (column + 0.5) * cell.width, (row + 0.5) * cell.height);
      }
    }
  }

  #drawLabels(context: CanvasRenderingContext2D, tall: number, style: CSSStyleDeclaration): void {
    const { labels, rowOrder } = this.#data as MapData;
    context.fillStyle = style.getPropertyValue("--text");
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let row = 0; row < this.#window.rows; row++) {
      const name = labels[rowOrder[this.#window.top + row] as number] ?? "";
      context.fillText(name.length > 12 ? `${name.slice(0, 11)}…` : name, LABEL_WIDTH - 8, (row + 0.5) * tall);
    }
  }

  #drawCursor(context: CanvasRenderingContext2D, x: number, cell: { width: number; height: number }, colour: string): void {
    const column = this.#cursor.column - this.#window.left;
    const row = this.#cursor.row - this.#window.top;
    if (column < 0 || row < 0 || column >= this.#window.columns || row >= this.#window.rows) return;
    const width = Math.max(6, cell.width);
    const height = Math.max(6, cell.height);
    context.strokeStyle = colour;
    context.lineWidth = document.activeElement === this.#place ? 3 : 2;
    context.strokeRect(x + (column + 0.5) * cell.width - width / 2, (row + 0.5) * cell.height - height / 2, width, height);
  }
}
