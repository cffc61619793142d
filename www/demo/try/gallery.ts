// The gallery: what a model knows, what it does not, and what is tricky; each image is a button.

import { effect } from "@preact/signals-core";
import type { App } from "../state/app.js";
import { type Game, keyOf } from "../state/game.js";
import { type GalleryImage, galleryUrl, type ModelEntry } from "../state/models.js";
import type { OwnImages } from "../state/own-images.js";
import { byId, h } from "../ui/dom.js";
import { kindOf, iconOf } from "../ui/verdict.js";
import { openFile, openGalleryImage } from "./open.js";

/** Images shown per group at first: one row on a wide page. */
const INITIAL_COUNT = 9;

/** Whether the model, with its own hyperparameters, is right about an image. */
const isRight = ({ truth, expected }: GalleryImage): boolean =>
  (truth !== null) === expected.inDistribution && (truth === null || truth === expected.label);

const isTricky = (image: GalleryImage): boolean => image.tricky === true || !isRight(image);

const GROUPS: readonly { title: string; has: (image: GalleryImage) => boolean }[] = [
  { title: "It knows these", has: (image) => image.truth !== null && !isTricky(image) },
  { title: "It doesn't know these", has: (image) => image.truth === null && !isTricky(image) },
  { title: "Tricky", has: isTricky },
];

/** Fills the gallery. */
export function showGallery(app: App, game: Game, images: readonly GalleryImage[]): void {
  const buttons = new Map<GalleryImage, HTMLButtonElement>();
  byId("gallery").replaceChildren(
    ...app.entries
      .peek()
      .map((entry) => ({ entry, of: images.filter(({ model }) => model === entry.id) }))
      .filter(({ of }) => of.length > 0)
      .map(({ entry, of }) => modelSection(entry, of, (image) => buttons.get(image) ?? addButton(app, image, buttons))),
  );
  effect(() => {
    const shown = app.source.value === "image" ? app.subject.value?.gallery : undefined;
    const guesses = game.guesses.value;
    const playing = game.on.value;
    for (const [image, button] of buttons) {
      const chosen = image === shown;
      button.setAttribute("aria-pressed", String(chosen));
      // An image opened by a link may be hidden.
      if (chosen) button.hidden = false;
      const guess = guesses.get(keyOf(image));
      const badge = playing ? (guess ? (guess.right ? "you were right" : "you were wrong") : "") : isRight(image) ? "" : "model errs";
      const mark = button.querySelector(".badge");
      if (mark) mark.textContent = badge;
    }
  });

  const toggle = byId("game");
  toggle.addEventListener("click", () => game.toggle());
  effect(() => {
    toggle.setAttribute("aria-pressed", String(game.on.value));
    const { right, all } = game.tally.value;
    byId("tally").textContent = !game.on.value
      ? ""
      : all === 0
        ? "Choose an image below."
        : `You foresaw ${right} of ${all} verdict${all === 1 ? "" : "s"}.`;
  });
}

function modelSection(
  { id, title }: ModelEntry,
  images: readonly GalleryImage[],
  buttonOf: (image: GalleryImage) => HTMLButtonElement,
): HTMLElement {
  const wrong = images.filter((image) => !isRight(image)).length;
  return h(
    "section",
    { "aria-label": `Images for the model ${title}`, "data-model": id },
    h(
      "div",
      { class: "gallery-head" },
      h("h3", {}, title),
      h(
        "p",
        { class: "quiet small" },
        `With its own hyperparameters, the model is right about ${images.length - wrong} of these ${images.length}.`,
      ),
    ),
    ...GROUPS.map(({ title: name, has }) => {
      const of = images.filter(has);
      const thumbs = h("div", { class: "thumbs" }, ...of.map(buttonOf));
      for (const [i, button] of Array.from(thumbs.children).entries()) (button as HTMLElement).hidden = i >= INITIAL_COUNT;
      const head = h("div", { class: "group-head" }, h("h4", {}, name), showAllButton(thumbs));
      return h("div", { class: "group" }, head, thumbs);
    }),
  );
}

function addButton(app: App, image: GalleryImage, buttons: Map<GalleryImage, HTMLButtonElement>): HTMLButtonElement {
  const button = h(
    "button",
    { type: "button", class: "thumb", "aria-pressed": "false", "data-file": image.file },
    h("img", { src: galleryUrl(image), alt: "", width: 72, height: 72, loading: "lazy", decoding: "async" }),
    h("span", {}, image.title),
    h("span", { class: "badge" }),
  );
  button.addEventListener("click", () => void app.open({ model: image.model, image: openGalleryImage(image) }));
  buttons.set(image, button);
  return button;
}

/** A button that shows the rest of a group. */
function showAllButton(thumbs: HTMLElement): HTMLElement | undefined {
  const { length } = thumbs.children;
  if (length <= INITIAL_COUNT) return undefined;
  const button = h("button", { type: "button", class: "as-link" }, `All ${length}`);
  button.addEventListener("click", () => {
    const hidden = thumbs.querySelectorAll<HTMLElement>(".thumb[hidden]");
    for (const thumb of hidden) thumb.hidden = false;
    button.remove();
    hidden[0]?.focus();
  });
  return button;
}

/** Shows the visitor's own images, if there are several, each with its verdict. */
export function showOwnImages(app: App, own: OwnImages): void {
  const place = byId("own-images");
  let stop: (() => void)[] = [];
  effect(() => {
    const { value: images } = own.all;
    for (const end of stop) end();
    stop = [];
    place.hidden = images.length === 0;
    byId("own-thumbs").replaceChildren(
      ...images.map((image) => {
        const { file, url, result, problem } = image;
        const mark = h("span", { class: "mark-icon" });
        const words = h("span", { class: "badge" });
        const button = h(
          "button",
          { type: "button", class: "thumb", title: file.path },
          h("img", { src: url, alt: "", width: 72, height: 72, decoding: "async" }),
          h("span", { class: "file-name" }, file.file.name),
          words,
          mark,
        );
        button.addEventListener("click", () => void app.open({ image: openFile(file) }));
        const follow = effect(() => {
          const { value } = result;
          mark.replaceChildren(...(value ? [iconOf(kindOf(value))] : []));
          words.textContent = value
            ? { in: "familiar", out: "unfamiliar", none: "no verdict" }[kindOf(value)]
            : problem.value
              ? "can't be read"
              : "…";
        });
        stop.push(follow);
        return button;
      }),
    );
  });
  effect(() => {
    const results = own.all.value.map(({ result, problem }) => ({ result: result.value, problem: problem.value }));
    const of = (kind: string): number => results.filter(({ result }) => result && kindOf(result) === kind).length;
    const broken = own.all.value.filter(({ problem }) => problem.value !== undefined).map(({ file }) => file.path);
    byId("own-summary").textContent =
      `${results.length} images: ${of("in")} familiar, ${of("out")} unfamiliar.${broken.length ? ` Can't be read: ${broken.join(", ")}.` : ""}`;
  });
}
