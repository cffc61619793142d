// Scores of both sets and what follows from them.

import type { App } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import { inOrder } from "../state/scores.js";
import type { ImageSet, Side } from "./sets.js";
import type { Metrics } from "itp-ood";

/** Scores of both sets and the resulting metrics, by the score's name. */
export interface Scores {
  id: Map<string, Float64Array>;
  ood: Map<string, Float64Array>;
  metrics: Map<string, Metrics>;
  /** The thresholds that the stats file gives under these hyperparameters, where it has any. */
  thresholds: Map<string, number>;
}

/** Scores both sets by every score that the model has. */
export async function scoreSets(app: App, sets: Readonly<Record<Side, ImageSet>>): Promise<Scores> {
  const { detector, info } = sets.id.model;
  const overrides = app.overrides.peek();
  const result: Scores = { id: new Map(), ood: new Map(), metrics: new Map(), thresholds: new Map() };
  const [first] = sets.id.features;
  for (const name of inOrder(info.scores)) {
    const options = { ...toOptions(overrides, info), score: name };
    const id = await detector.scores(sets.id.features, options);
    const ood = await detector.scores(sets.ood.features, options);
    result.id.set(name, id);
    result.ood.set(name, ood);
    result.metrics.set(name, await detector.metrics(id, ood));
    const { threshold } = first ? await detector.rescore(first, options) : {};
    if (threshold !== undefined) result.thresholds.set(name, threshold);
  }
  return result;
}

/** How many scores a threshold accepts. */
export const accepted = (scores: Float64Array, threshold: number): number =>
  scores.reduce((sum, score) => sum + (score >= threshold ? 1 : 0), 0);
