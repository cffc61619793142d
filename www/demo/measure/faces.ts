// The measured images themselves: along the axis of scores, and the worst mistakes.

import type { App } from "../state/app.js";
import { openFile } from "../try/open.js";
import { h } from "../ui/dom.js";
import type { ChosenFile } from "../ui/files.js";
import { decimal } from "../ui/format.js";
import type { ImageSet, Side } from "./sets.js";

/** Side of a face, in pixels, and what is left free between two. */
const FACE = 34;
const GAP = 4;
const MOST_WORST = 6;

const urls = new WeakMap<File, string>();

/** An address to show a file by; it lasts as long as the page. */
function urlOf(file: File): string {
  const url = urls.get(file) ?? URL.createObjectURL(file);
  urls.set(file, url);
  return url;
}

/** A set with the scores of its images. */
export interface Scored {
  side: Side;
  set: ImageSet;
  scores: Float64Array;
}

/** Opens a measured image in the section Why. */
function explain(app: App, file: ChosenFile): void {
  void app.open({ image: openFile(file) }).then(() => (location.hash = "#why"));
}

function face(app: App, { set, side }: Scored, i: number, score: number, accepted: boolean): HTMLButtonElement {
  const file = set.files[i] as ChosenFile;
  const isMistake = accepted !== (side === "id");
  const words = `${file.gallery?.title ?? file.path}, ${decimal(score)}, ${accepted ? "accepted" : "rejected"}${isMistake ? " by mistake" : ""}: see why`;
  const button = h(
    "button",
    { type: "button", class: isMistake ? "face mistake" : "face", title: words, "aria-label": words },
    h("img", { src: urlOf(file.file), alt: "", width: FACE, height: FACE, loading: "lazy", decoding: "async" }),
  );
  button.addEventListener("click", () => explain(app, file));
  return button;
}

/** Indices by ascending score. */
const ascending = (scores: Float64Array): number[] =>
  Array.from(scores.keys()).sort((a, b) => (scores[a] as number) - (scores[b] as number));

/** A row of images at their scores' places, as many as have room. */
export function faceRow(app: App, scored: Scored, position: (score: number) => number, width: number, threshold: number): HTMLElement {
  const { scores, side } = scored;
  const row = h("div", { class: "faces", role: "group", "aria-label": side === "id" ? "ID images by score" : "OOD images by score" });
  let free = 0;
  for (const i of ascending(scores)) {
    const score = scores[i] as number;
    const left = Math.max(0, Math.min(width - FACE, position(score) - FACE / 2));
    if (left < free) continue;
    free = left + FACE + GAP;
    const button = face(app, scored, i, score, score >= threshold);
    button.style.left = `${left}px`;
    row.append(button);
  }
  return row;
}

/** The images on the wrong side that are farthest from the threshold. */
export function worst(app: App, scored: Scored, threshold: number): HTMLElement[] {
  const { scores, side, set } = scored;
  const order = ascending(scores);
  if (side === "ood") order.reverse();
  const wrong = order.filter((i) => (scores[i] as number) >= threshold !== (side === "id"));
  return wrong.slice(0, MOST_WORST).map((i) => {
    const score = scores[i] as number;
    const caption = h("figcaption", { class: "small" }, `${set.labels[i] ?? ""} `, h("span", { class: "quiet" }, decimal(score)));
    return h("figure", {}, face(app, scored, i, score, score >= threshold), caption);
  });
}
