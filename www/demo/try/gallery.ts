// The gallery: one button per image, grouped by model.

import type { App } from "../state/app.js";
import { type GalleryImage, galleryUrl } from "../state/models.js";
import { byId, h } from "../ui/dom.js";

/** Images shown per group at first: two rows on a wide page. */
const INITIAL_COUNT = 18;

/** Fills the gallery; `choose` gets the image whose button was pressed. */
export function showGallery(app: App, images: readonly GalleryImage[], choose: (image: GalleryImage) => void): void {
  const buttons = new Map<GalleryImage, HTMLButtonElement>();
  const groups = app.entries
    .map((entry) => ({ entry, of: images.filter(({ model }) => model === entry.id) }))
    .filter(({ of }) => of.length > 0)
    .map(({ entry, of }) =>
      h(
        "section",
        { "aria-label": `Images for the model ${entry.title}` },
        h("div", { class: "gallery-head" }, h("h2", {}, entry.title), showAllButton(of.length)),
        h(
          "div",
          { class: "thumbs" },
          ...of.map((image, i) => {
            const button = h(
              "button",
              { type: "button", class: "thumb", "aria-pressed": "false", hidden: i >= INITIAL_COUNT },
              h("img", { src: galleryUrl(image), alt: "", width: 72, height: 72, loading: "lazy", decoding: "async" }),
              h("span", {}, image.title),
            );
            button.addEventListener("click", () => choose(image));
            buttons.set(image, button);
            return button;
          }),
        ),
      ),
    );
  byId("gallery").replaceChildren(...groups);
  // An image opened by a link may be hidden.
  app.on("subject", () => {
    for (const [image, button] of buttons) {
      const chosen = app.subject?.gallery === image;
      button.setAttribute("aria-pressed", String(chosen));
      if (chosen) button.hidden = false;
    }
  });
}

/** A button that shows the rest of a group. */
function showAllButton(count: number): HTMLElement | undefined {
  if (count <= INITIAL_COUNT) return undefined;
  const button = h("button", { type: "button", class: "as-link" }, `All ${count}`);
  button.addEventListener("click", () => {
    const thumbs = button.closest("section")?.querySelectorAll<HTMLElement>(".thumb[hidden]") ?? [];
    for (const thumb of thumbs) thumb.hidden = false;
    button.remove();
    thumbs[0]?.focus();
  });
  return button;
}
