// The drawing pad for mouse, finger and pen; the detector runs after each stroke.

import type { Subject } from "../state/app.js";
import { drawCentred, drawLines, type Stroke } from "./strokes.js";

/** Line width on the pad, relative to its side. */
const PAD_PEN = 2.2 / 28;
/** Side of the image given to the detector. It is drawn large and scaled down there, as in training. */
const IMAGE_SIDE = 6 * 28;

/** Controls the pad. */
export interface DrawPad {
  clear(): void;
}

/** Starts the pad. `onDrawing` gets the drawing after each stroke, and undefined when it is cleared. */
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
    drawLines(
      context,
      strokes.map((stroke) => stroke.map(([x, y]) => [x * side, y * side])),
      PAD_PEN * side,
    );
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
  return { clear };
}

function subjectOf(strokes: readonly Stroke[]): Subject {
  const image = document.createElement("canvas");
  image.width = image.height = IMAGE_SIDE;
  drawCentred(image, strokes);
  const context = image.getContext("2d", { willReadFrequently: true });
  const input = context?.getImageData(0, 0, IMAGE_SIDE, IMAGE_SIDE) ?? image;
  return { title: "Your drawing", input, drawable: image, series: "draw" };
}
