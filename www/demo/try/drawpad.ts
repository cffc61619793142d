// The pad: a digit drawn with mouse, finger or pen; each stroke asks for a verdict.

import type { Subject } from "../state/app.js";
import { drawLines, drawPlaced, type Stroke } from "./strokes.js";

/** Width of the line on the pad, in shares of its side. */
const PAD_PEN = 2.2 / 28;
/** The picture for the engine is drawn large, as in training, and brought down there. */
const LARGE = 6 * 28;

/** Strokes that can be watched and cleared. */
export interface DrawPad {
  clear(): void;
  redraw(): void;
}

/** Starts the pad; `onDrawing` hears of the drawing after each stroke and, undefined, of its end. */
export function startDrawPad(canvas: HTMLCanvasElement, onDrawing: (subject: Subject | undefined) => void): DrawPad {
  let strokes: Stroke[] = [];
  let current: { pointer: number; stroke: Stroke } | undefined;
  let pending = 0;

  const at = (event: PointerEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const redraw = (): void => {
    const context = canvas.getContext("2d");
    if (!context) return;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const side = canvas.width;
    drawLines(context, strokes.map((stroke) => stroke.map(([x, y]) => [x * side, y * side])), PAD_PEN * side);
  };
  const report = (): void => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => onDrawing(strokes.length ? subjectOf(strokes) : undefined));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (current || event.button > 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    current = { pointer: event.pointerId, stroke: [at(event)] };
    strokes.push(current.stroke);
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== current?.pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    current.stroke.push(...(events.length ? events : [event]).map(at));
    redraw();
  });
  const end = (event: PointerEvent): void => {
    if (event.pointerId !== current?.pointer) return;
    current = undefined;
    report();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      clear();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      strokes.pop();
      redraw();
      report();
    }
  });
  const clear = (): void => {
    strokes = [];
    redraw();
    report();
  };
  redraw();
  return { clear, redraw };
}

function subjectOf(strokes: readonly Stroke[]): Subject {
  const picture = document.createElement("canvas");
  picture.width = picture.height = LARGE;
  drawPlaced(picture, strokes);
  const context = picture.getContext("2d", { willReadFrequently: true });
  const input = context?.getImageData(0, 0, LARGE, LARGE) ?? picture;
  return { title: "Your drawing", input, picture };
}
