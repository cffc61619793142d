// Occlusion: how the score changes when a spot of the image is covered, for any network.

import type { Outcome } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import { nameOf } from "../state/scores.js";
import { count, signed } from "../ui/format.js";
import { type Overlay, placeOf, plain } from "./overlay.js";
import { covered, type Picture } from "./picture.js";
import type { Detection, RawImage } from "itp-ood";

/** Centres of covers lie half a cover apart. */
export function gridOf({ width, height }: Picture["part"], size: number): { columns: number; rows: number } {
  const step = (size * Math.min(width, height)) / 2;
  return { columns: Math.max(1, Math.round(width / step)), rows: Math.max(1, Math.round(height / step)) };
}

/** The picture, then every covered copy of it, made when it is its turn. */
function* copies(picture: Picture, { columns, rows }: { columns: number; rows: number }, size: number): Generator<RawImage> {
  yield covered(picture);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) yield covered(picture, { x: (column + 0.5) / columns, y: (row + 0.5) / rows, size });
}

export interface Occlusion {
  overlay: Overlay;
  words: string;
}

/** Covers one spot after the other. Values are how far the score falls. */
export async function occlude(
  { model, overrides }: Outcome,
  picture: Picture,
  size: number,
  { signal, progress }: { signal: AbortSignal; progress(done: number, total: number): void },
): Promise<Occlusion> {
  const { columns, rows } = gridOf(picture.part, size);
  const total = 1 + columns * rows;
  const results: Detection[] = [];
  const options = {
    ...toOptions(overrides, model.info),
    signal,
    onProgress: ({ done }: { done: number }) => progress(done, total),
  };
  for await (const { detection, error } of model.detector.detectAll(copies(picture, { columns, rows }, size), options)) {
    if (error) throw error;
    results.push(detection);
  }
  const [uncovered, ...others] = results as [Detection, ...Detection[]];
  const values = Float32Array.from(others, ({ score }) => uncovered.score - score);
  const full = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const turned = others.filter(({ inDistribution }) => inDistribution !== uncovered.inDistribution).length;
  const overlay = { values, columns, rows, full };
  return { overlay, words: describe(overlay, uncovered, turned) };
}

function describe({ values, columns, rows }: Overlay, { score, scoreName, threshold, inDistribution }: Detection, turned: number): string {
  const at = values.reduce((best, value, i) => (value > (values[best] as number) ? i : best), 0);
  const place = placeOf((at % columns) / columns + 0.5 / columns, Math.floor(at / columns) / rows + 0.5 / rows);
  const most = values[at] as number;
  const strongest = most > 0 ? `It falls most, by ${plain(most)}, ${place}.` : `No cover lowers it; the least change is ${signed(-most)}.`;
  const verdicts =
    threshold === undefined
      ? ""
      : turned === 0
        ? ` No cover turns the verdict.`
        : ` ${count(turned)} of the ${count(values.length)} covers turn the verdict to ${inDistribution ? "unfamiliar" : "familiar"}.`;
  return `Uncovered, the ${nameOf(scoreName)} score is ${plain(score)}. ${strongest}${verdicts}`;
}
