// Where in the image a class's logit comes from, exactly: the map of `detector.evidence`, and its sum in words.

import type { Outcome } from "../state/app.js";
import { toOptions } from "../state/overrides.js";
import type { Part } from "../state/sight.js";
import { detectorWith } from "../state/special.js";
import { count } from "../ui/format.js";
import { explain } from "../weights/explanations.js";
import { obstacleTo } from "./obstacle.js";
import { describeStrongest, type Overlay, plain, rounded } from "./overlay.js";
import type { Explanation } from "itp-ood";

/** The map of a class, and what it adds up to. */
export async function evidenceOf(outcome: Outcome, classIndex: number, part: Part): Promise<{ overlay: Overlay; words: string }> {
  const { model, subject, overrides } = outcome;
  obstacleTo("evidence", model.info);
  const [detector, why] = await Promise.all([detectorWith("evidence", model), explain(outcome, classIndex)]);
  obstacleTo("evidence", detector.info);
  const { data, width, height } = await detector.evidence(subject.input, { ...toOptions(overrides, model.info), class: classIndex, part });
  const full = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const overlay = { values: data, columns: width, rows: height, full };
  return { overlay, words: describeSum(overlay, part, why) };
}

/** The sum as numbers that add up as they are printed. */
function describeSum(overlay: Overlay, part: Part, { label, bias, logit, prunedLogit }: Explanation): string {
  const sum = overlay.values.reduce((total, value) => total + value, 0);
  const positions = `The ${count(overlay.values.length)} positions of the network's last map (${describeStrongest(overlay)}) add up to`;
  if (overlay.full === 0) return `${part.toUpperCase()} prunes nothing of “${label}” here, so there is nothing to show.`;
  switch (part) {
    case "kept":
    case "all": {
      const whole = part === "all" ? logit : prunedLogit;
      const name = part === "all" ? `the logit of “${label}”` : `the logit of “${label}” after pruning`;
      return `${positions} ${plain(rounded(whole) - rounded(bias))}. With the class's bias, ${plain(bias)}, that is ${name}: ${plain(whole)}.`;
    }
    case "crp":
    case "ftp":
      return `${positions} ${plain(sum)}: what ${part.toUpperCase()} prunes of the logit of “${label}”, which is ${plain(logit)} before.`;
  }
}
