// What the model knows: its classes, beside the image.

import { effect } from "@preact/signals-core";
import type { App } from "../state/app.js";
import { byId, h } from "../ui/dom.js";
import { count } from "../ui/format.js";
import { classIcon } from "./class-icons.js";

/** More classes are only counted. */
const MOST_SHOWN = 24;

/** Fills the list of classes; the predicted one is marked. */
export function showClasses(app: App): void {
  const list = byId("classes");
  effect(() => {
    const { info, title } = app.current.value ?? {};
    byId("knows").hidden = !info;
    if (!info) return;
    const { labels } = info;
    byId("knows-title").textContent = `${title ?? "The model"} knows ${count(labels.length)} classes, and nothing else`;
    const rest = labels.length - MOST_SHOWN;
    list.replaceChildren(
      ...labels.slice(0, MOST_SHOWN).map((label) => h("li", { class: "chip" }, classIcon(label), h("span", {}, label))),
      ...(rest > 0 ? [h("li", { class: "chip" }, `and ${count(rest)} more`)] : []),
    );
  });
}
