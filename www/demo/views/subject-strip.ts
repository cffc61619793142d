// The strip above Why and Play: the image in question, and the verdict on it.

import type { App } from "../state/app.js";
import { nameOf } from "../state/scores.js";
import { byId } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { drawImage } from "../ui/image.js";
import { iconOf, verdictOf } from "../ui/verdict.js";
import { isShown } from "./navigation.js";

/** Starts the strip. */
export function startSubjectStrip(app: App): void {
  const strip = byId("subject");
  const show = (): void => {
    strip.hidden = !app.result || !(isShown("why") || isShown("play"));
    const { result, subject } = app;
    if (!result || strip.hidden) return;
    const { kind, words, advice } = verdictOf(result);
    strip.dataset["kind"] = kind;
    byId("subject-verdict").replaceChildren(iconOf(kind), words);
    const threshold = result.threshold === undefined ? "" : `, threshold ${decimal(result.threshold)}`;
    byId("subject-text").textContent = `${nameOf(result.scoreName)} ${decimal(result.score)}${threshold}. ${advice}`;
    const canvas = byId<HTMLCanvasElement>("subject-image");
    canvas.hidden = !subject?.drawable;
    if (subject?.drawable) drawImage(canvas, subject.drawable, 112);
  };
  app.on("result", show);
  addEventListener("hashchange", () => setTimeout(show));
}
