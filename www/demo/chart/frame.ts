// The frame of every chart: an SVG as wide as its place, drawn again when that changes.

import { svg } from "../ui/dom.js";

/** What a chart draws with: pixels, so that text keeps its size. */
export interface Frame {
  svg: SVGSVGElement;
  width: number;
  height: number;
}

/**
 * A chart in `place`. `draw` fills the empty frame and returns what the chart shows, in words.
 * The result draws it again.
 */
export function chart(place: HTMLElement, heightOf: (width: number) => number, draw: (frame: Frame) => string | undefined): () => void {
  const root = svg("svg", { role: "img" });
  place.append(root);
  let width = 0;
  const redraw = (): void => {
    width = place.clientWidth;
    if (width === 0) return;
    const height = heightOf(width);
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.setAttribute("width", String(width));
    root.setAttribute("height", String(height));
    root.replaceChildren();
    const words = draw({ svg: root, width, height });
    root.setAttribute("aria-label", words ?? "Nothing to show yet");
  };
  new ResizeObserver(() => {
    if (place.clientWidth !== width) redraw();
  }).observe(place);
  return redraw;
}

/** A linear scale from values to pixels. */
export function scale([low, high]: readonly [number, number], [from, to]: readonly [number, number]): (value: number) => number {
  const factor = high === low ? 0 : (to - from) / (high - low);
  return (value) => from + (value - low) * factor;
}

/** Text in a chart. */
export function label(text: string, x: number, y: number, kind = "", anchor: "start" | "middle" | "end" = "start"): SVGTextElement {
  return svg("text", { x, y, class: kind, "text-anchor": anchor }, text);
}
