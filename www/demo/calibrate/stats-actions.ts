// Buttons for a new stats file: download it, or use it on the page.

import type { App } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { h } from "../ui/dom.js";
import { download } from "../ui/files.js";
import type { Source } from "itp-ood";

/** A new stats file, and its network. */
export interface NewStats {
  title: string;
  model: Source;
  bytes: Uint8Array<ArrayBuffer>;
}

/** The buttons. `mark` distinguishes the file from the one it was derived from. */
export function statsActions(app: App, { title, model, bytes }: NewStats, mark = "yours"): [HTMLElement, HTMLElement] {
  const name = `${fileName(title)}${mark === "yours" ? "" : `.${mark}`}.itp.safetensors`;
  const save = h("button", { type: "button", class: "primary" }, `Download ${name}`);
  save.addEventListener("click", () => download(name, bytes, "application/octet-stream"));
  const use = h("button", { type: "button" }, "Use it on this page");
  use.addEventListener("click", async () => {
    try {
      await app.adopt({ id: "own", title: `${title} (${mark})`, model, stats: new Blob([bytes]) });
      location.hash = "#try";
    } catch (error) {
      app.notice.value = messageOf(error);
    }
  });
  return [save, use];
}

/** A title as part of a file name. */
export const fileName = (title: string): string => title.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-");

/** A title without the mark added by {@link statsActions}. */
export const plainTitle = (title: string): string => title.replace(/( \((yours|tuned)\))+$/, "");
