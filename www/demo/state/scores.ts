// Names, summaries and hyperparameters of the scores, as the engine's registry describes them.

import { percent } from "../ui/format.js";
import type { Separation } from "./models.js";
import type { Hyperparameter, PostHocDetector } from "itp-ood";

const known = new Map<string, PostHocDetector>();

/** Takes the engine's registry; models differ in the defaults alone. */
export function setDetectors(detectors: readonly PostHocDetector[]): void {
  for (const detector of detectors) known.set(detector.name, detector);
}

/** Listed first: what this page is about, and what it is compared with. */
const FIRST = ["itp", "energy", "held", "held_t", "cadref"];

/** Scores in the order in which the page lists them. */
export function inOrder(scores: readonly string[]): string[] {
  return [...FIRST.filter((score) => scores.includes(score)), ...scores.filter((score) => !FIRST.includes(score))];
}

/** A score's display name. */
export function nameOf(score: string): string {
  return score
    .split("+")
    .map((part) => known.get(part)?.title ?? part)
    .join(" + ");
}

/** What a score computes, its formula and its source. */
export function descriptionOf(score: string): string {
  const [base, ...modifiers] = score.split("+").map((part) => known.get(part));
  if (!base) return "";
  const combined = modifiers.map((of) => (of ? ` Combined with ${of.title}: ${of.summary}` : ""));
  return `${base.summary}${combined.join("")} Formula: ${base.formula}. Source: ${base.reference}.`;
}

/** A warning where a score separates the gallery worse than chance would. */
export function warningOn(score: string, model: string, separation: Separation): string {
  const auroc = separation[model]?.[score];
  if (auroc === undefined || auroc >= 0.5) return "";
  return `On this model, ${nameOf(score)} is worse than chance: its AUROC between the familiar and the other images of this page's gallery is ${percent(auroc)}.`;
}

/** A hyperparameter by its full name, such as `itp.p`. */
export function hyperparameter(name: string): Hyperparameter | undefined {
  return Array.from(known.values(), ({ hyperparameters }) => hyperparameters)
    .flat()
    .find((of) => of.name === name);
}

/** Its label, such as "ITP: λ, in standard deviations". */
export function labelOf({ name, unit }: Hyperparameter): string {
  const [detector = "", symbol = ""] = name.split(".");
  return `${nameOf(detector)}: ${symbol.replace("lambda", "λ")}${unit ? `, in ${unit}` : ""}`;
}

/** What it does, as a sentence. */
export function helpOf({ meaning, high }: Hyperparameter): string {
  return `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.${high === Infinity ? " Rightmost: never." : ""}`;
}
