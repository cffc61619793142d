// Icons of the photo model's classes, drawn for this page: outlines in a square of 24.

import { svg } from "../ui/dom.js";

const ICONS: Readonly<Record<string, string>> = {
  airplane: "M12 3c1 0 1.4 1.4 1.4 3v3.4L21 14v2l-7.6-2.2v4l2.3 1.7v1.4L12 20l-3.7.9v-1.4l2.3-1.7v-4L3 16v-2l7.6-4.6V6c0-1.6.4-3 1.4-3Z",
  automobile: "M3 16v-3l2.5-1.2L8 8h7l3 3.8 3 1V16h-2M14.8 16H9.2M5 16H3m4.1-1.6a2 2 0 1 1-.1 0Zm10 0a2 2 0 1 1-.1 0Z",
  bird: "M3 13c4 0 4.5-5 8.5-5 .7-2.4 3.8-3.6 6-1.6l3 .6-2.3 1.8c.4 5-3.2 8.7-7.7 8.7-2 0-3.5-.8-3.5-.8l2.6-1.3C6.6 15.6 4.4 15 3 13Zm12.5-5h.1M11 17.5V21m2.5-3.8V21",
  cat: "M5.5 4 9 7.2a8.5 8.5 0 0 1 6 0L18.5 4v8.5a6.5 6.5 0 0 1-13 0ZM9.5 12v.5m5-.5v.5M12 15.5v.2",
  deer: "M9.3 10.5C9.3 9.3 10.5 8.5 12 8.5s2.7.8 2.7 2l3.3.8-3 1.8c0 4-1 7.4-3 7.4s-3-3.4-3-7.4l-3-1.8ZM9.8 9C7 8.4 6 6 6 3m.4 3.2L3.8 5m10.4 4C17 8.4 18 6 18 3m-.4 3.2L20.2 5",
  dog: "M8.2 5.3C5.3 4.3 3.5 7 3.5 11c0 1.8 1.9 2 2.8.8C6.5 16.5 8.5 20 12 20s5.5-3.5 5.7-8.2c.9 1.2 2.8 1 2.8-.8 0-4-1.8-6.7-4.7-5.7-2-.8-5.6-.8-7.6 0ZM9.5 11v.5m5-.5v.5M11 15h2l-1 1.2Z",
  frog: "M7 5.5a2.6 2.6 0 0 1 2.6 2h4.8A2.6 2.6 0 1 1 19 9.8c1.4 1.2 2 2.7 2 4.2 0 3-4 5-9 5s-9-2-9-5c0-1.5.6-3 2-4.2a2.6 2.6 0 0 1 2-4.3Zm0 2.4v.2m10-.2v.2M6.5 14c3 2 8 2 11 0",
  horse: "M8 21c-.3-4.5.8-6.5 2.6-8.5L7 13.7 4.5 15 3 12.5 7.5 7l.9-3.5L10.5 6c5 .6 8.5 4.5 8.5 11v4M8.6 9v.3",
  ship: "M3 14.5h18L18.5 20h-13ZM6 14.5V10h12v4.5M10 10V5h3.5v5M8.5 12v.5m3.5-.5v.5m3.5-.5v.5",
  truck: "M2.5 16V6.5H13V16H8.8M13 9.5h4l4 3.5v3h-2M15.2 16H13M5 16H2.5m4.6-1.6a2 2 0 1 1-.1 0Zm10 0a2 2 0 1 1-.1 0Z",
};

/** The icon of a class, if there is one. */
export function classIcon(label: string): SVGSVGElement | undefined {
  const path = ICONS[label];
  return path === undefined ? undefined : svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path }));
}
