// The verdict as text and as an icon.

import type { Outcome } from "../state/app.js";
import { nameOf } from "../state/scores.js";
import { svg } from "./dom.js";
import { apart, percent } from "./format.js";
import type { Detection } from "itp-ood";

export type Kind = "in" | "out" | "none";

/** The texts of a verdict. */
export interface Verdict {
  kind: Kind;
  /** In everyday words, and the field's term. */
  words: string;
  term: string;
  /** What the model says; whether to believe it; what Energy alone (or, beside Energy, ITP) says. */
  says: string;
  advice: string;
  other: string;
}

export const WORDS: Readonly<Record<Kind, { words: string; term: string }>> = {
  in: { words: "Familiar", term: "In-distribution: like the training images" },
  out: { words: "Unfamiliar", term: "Out-of-distribution: unlike the training images" },
  none: { words: "No verdict", term: "These hyperparameters have no threshold" },
};

/** The kind of a verdict. */
export const kindOf = ({ inDistribution }: Detection): Kind => (inDistribution === undefined ? "none" : inDistribution ? "in" : "out");

/** The verdict on an image. */
export function verdictOf(outcome: Outcome): Verdict {
  const { result } = outcome;
  const kind = kindOf(result);
  const best = result.topK[0];
  const score = nameOf(result.scoreName);
  const advice = {
    in: `${score} says: believe it.`,
    out: `${score} says: don't believe it.`,
    none: `${score} has no threshold here, so there is no advice.`,
  }[kind];
  return {
    kind,
    ...WORDS[kind],
    says: best ? `The model says: ${best.label}, ${percent(best.probability)} sure.` : "",
    advice: `${advice}${describeMistake(outcome)}`,
    other: describeOther(outcome),
  };
}

/** What is known to be wrong with what the model and the detector say of a gallery image. */
function describeMistake({ model, subject, result }: Outcome): string {
  const { gallery } = subject;
  if (gallery?.model !== model.id || result.inDistribution === undefined) return "";
  if ((gallery.truth !== null) !== result.inDistribution) return " This verdict is wrong.";
  if (gallery.truth !== null && gallery.truth !== result.label) return ` The image is familiar, but the class is wrong: ${gallery.truth}.`;
  return "";
}

/** What the score beside the chosen one says, and by what numbers. */
function describeOther({ result, energy, itp }: Outcome): string {
  const other = result.scoreName === "energy" ? itp : energy;
  if (other?.inDistribution === undefined || other.threshold === undefined) return "";
  const alone = other.scoreName === "energy" ? "Energy alone" : nameOf(other.scoreName);
  const too = other.inDistribution === result.inDistribution ? ", too" : "";
  const [score, threshold] = apart(other.score, other.threshold);
  return `${alone} would ${other.inDistribution ? "believe" : "doubt"} it${too} (${score}, threshold ${threshold}).`;
}

/** A check in a circle, an exclamation mark in a triangle, or a question mark. */
export function iconOf(kind: Kind): SVGSVGElement {
  const root = svg("svg", { viewBox: "0 0 48 48", class: `shape-${kind}`, "aria-hidden": "true" });
  if (kind === "in") root.append(svg("circle", { cx: 24, cy: 24, r: 21 }), svg("path", { d: "m14.5 24.5 6.5 6.5 13-14" }));
  else if (kind === "out") root.append(svg("path", { class: "body", d: "M24 5 45 42H3Z" }), svg("path", { d: "M24 18v12M24 35.6v.4" }));
  else
    root.append(
      svg("circle", { cx: 24, cy: 24, r: 21 }),
      svg("path", { d: "M17.5 19a6.5 6.5 0 1 1 10 5.5c-2.5 1.6-3.5 2.6-3.5 5M24 35.6v.4" }),
    );
  return root;
}
