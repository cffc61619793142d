// The selected hyperparameters in words.

import { nameOf } from "../state/scores.js";
import { decimal } from "../ui/format.js";
import type { TuneReport } from "itp-ood";

export type Family = TuneReport["families"][number];
export type ItpFamily = Extract<Family, { score: "itp" }>;
export type Rule = TuneReport["rule"];

/** A lambda, which may be infinite. */
export const lambdaText = (lambda: number): string => (lambda === Infinity ? "∞" : String(lambda));

/** The index of the candidate that a rule selects. */
export const selectedBy = (family: Family, rule: Rule): number => (rule === "r1" ? family.r1 : family.rStar);

/** A rule's name. */
export const ruleName = (rule: Rule): string => (rule === "r1" ? "R1" : "R*");

/** One sentence per score: the candidate selected by the report's rule, and the other rule's if it differs. */
export function describeSelection(report: TuneReport): string[] {
  const other: Rule = report.rule === "r1" ? "r*" : "r1";
  return report.families.map((family) => {
    const index = selectedBy(family, report.rule);
    const candidate = family.tried[index];
    const auroc = candidate ? ` Mean AUROC ${decimal(candidate.mean, 1)}, near-OOD ${decimal(candidate.nearMean, 1)}.` : "";
    const differs =
      selectedBy(family, other) === index
        ? ""
        : ` Rule ${ruleName(other)} selects ${describeCandidate(family, selectedBy(family, other))}.`;
    const name = nameOf(family.score);
    if (family.score === "energy") return `${name} has no hyperparameters.${auroc}`;
    return `${name}: ${describeCandidate(family, index)}.${auroc}${differs}`;
  });
}

function describeCandidate(family: Family, index: number): string {
  switch (family.score) {
    case "energy":
      return "nothing";
    case "itp": {
      const { p = 0, lambda = 0 } = family.tried[index]?.setting ?? {};
      return `p = ${p}${p === 0 ? " (CRP off)" : ""} and ${describeLambda(lambda, "FTP off")}`;
    }
    case "react": {
      const { percentile = 0, clip = 0 } = family.tried[index]?.setting ?? {};
      return `features clipped at ${decimal(clip)}, ${percentile === 100 ? "their highest value" : `their percentile ${percentile}`}`;
    }
    case "held":
      return describeLambda(family.tried[index]?.setting.lambda ?? 0, "no clamping");
    case "held_t": {
      const { lambda = 0, w = 0, a = 0 } = family.tried[index]?.setting ?? {};
      return `${describeLambda(lambda, "no clamping")} and ${w === 0 ? "no atypicality" : `atypicality weighted by ${decimal(a)}`}`;
    }
  }
}

const describeLambda = (lambda: number, off: string): string => `λ = ${lambdaText(lambda)}${lambda === Infinity ? ` (${off})` : ""}`;
