// What the model knows: its classes, beside the image.

import { effect } from "@preact/signals-core";
import type { App } from "../state/app.js";
import { byId, h } from "../ui/dom.js";
import { count } from "../ui/format.js";
import { classIcon } from "./class-icons.js";

/** More classes are shown when asked for. */
const MOST_SHOWN = 24;
/** Of still more, these are shown at most. */
const MOST_LISTED = 200;

/** Fills the list of classes; the predicted one is marked. */
export function showClasses(app: App): void {
  const list = byId("classes");
  effect(() => {
    const { info, title, hint } = app.current.value ?? {};
    byId("knows").hidden = !info;
    if (!info) return;
    const { labels } = info;
    byId("knows-title").textContent = `${title ?? "The model"} knows ${count(labels.length)} classes, and nothing else`;
    byId("knows-hint").textContent = hint ?? "";
    fill(list, labels, MOST_SHOWN);
  });
}

function fill(list: HTMLElement, labels: readonly string[], most: number): void {
  const rest = labels.length - most;
  list.replaceChildren(
    ...labels.slice(0, most).map((label) => h("li", { class: "chip" }, classIcon(label), h("span", {}, label))),
    ...(rest > 0 ? [h("li", { class: "chip" }, most < MOST_LISTED ? moreButton(list, labels, rest) : `and ${count(rest)} more`)] : []),
  );
}

function moreButton(list: HTMLElement, labels: readonly string[], rest: number): HTMLElement {
  const button = h("button", { type: "button", class: "as-link" }, `and ${count(rest)} more`);
  button.addEventListener("click", () => {
    fill(list, labels, MOST_LISTED);
    list.tabIndex = -1;
    list.focus();
  });
  return button;
}
