// What would turn ITP's verdict on an image, in words.

import type { Outcome } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import { apart, count, signed } from "../ui/format.js";
import type { Counterfactual, Turn } from "itp-ood";

/** Empty where ITP has no verdict. */
export async function describeTurn({ model, overrides, result, itp }: Outcome): Promise<string> {
  if (!result.counts || (itp ?? result).threshold === undefined) return "";
  const options = { ...toOptions(overrides, model.info), score: "itp" };
  const found = await model.detector.counterfactual(result, options);
  const other = found.inDistribution ? "unfamiliar" : "familiar";
  const dials = [dial("p", found.p), dial("λ", found.lambda)].filter(Boolean);
  const words = [weightsWords(found, model.info.labels, other)];
  if (dials.length > 0) words.push(`The nearest hyperparameters that do: ${dials.join(", or ")}, with the threshold that they bring.`);
  else if (found.unknown === undefined) words.push("No p and no λ would.");
  return words.join(" ");
}

function weightsWords({ givenBack }: Counterfactual, labels: readonly string[], other: string): string {
  if (!givenBack) return `Not even all pruned weights, given back, would make it ${other} for ITP.`;
  const [strongest] = givenBack.weights;
  const { length } = givenBack.weights;
  const which = strongest
    ? `, ${length === 1 ? "of" : "the strongest of"} “${labels[strongest.classIndex] ?? ""}” and feature ${strongest.feature} (${signed(strongest.contribution)})`
    : "";
  const number = `${givenBack.isFewest ? "" : "At most "}${count(length)} of the pruned weights`;
  return `${number}, given back, would make it ${other} for ITP${which}.`;
}

function dial(name: string, turn: Turn | undefined): string | undefined {
  if (!turn) return undefined;
  const [to, from] = apart(turn.value, turn.value - turn.change);
  return Number.isFinite(turn.value) ? `${name} ${to} instead of ${from}` : `${name} off`;
}
