// How the score depends on every pixel that the network sees: the map of `detector.saliency`.

import type { Outcome } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import { nameOf } from "../state/scores.js";
import { detectorWith } from "../state/special.js";
import { count } from "../ui/format.js";
import { obstacleTo } from "./obstacle.js";
import type { Overlay } from "./overlay.js";

/** This share of the pixels has less than the full colour: a few would outshine all others. */
const SHARE = 0.99;

/** The map, and what it says. */
export async function gradientOf({ model, subject, overrides, result }: Outcome): Promise<{ overlay: Overlay; words: string }> {
  const detector = await detectorWith("gradient", model);
  obstacleTo("gradient", detector.info);
  const slopes = await detector.saliency(subject.input, toOptions(overrides, model.info));
  const [, channels, rows, columns] = detector.info.inputShape;
  const { std } = detector.info.preprocess;
  // From the normalised input to the brightness of a pixel, all channels together.
  const values = new Float32Array(rows * columns);
  slopes.forEach((slope, i) => {
    const at = i % values.length;
    values[at] = (values[at] as number) + slope / (std[Math.floor(i / values.length) % channels] ?? 1);
  });
  const sizes = Array.from(values, Math.abs).sort((a, b) => a - b);
  const overlay = { values, columns, rows, full: sizes[Math.round(SHARE * (sizes.length - 1))] as number };
  return { overlay, words: describe(overlay, nameOf(result.scoreName)) };
}

function describe({ values, columns, rows }: Overlay, score: string): string {
  const raising = values.reduce((number, value) => number + (value > 0 ? 1 : 0), 0);
  return `Brighter, ${count(raising)} of the ${columns} × ${rows} pixels that the network sees would raise the ${score} score, the others would lower it. It is a slope: it holds for small changes only, and nearby pixels often disagree.`;
}
