// The page's models loaded once more, with what only some views need: the last map, or the gradient.

import { loadPageDetector } from "./assets.js";
import type { LoadedModel } from "./models.js";
import type { Detector } from "itp-ood";

/** What a model can be loaded with. */
export type Extra = "evidence" | "gradient";

const loaded = new WeakMap<LoadedModel, Partial<Record<Extra, Promise<Detector>>>>();

/** The model with one of these; asked for once. Its `info` says if there is none, and why. */
export function detectorWith(extra: Extra, model: LoadedModel): Promise<Detector> {
  const known = loaded.get(model) ?? {};
  loaded.set(model, known);
  const loading = (known[extra] ??= loadPageDetector({ model: model.model, stats: model.stats, [extra]: true }));
  loading.catch(() => delete known[extra]);
  return loading;
}

/** Gives the memory of a model back. */
export function disposeModel(model: LoadedModel): void {
  model.detector.dispose();
  for (const loading of Object.values(loaded.get(model) ?? {}))
    loading.then(
      (detector) => detector.dispose(),
      () => undefined,
    );
}
