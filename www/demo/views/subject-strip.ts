// The strip at the lower edge of every section: the image in question, and the verdict on it.

import { effect, signal } from "@preact/signals-core";
import type { App } from "../state/app.js";
import type { Game } from "../state/game.js";
import { nameOf } from "../state/scores.js";
import { byId } from "../ui/dom.js";
import { apart } from "../ui/format.js";
import { drawImage } from "../ui/image.js";
import { iconOf, verdictOf } from "../ui/verdict.js";

/** Starts the strip. */
export function startSubjectStrip(app: App, game: Game): void {
  const strip = byId("subject");
  // In Try, the strip stands in for the verdict's card while that is out of view.
  const cardInView = signal(true);
  new IntersectionObserver(([entry]) => (cardInView.value = entry?.isIntersecting ?? false), { rootMargin: "-60px 0px -40px" }).observe(
    byId("verdict-head"),
  );
  effect(() => {
    const outcome = app.outcome.value;
    const view = app.view.value;
    strip.hidden = !outcome;
    strip.classList.toggle("unneeded", view === "try" && cardInView.value);
    if (!outcome) return;
    byId("subject-another").hidden = view === "try";
    drawImage(byId<HTMLCanvasElement>("subject-image"), outcome.subject.drawable, 112);
    if (view === "try" && game.hides.value) {
      strip.dataset["kind"] = "none";
      byId("subject-verdict").replaceChildren("Does the model know this?");
      byId("subject-text").textContent = "Guess above.";
      return;
    }
    const { kind, words, says } = verdictOf(outcome);
    strip.dataset["kind"] = kind;
    byId("subject-verdict").replaceChildren(iconOf(kind), words);
    const { score, threshold, scoreName } = outcome.result;
    const [value, limit] = threshold === undefined ? [apart(score, score)[0], undefined] : apart(score, threshold);
    byId("subject-text").textContent = `${nameOf(scoreName)} ${value}${limit === undefined ? "" : `, threshold ${limit}`}. ${says}`;
  });
}
