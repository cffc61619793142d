// The numbers of one weight, and why it was kept or pruned.

import { h } from "../ui/dom.js";
import { decimal } from "../ui/format.js";
import { type Explanation, Reason } from "itp-ood";

/** One weight of an explanation. */
export interface WeightDetails {
  label: string;
  feature: number;
  W: number;
  h: number;
  contribution: number;
  mu: number;
  sigma: number;
  z: number;
  limit: number;
  reason: number;
  /** HELD's limit on the contribution, the excess over it, and the feature's part of the atypicality T. */
  heldLimit: number;
  heldBack: number;
  tTerm: number;
}

/** The weight of one feature. */
export function detailsOf(explanation: Explanation, feature: number): WeightDetails {
  const at = (values: Float32Array | Uint8Array): number => values[feature] as number;
  return {
    label: explanation.label,
    feature,
    W: at(explanation.weight),
    h: at(explanation.feature),
    contribution: at(explanation.contribution),
    mu: at(explanation.mu),
    sigma: at(explanation.sigma),
    z: at(explanation.z),
    limit: at(explanation.limit),
    reason: at(explanation.reason),
    heldLimit: at(explanation.held.limit),
    heldBack: at(explanation.held.heldBack),
    tTerm: at(explanation.held.tTerms),
  };
}

/** The feature values that FTP allows. */
export function allowedRange({ W, limit }: WeightDetails): string {
  if (W === 0 || Number.isNaN(limit) || !Number.isFinite(limit)) return "any";
  return `${W > 0 ? "≤" : "≥"} ${decimal(limit, 3)}`;
}

/** Whether the weight was pruned, and why. */
export function describeReason({ reason, mu }: WeightDetails, omega: number): string {
  const redundant = `its mean contribution ${decimal(mu, 4)} is not above CRP's threshold ${decimal(omega, 4)}`;
  const overconfident = "its feature value exceeds FTP's limit";
  if (reason === Reason.Redundant) return `Pruned: ${redundant}.`;
  if (reason === Reason.Overconfident) return `Pruned: ${overconfident}.`;
  if (reason === Reason.Both) return `Pruned twice: ${redundant}, and ${overconfident}.`;
  return "Kept.";
}

/** Fills the table beside the map. */
export function fillDetails(table: HTMLElement, weight: WeightDetails): void {
  const rows: [string, string][] = [
    ["Weight W", decimal(weight.W, 4)],
    ["Feature h", decimal(weight.h, 4)],
    ["Allowed h", allowedRange(weight)],
    ["Contribution W·h", decimal(weight.contribution, 4)],
    ["Class mean μ", decimal(weight.mu, 4)],
    ["Class std. deviation σ", decimal(weight.sigma, 4)],
    ["z = (W·h − μ) / σ", decimal(weight.z, 2)],
    ["HELD limit", Number.isFinite(weight.heldLimit) ? `≤ ${decimal(weight.heldLimit, 4)}` : "any"],
    ["HELD excess", decimal(weight.heldBack, 4)],
    ["Part of T", decimal(weight.tTerm, 4)],
  ];
  table.replaceChildren(...rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))));
}
