// The strip above Why and Play: which picture this is about, and the verdict on it.

import type { App } from "../state/app.js";
import { byId } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { showPicture } from "../ui/image.js";
import { nameOf } from "../state/overrides.js";
import { shapeOf, verdictOf } from "../ui/verdict.js";
import { isShown } from "./navigation.js";

/** Starts the strip. */
export function startSubject(app: App): void {
  const strip = byId("subject");
  const show = (): void => {
    strip.hidden = !app.result || !(isShown("why") || isShown("play"));
    const { result, subject } = app;
    if (!result || strip.hidden) return;
    const { kind, words, advice } = verdictOf(result);
    strip.dataset["kind"] = kind;
    byId("subject-verdict").replaceChildren(shapeOf(kind), words);
    const against = result.threshold === undefined ? "" : ` against ${decimal(result.threshold)}`;
    byId("subject-answer").textContent = `${nameOf(result.scoreName)} ${decimal(result.score)}${against}. ${advice}`;
    const canvas = byId<HTMLCanvasElement>("subject-picture");
    canvas.hidden = !subject?.picture;
    if (subject?.picture) showPicture(canvas, subject.picture, 112);
  };
  app.on("result", show);
  addEventListener("hashchange", () => setTimeout(show));
}
