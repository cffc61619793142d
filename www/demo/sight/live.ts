// The score and the verdict on the image with the visitor's cover on it, as it moves.

import { effect, signal } from "@preact/signals-core";
import type { App, Outcome } from "../state/app.js";
import { messageOf } from "../state/errors.js";
import { latest } from "../state/latest.js";
import { toOptions } from "../state/overrides.js";
import { nameOf } from "../state/scores.js";
import type { Cover, Sight } from "../state/sight.js";
import { byId } from "../ui/dom.js";
import { apart, decimal } from "../ui/format.js";
import { iconOf, kindOf, WORDS } from "../ui/verdict.js";
import { covered, pictureOf } from "./picture.js";
import type { Detection } from "itp-ood";

interface Judged {
  outcome: Outcome;
  cover: Cover;
  result: Detection;
  /** Without the cover, by the same way: it may differ in its last digits from the verdict on the file. */
  uncovered: Detection;
}

/** Judges the covered image while it is in view. */
export function startLive(app: App, sight: Sight): void {
  const judged = signal<Judged | undefined>(undefined);
  const uncovered = new WeakMap<Outcome, Promise<Detection>>();
  const judge = latest(async () => {
    const [outcome, cover] = [app.outcome.peek(), sight.cover.peek()];
    if (!outcome) return;
    const { model, subject, overrides } = outcome;
    const options = toOptions(overrides, model.info);
    try {
      const picture = pictureOf(subject, model.info.preprocess);
      const plain = uncovered.get(outcome) ?? model.detector.detect(covered(picture), options);
      uncovered.set(outcome, plain);
      const result = await model.detector.detect(covered(picture, cover), options);
      judged.value = { outcome, cover, result, uncovered: await plain };
    } catch (error) {
      if (app.outcome.peek() === outcome) app.notice.value = messageOf(error);
    }
  });
  effect(() => {
    // Read, so that it follows them.
    const { value: outcome } = app.outcome;
    const { value: cover } = sight.cover;
    if (app.view.value === "why" && sight.way.value === "occlusion" && outcome && cover) judge(undefined);
  });
  effect(() => {
    const of = judged.value?.outcome === app.outcome.value ? judged.value : undefined;
    byId("sight-live").replaceChildren(...(of ? wordsOf(of) : []));
  });
}

function wordsOf({ result, uncovered }: Judged): (Node | string)[] {
  const { score, threshold, scoreName } = result;
  const [value, limit] = threshold === undefined ? [decimal(score), undefined] : apart(score, threshold);
  const kind = kindOf(result);
  const against = limit === undefined ? "" : `, threshold ${limit}`;
  return [
    iconOf(kind),
    `${WORDS[kind].words} with the cover: ${nameOf(scoreName)} ${value}${against}. Without it ${decimal(uncovered.score)}.`,
  ];
}
