// The page's models loaded once more, with what only some views need: the last map, or the gradient.

import { loadPageDetector } from "./assets.js";
import type { LoadedModel } from "./models.js";
import type { Detector } from "itp-ood";

/** What a model can be loaded with. */
export type Extra = "evidence" | "gradient";

const loaded = new WeakMap<LoadedModel, Map<Extra, Promise<Detector>>>();

/** The model with one of these; asked for once. Its `info` says if there is none, and why. */
export function detectorWith(extra: Extra, model: LoadedModel): Promise<Detector> {
  const of = loaded.get(model) ?? new Map<Extra, Promise<Detector>>();
  loaded.set(model, of);
  const known = of.get(extra);
  if (known) return known;
  const loading = loadPageDetector({ model: model.model, stats: model.stats, [extra]: true });
  of.set(extra, loading);
  loading.catch(() => of.delete(extra));
  return loading;
}

/** Gives the memory of a model back. */
export function disposeModel(model: LoadedModel): void {
  model.detector.dispose();
  for (const loading of loaded.get(model)?.values() ?? [])
    loading.then(
      (detector) => detector.dispose(),
      () => undefined,
    );
}
