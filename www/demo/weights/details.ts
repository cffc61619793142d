// One weight in figures: what it says, what it may say, and what became of it.

import { type Explanation, Reason } from "itp-ood";
import { h } from "../ui/dom.js";
import { decimal } from "../ui/format.js";

/** One weight of an explanation. */
export interface WeightFigures {
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
  /** HELD's limit on the contribution, what it holds back, and the feature's part of T. */
  heldLimit: number;
  heldBack: number;
  tTerm: number;
}

/** Picks one weight out of its class. */
export function figuresOf(explanation: Explanation, feature: number): WeightFigures {
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

/** Which feature values FTP lets pass. */
export function allowed({ W, limit }: WeightFigures): string {
  if (W === 0 || Number.isNaN(limit) || !Number.isFinite(limit)) return "any";
  return `${W > 0 ? "≤" : "≥"} ${decimal(limit, 3)}`;
}

/** What became of the weight, and why. */
export function fate({ reason, mu }: WeightFigures, omega: number): string {
  const redundant = `its mean contribution ${decimal(mu, 4)} is not above CRP's limit ${decimal(omega, 4)}`;
  const overconfident = "its feature lies beyond what FTP allows";
  if (reason === Reason.Redundant) return `Left out: ${redundant}.`;
  if (reason === Reason.Overconfident) return `Left out: ${overconfident}.`;
  if (reason === Reason.Both) return `Left out twice over: ${redundant}, and ${overconfident}.`;
  return "Kept.";
}

/** Fills the table beside the map. */
export function fillDetails(table: HTMLElement, figures: WeightFigures): void {
  const rows: [string, string][] = [
    ["Weight W", decimal(figures.W, 4)],
    ["Feature h", decimal(figures.h, 4)],
    ["Allowed h", allowed(figures)],
    ["Contribution W·h", decimal(figures.contribution, 4)],
    ["Class mean μ", decimal(figures.mu, 4)],
    ["Class deviation σ", decimal(figures.sigma, 4)],
    ["z = (W·h − μ) / σ", decimal(figures.z, 2)],
    ["HELD lets pass", Number.isFinite(figures.heldLimit) ? `≤ ${decimal(figures.heldLimit, 4)}` : "any"],
    ["HELD holds back", decimal(figures.heldBack, 4)],
    ["Its part of T", decimal(figures.tTerm, 4)],
  ];
  table.replaceChildren(...rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))));
}
