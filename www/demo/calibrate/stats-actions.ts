// What can be done with a stats file that was made here.

import type { Source } from "itp-ood";
import type { App } from "../state/app.js";
import { h, wordsOf } from "../ui/dom.js";
import { download } from "../ui/files.js";

/** A stats file that was made here, and its network. */
export interface MadeStats {
  title: string;
  model: Source;
  bytes: Uint8Array<ArrayBuffer>;
}

/** Buttons that download the file, and that put it to use. `mark` tells it from the file it came from. */
export function statsActions(app: App, { title, model, bytes }: MadeStats, mark = "yours"): [HTMLElement, HTMLElement] {
  const name = `${fileName(title)}${mark === "yours" ? "" : `.${mark}`}.itp.safetensors`;
  const save = h("button", { type: "button", class: "primary" }, `Download ${name}`);
  save.addEventListener("click", () => download(name, bytes, "application/octet-stream"));
  const use = h("button", { type: "button" }, "Use it on this page");
  use.addEventListener("click", async () => {
    try {
      await app.add({ id: "own", title: `${title} (${mark})`, model, stats: new Blob([bytes]) });
      await app.use("own");
      location.hash = "#try";
    } catch (thrown) {
      app.tell(wordsOf(thrown));
    }
  });
  return [save, use];
}

/** A title as a part of a file's name. */
export const fileName = (title: string): string => title.replaceAll(/[^\p{L}\p{N}._-]+/gu, "-");

/** A title without what {@link statsActions} added to it. */
export const plainTitle = (title: string): string => title.replace(/( \((yours|tuned)\))+$/, "");
