// Names, marks and colours of the four states of a weight.

import { h } from "../ui/dom.js";
import { count, percent } from "../ui/format.js";
import { Reason } from "itp-ood";
import type { Detection } from "itp-ood";

/** Indexed by {@link Reason}. */
export const STATES: readonly { reason: number; name: string; mark: string; css: string }[] = [
  { reason: Reason.Kept, name: "kept", mark: "", css: "--kept" },
  { reason: Reason.Redundant, name: "redundant (CRP)", mark: "–", css: "--redundant" },
  { reason: Reason.Overconfident, name: "overconfident (FTP)", mark: "×", css: "--overconfident" },
  { reason: Reason.Both, name: "both", mark: "+", css: "--both" },
];

/** The states' colours in the current colour scheme; `packed` has 32 bits per pixel, as canvases do. */
export function colours(element: Element): { css: string[]; packed: Uint32Array } {
  const style = getComputedStyle(element);
  const css = STATES.map((state) => style.getPropertyValue(state.css).trim());
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const packed = new Uint32Array(STATES.length);
  css.forEach((colour, i) => {
    if (!context) return;
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    packed[i] = new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0] as number;
  });
  return { css, packed };
}

/** Fills the legend, with the number of weights in each state. */
export function fillLegend(list: HTMLElement, { counts }: Detection): void {
  if (!counts) return list.replaceChildren();
  const numbers = [counts.kept, counts.redundant, counts.overconfident, counts.both];
  list.replaceChildren(
    ...STATES.map(({ name, mark, css }, i) => {
      const swatch = h("span", { class: "swatch", "aria-hidden": "true" }, mark);
      swatch.style.background = `var(${css})`;
      const number = numbers[i] as number;
      return h("li", {}, swatch, h("b", {}, count(number)), ` ${name} `, h("span", { class: "quiet" }, percent(number / counts.total, 1)));
    }),
  );
}
