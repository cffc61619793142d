// What all charts share: a responsive SVG, text, and an axis of scores.

import { type ScaleLinear, scaleLinear } from "d3-scale";
import { svg } from "../ui/dom.js";

/** An SVG in CSS pixels, so that text keeps its size. */
export interface Frame {
  svg: SVGSVGElement;
  width: number;
  height: number;
}

/** Maps values to pixels. */
export type Scale = ScaleLinear<number, number>;

/** A linear scale from `domain` to `pixels`. */
export function scale(domain: readonly [number, number], pixels: readonly [number, number]): Scale {
  return scaleLinear(domain, pixels);
}

/** In less there is no place beside the margins: a section that is hidden, a page that is being photographed. */
const LEAST_WIDTH = 80;

/**
 * Adds a chart to `container`. `draw` fills the empty frame and returns the chart's text alternative.
 * The chart is redrawn when its width changes, and by the returned function.
 */
export function chart(container: HTMLElement, heightOf: (width: number) => number, draw: (frame: Frame) => string | undefined): () => void {
  const root = svg("svg", { role: "img" });
  container.append(root);
  let width = 0;
  const redraw = (): void => {
    width = container.clientWidth;
    if (width < LEAST_WIDTH) return;
    const height = heightOf(width);
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.setAttribute("width", String(width));
    root.setAttribute("height", String(height));
    root.replaceChildren();
    const description = draw({ svg: root, width, height });
    root.setAttribute("aria-label", description ?? "Nothing to show yet");
  };
  new ResizeObserver(() => {
    if (container.clientWidth !== width) redraw();
  }).observe(container);
  return redraw;
}

/** The ticks of a horizontal axis of this width, about one per 90 pixels, with their labels. */
export function ticks(x: Scale, width: number, least: number): { value: number; text: string }[] {
  const count = Math.max(least, width / 90);
  const format = x.tickFormat(count);
  return x.ticks(count).map((value) => ({ value, text: format(value) }));
}

/** Text in a chart. */
export function label(text: string, x: number, y: number, kind = "", anchor: "start" | "middle" | "end" = "start"): SVGTextElement {
  return svg("text", { x, y, class: kind, "text-anchor": anchor }, text);
}
