// Why a map can't be had from a model, in plain words.

import type { Extra } from "../state/special.js";
import type { DetectorInfo } from "itp-ood";

/** What the engine says, and what it means for visitors. */
const PLAIN: readonly [said: RegExp, means: string][] = [
  [/^the features are no mean over the last map: (.*)$/, "its features are no averages over places of the image ($1)"],
  [/^the last layer isn't linear$/, "its last layer isn't a sum of features times weights"],
  [
    /^the model has no gradient here: .*: its weights are computed, not stored$/,
    "its file holds weights in a packed form, and the gradient needs them as they are",
  ],
  [/^the model has no gradient here: (.*)$/, "$1"],
];

const WHAT: Readonly<Record<Extra, string>> = {
  evidence: "This network doesn't tell which place of the image a logit comes from",
  gradient: "This network's gradient can't be had",
};

/** Throws if a model can't have the map, whatever it is loaded with. */
export function obstacleTo(extra: Extra, info: DetectorInfo): void {
  const obstacle = extra === "evidence" ? info.evidenceObstacle : info.gradientObstacle;
  if (obstacle === undefined || obstacle.includes("ask for it when loading")) return;
  const [said, means] = PLAIN.find(([pattern]) => pattern.test(obstacle)) ?? [/.*/, "$&"];
  throw new Error(`${WHAT[extra]}: ${obstacle.replace(said, means)}. Covering spots works for any network.`);
}
