// The card of the section Try with the verdict, or with the question what it will be.

import { effect } from "@preact/signals-core";
import { axisChart } from "../chart/axis.js";
import type { App } from "../state/app.js";
import type { Game } from "../state/game.js";
import { nameOf, warningOn } from "../state/scores.js";
import { whenShown } from "../state/views.js";
import { byId, h } from "../ui/dom.js";
import { apart, percent, probability } from "../ui/format.js";
import { iconOf, verdictOf } from "../ui/verdict.js";
import type { Detection } from "itp-ood";

/** Screen readers announce only changes. */
function set(id: string, text: string): void {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Starts the card. */
export function startVerdictCard(app: App, game: Game): void {
  const card = byId("verdict");
  const drawAxis = axisChart(byId("try-axis"), () => (game.hides.value ? undefined : app.outcome.value), { small: () => true });
  whenShown(app, "try", drawAxis);

  effect(() => {
    const outcome = app.outcome.value;
    const failure = app.failure.value;
    const waits = app.subject.value !== undefined || app.current.value === undefined;
    const hidden = outcome !== undefined && game.hides.value;
    card.setAttribute("aria-busy", String(!outcome && failure === undefined && waits));
    byId("guess").hidden = !hidden;
    if (outcome && !hidden) {
      const { kind, words, term, says, advice, other } = verdictOf(outcome);
      if (card.dataset["kind"] !== kind) byId("verdict-shape").replaceChildren(iconOf(kind));
      card.dataset["kind"] = kind;
      set("verdict-words", words);
      set("verdict-term", term);
      set("verdict-says", says);
      set("verdict-advice", advice);
      set("verdict-other", other);
      showFigures(outcome.result);
      return;
    }
    card.dataset["kind"] = "";
    byId("verdict-shape").replaceChildren();
    const [words, term] = hidden
      ? ["Does the model know this?", "Guess what the verdict will be."]
      : failure !== undefined
        ? ["No verdict", failure]
        : waits
          ? ["Loading …", app.current.value ? "The image is being judged." : "The model is being loaded."]
          : ["No image yet", "Draw something, or choose an image."];
    set("verdict-words", words);
    set("verdict-term", term);
    for (const id of ["verdict-says", "verdict-advice", "verdict-other"]) set(id, "");
    for (const id of ["score", "threshold", "p-value"]) set(id, "–");
    byId("top").replaceChildren();
  });

  effect(() => {
    const { model, result } = app.outcome.value ?? {};
    set("verdict-warning", model && result ? warningOn(result.scoreName, model.id, app.separation.value) : "");
  });
  effect(() => {
    const guess = game.guess.value;
    set("guessed", guess ? (guess.right ? "You guessed right." : "You guessed otherwise.") : "");
  });
  byId("guess-in").addEventListener("click", () => game.take(true));
  byId("guess-out").addEventListener("click", () => game.take(false));
}

function showFigures(result: Detection): void {
  const { score, threshold, pValue } = result;
  const [scoreText, thresholdText] = threshold === undefined ? [apart(score, score)[0], "none"] : apart(score, threshold);
  set("score-name", `${nameOf(result.scoreName)} score`);
  set("score", scoreText);
  set("threshold", thresholdText);
  set("p-value", pValue === undefined ? "none" : probability(pValue));
  byId("top").replaceChildren(
    ...result.topK.map(({ label, probability: share }) =>
      h(
        "li",
        {},
        h("span", { class: "top-label" }, label),
        h("span", { class: "top-bar", "aria-hidden": "true" }, bar(share)),
        h("span", { class: "top-share" }, percent(share, share < 0.995 && share >= 0.001 ? 1 : 0)),
      ),
    ),
  );
}

function bar(share: number): HTMLElement {
  const element = h("span");
  element.style.width = `${share * 100}%`;
  return element;
}
