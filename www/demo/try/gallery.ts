// The gallery: one picture a button, in groups by model.

import type { App } from "../state/app.js";
import { byId, h } from "../ui/dom.js";
import { type GalleryPicture, pictureOf } from "../state/models.js";

/** So many show at first: two rows on a wide page. */
const FIRST = 18;

/** Fills the gallery; `choose` is told which picture was pressed. */
export function showGallery(app: App, pictures: readonly GalleryPicture[], choose: (picture: GalleryPicture) => void): void {
  const buttons = new Map<GalleryPicture, HTMLButtonElement>();
  const groups = app.entries
    .map((entry) => ({ entry, of: pictures.filter(({ model }) => model === entry.id) }))
    .filter(({ of }) => of.length > 0)
    .map(({ entry, of }) =>
      h(
        "section",
        { "aria-label": `Pictures for the model ${entry.title}` },
        h("div", { class: "gallery-head" }, h("h2", {}, entry.title), more(of.length)),
        h(
          "div",
          { class: "thumbs" },
          ...of.map((picture, i) => {
            const button = h(
              "button",
              { type: "button", class: "thumb", "aria-pressed": "false", hidden: i >= FIRST },
              h("img", { src: pictureOf(picture), alt: "", width: 72, height: 72, loading: "lazy", decoding: "async" }),
              h("span", {}, picture.title),
            );
            button.addEventListener("click", () => choose(picture));
            buttons.set(picture, button);
            return button;
          }),
        ),
      ),
    );
  byId("gallery").replaceChildren(...groups);
  // A picture that a link opens may be one of the hidden ones.
  app.on("subject", () => {
    for (const [picture, button] of buttons) {
      const chosen = app.subject?.gallery === picture;
      button.setAttribute("aria-pressed", String(chosen));
      if (chosen) button.hidden = false;
    }
  });
}

/** Shows the rest of a group. */
function more(count: number): HTMLElement | undefined {
  if (count <= FIRST) return undefined;
  const button = h("button", { type: "button", class: "as-link" }, `All ${count}`);
  button.addEventListener("click", () => {
    const thumbs = button.closest("section")?.querySelectorAll<HTMLElement>(".thumb[hidden]") ?? [];
    for (const thumb of thumbs) thumb.hidden = false;
    button.remove();
    thumbs[0]?.focus();
  });
  return button;
}
