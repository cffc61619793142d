// The sections of the page. One is visible at a time.

import { effect } from "@preact/signals-core";
import type { App } from "./app.js";

export const VIEWS = ["try", "why", "play", "measure", "calibrate", "explain"] as const;
export type View = (typeof VIEWS)[number];

/** Calls `draw` whenever the section is visible and what `draw` read has changed. */
export function whenShown(app: App, view: View, draw: () => void): void {
  effect(() => {
    if (app.view.value === view) draw();
  });
}
