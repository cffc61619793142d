// What is usual: the energies of held-out ID images under each pruning, for comparison with an image's.

import { effect, type ReadonlySignal, signal } from "@preact/signals-core";
import type { App } from "./app.js";
import type { LoadedModel } from "./models.js";
import { type Overrides, toOptions } from "./overrides.js";
import type { Energies } from "itp-ood";

/** Medians over the held-out ID images, where the stats file has them. */
export interface Usual {
  readonly model: LoadedModel;
  readonly overrides: Overrides;
  readonly energies: Pick<Energies, "plain" | "crp" | "itp">;
  readonly images: number;
}

export type Reference = ReadonlySignal<Usual | undefined>;

/** Follows model and hyperparameters while a section that shows it is open. */
export function usualEnergies(app: App): Reference {
  const usual = signal<Usual | undefined>(undefined);
  let waiting: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const outcome = app.outcome.value;
    if (!outcome?.result.energies || (app.view.value !== "why" && app.view.value !== "play")) return;
    const { model, overrides } = outcome;
    if (usual.peek()?.model === model && usual.peek()?.overrides === overrides) return;
    if (usual.peek()?.model !== model) usual.value = undefined;
    clearTimeout(waiting);
    // A slider that is being dragged comes first.
    waiting = setTimeout(() => {
      load(model, overrides).then(
        (found) => {
          const { model: now, overrides: used } = app.outcome.peek() ?? {};
          if (now === model && used === overrides) usual.value = found;
        },
        // Without a reference the chart still says what it has to.
        () => undefined,
      );
    }, PAUSE);
  });
  return usual;
}

/** Milliseconds. */
const PAUSE = 120;

async function load(model: LoadedModel, overrides: Overrides): Promise<Usual | undefined> {
  const { detector, info } = model;
  const options = toOptions(overrides, info);
  const [plain, crp, itp] = await Promise.all(["energy", "crp", "itp"].map((score) => detector.idScores(score, { ...options, score })));
  if (!plain?.length || !crp?.length || !itp?.length) return undefined;
  return { model, overrides, energies: { plain: median(plain), crp: median(crp), itp: median(itp) }, images: plain.length };
}

/** Of sorted values. */
function median(values: Float32Array): number {
  const middle = (values.length - 1) / 2;
  return ((values[Math.floor(middle)] as number) + (values[Math.ceil(middle)] as number)) / 2;
}
