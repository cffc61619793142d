// The explanation of each class of a result, and the state of every weight; each is asked for once.

import type { Outcome } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import type { Detection, Explanation } from "itp-ood";

/** Up to this many classes are explained in advance, so that pointing responds at once. */
const MAX_PRELOADED_CLASSES = 20;

interface Known {
  classes: Map<number, Promise<Explanation>>;
  states?: Promise<Uint8Array>;
}

const known = new WeakMap<Detection, Known>();

function knownOf({ result }: Outcome): Known {
  const of = known.get(result) ?? { classes: new Map<number, Promise<Explanation>>() };
  known.set(result, of);
  return of;
}

/** Every weight of a class. */
export function explain(outcome: Outcome, classIndex: number): Promise<Explanation> {
  const { classes } = knownOf(outcome);
  const { model, overrides, result } = outcome;
  const explanation = classes.get(classIndex) ?? model.detector.explain(result, { ...toOptions(overrides, model.info), class: classIndex });
  classes.set(classIndex, explanation);
  return explanation;
}

/** The reason of every weight, class by class. */
export function weightStates(outcome: Outcome): Promise<Uint8Array> {
  const of = knownOf(outcome);
  const { model, overrides, result } = outcome;
  return (of.states ??= model.detector.weightMap(result, toOptions(overrides, model.info)));
}

/** Explains all classes, unless they are many. */
export async function preload(outcome: Outcome): Promise<void> {
  const { labels } = outcome.model.info;
  if (labels.length <= MAX_PRELOADED_CLASSES) await Promise.all(labels.map((_, k) => explain(outcome, k)));
}
