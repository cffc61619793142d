// The cover that the visitor drags over the crop, by pointer and by keys.

import { effect } from "@preact/signals-core";
import type { Sight } from "../state/sight.js";

/** A step of an arrow key, as a share of the crop; with Shift or Ctrl a larger one. */
const STEP = 0.025;
const LARGE_STEP = 0.1;

/** Makes `cover` movable on `stage`, which shows the crop. */
export function startCover(cover: HTMLElement, stage: HTMLElement, sight: Sight): void {
  const at = ({ clientX, clientY }: MouseEvent): [x: number, y: number] => {
    const box = stage.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  /** Where the cover was taken, relative to its centre. */
  let grip: { pointer: number; x: number; y: number } | undefined;
  cover.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    cover.focus({ preventScroll: true });
    cover.setPointerCapture(event.pointerId);
    const [x, y] = at(event);
    const now = sight.cover.peek();
    grip = { pointer: event.pointerId, x: x - now.x, y: y - now.y };
  });
  cover.addEventListener("pointermove", (event) => {
    if (event.pointerId !== grip?.pointer) return;
    const [x, y] = at(event);
    sight.move(x - grip.x, y - grip.y);
  });
  for (const name of ["pointerup", "pointercancel"] as const) cover.addEventListener(name, () => (grip = undefined));
  stage.addEventListener("click", (event) => {
    if (!cover.hidden && !cover.contains(event.target as Node)) sight.move(...at(event));
  });
  cover.addEventListener("keydown", (event) => {
    const step = event.shiftKey || event.ctrlKey ? LARGE_STEP : STEP;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-step, 0],
      ArrowRight: [step, 0],
      ArrowUp: [0, -step],
      ArrowDown: [0, step],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const { x, y } = sight.cover.peek();
    sight.move(x + move[0], y + move[1]);
  });
  effect(() => {
    const { x, y } = sight.cover.value;
    cover.style.left = `${100 * x}%`;
    cover.style.top = `${100 * y}%`;
  });
}
