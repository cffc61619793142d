// What tuning picked, in words.

import type { TuneReport } from "itp-ood";
import { decimal } from "../ui/format.js";
import { nameOf } from "../state/overrides.js";

export type Family = TuneReport["families"][number];
export type ItpFamily = Extract<Family, { score: "itp" }>;
export type Rule = TuneReport["rule"];

/** Limits as JSON has them. */
export const lambdaOf = (lambda: number | "inf"): string => (lambda === "inf" ? "∞" : String(lambda));

/** The place of a rule's pick. */
export const pickOf = (family: Family, rule: Rule): number => (rule === "r1" ? family.r1 : family.rStar);

/** A rule's name. */
export const ruleName = (rule: Rule): string => (rule === "r1" ? "R1" : "R*");

/** One sentence a score: the setting that the report's rule picks, and where the other rule differs. */
export function pickWords(report: TuneReport): string[] {
  const other: Rule = report.rule === "r1" ? "r*" : "r1";
  return report.families.map((family) => {
    const place = pickOf(family, report.rule);
    const tried = family.tried[place];
    const reached = tried ? ` Mean AUROC ${decimal(tried.mean, 1)}, near the training data ${decimal(tried.nearMean, 1)}.` : "";
    const differs = pickOf(family, other) === place ? "" : ` Rule ${ruleName(other)} would take ${settingWords(family, pickOf(family, other))}.`;
    const name = nameOf(family.score);
    if (family.score === "energy") return `${name} has no setting.${reached}`;
    return `${name}: ${settingWords(family, place)}.${reached}${differs}`;
  });
}

function settingWords(family: Family, place: number): string {
  switch (family.score) {
    case "energy":
      return "nothing";
    case "itp": {
      const { p = 0, lambda = 0 } = family.tried[place]?.setting ?? {};
      return `p = ${p}${p === 0 ? " (CRP off)" : ""} and ${limitWords(lambda, "FTP off")}`;
    }
    case "react": {
      const { percentile = 0, clip = 0 } = family.tried[place]?.setting ?? {};
      return `features clipped at ${decimal(clip)}, ${percentile === 100 ? "their highest value" : `their percentile ${percentile}`}`;
    }
    case "held":
      return limitWords(family.tried[place]?.setting.lambda ?? 0, "nothing held back");
    case "held_t": {
      const { lambda = 0, w = 0, a = 0 } = family.tried[place]?.setting ?? {};
      return `${limitWords(lambda, "nothing held back")} and ${w === 0 ? "no T" : `T times ${decimal(a)}`}`;
    }
  }
}

const limitWords = (lambda: number | "inf", off: string): string => `λ = ${lambdaOf(lambda)}${lambda === "inf" ? ` (${off})` : ""}`;
