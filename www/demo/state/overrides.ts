// What the visitor may change, and how it reads in the engine's and in the link's words.

import type { DetectOptions } from "itp-ood";
import type { ModelInfo } from "./models.js";

/** Settings that differ from the stats file's; what is missing is as stored. */
export interface Settings {
  p?: number;
  /** `Infinity`: FTP is off. */
  lambda?: number;
  /** A score without ReAct. */
  score?: string;
  /** Where ReAct clips; missing: ReAct is off. */
  clip?: number;
}

/** The name of a score with ReAct: energy with it is called `react`. */
export const withReact = (score: string): string => (score === "energy" ? "react" : `${score}+react`);

/** Whether a score is another one with ReAct. */
export const isReact = (score: string): boolean => score === "react" || score.endsWith("+react");

const withoutReact = (score: string): string => (score === "react" ? "energy" : score.replace(/\+react$/, ""));

/** The score that the settings name, without ReAct. */
export function baseScore(settings: Settings, info: ModelInfo): string {
  return settings.score ?? withoutReact(info.settings.score);
}

/** Whether ReAct is on. */
export function reactIsOn(settings: Settings, info: ModelInfo): boolean {
  return settings.clip !== undefined || (settings.score === undefined && isReact(info.settings.score));
}

/** The settings as the engine takes them. */
export function toOptions(settings: Settings, info: ModelInfo): DetectOptions {
  const base = baseScore(settings, info);
  const on = reactIsOn(settings, info) && info.scores.includes(withReact(base));
  return {
    ...(settings.p !== undefined && { p: settings.p }),
    ...(settings.lambda !== undefined && { lambda: settings.lambda }),
    ...((settings.score !== undefined || on) && { score: on ? withReact(base) : base }),
    ...(on && settings.clip !== undefined && { react: settings.clip }),
  };
}

/** The settings as the part of an address. */
export function toQuery(settings: Settings): URLSearchParams {
  const query = new URLSearchParams();
  if (settings.p !== undefined) query.set("p", String(settings.p));
  if (settings.lambda !== undefined) query.set("lambda", settings.lambda === Infinity ? "off" : String(settings.lambda));
  if (settings.score !== undefined) query.set("score", settings.score);
  if (settings.clip !== undefined) query.set("react", String(settings.clip));
  return query;
}

/** Settings from an address; what makes no sense is left out. */
export function fromQuery(query: URLSearchParams): Settings {
  const number = (name: string, low: number, high: number): number | undefined => {
    const value = Number(query.get(name) ?? NaN);
    return value >= low && value <= high ? value : undefined;
  };
  const p = number("p", 0, 100);
  const lambda = query.get("lambda") === "off" ? Infinity : number("lambda", 0, 1e6);
  const clip = number("react", 0, 1e6);
  const score = query.get("score") ?? undefined;
  return {
    ...(p !== undefined && { p }),
    ...(lambda !== undefined && { lambda }),
    ...(score !== undefined && { score }),
    ...(clip !== undefined && { clip }),
  };
}

const WORDS: Record<string, [name: string, meaning: string]> = {
  msp: ["MSP", "The largest probability."],
  mls: ["MaxLogit", "The largest logit."],
  energy: ["Energy", "Log Σ exp of the logits: all the evidence together, nothing pruned."],
  crp: ["CRP only", "Energy without the redundant weights."],
  ftp: ["FTP only", "Energy without this picture's overconfident weights."],
  itp: ["ITP", "Energy without redundant and overconfident weights."],
  odin: ["ODIN", "The largest probability at a high temperature."],
  gradnorm: ["GradNorm", "Size of the gradient with respect to the last layer."],
  dice: ["DICE", "Energy with only the weights that contribute most on average."],
  gradnorm_leaf: ["GradNorm (leaf)", "GradNorm with the gradient of the kept weights."],
  line: ["LINe", "Energy with only the features and weights that matter for the answer."],
  opnp: ["OPNP", "Energy without the weights and features to which the answer is most and least sensitive."],
  bats: ["BATS", "Energy with each feature held within its usual range."],
  laps: ["LAPS", "Energy with each feature held within limits that depend on its mean."],
  vra: ["VRA", "Energy without low values of features, and with high ones cut down."],
  ash_p: ["ASH-P", "Energy of the largest features alone."],
  ash_b: ["ASH-B", "Energy of the largest features, each with an equal share of their sum."],
  ash_s: ["ASH-S", "Energy of the largest features, enlarged by the ratio of the whole sum to theirs."],
  scale: ["SCALE", "Energy with all features enlarged, by the ratio of their sum to that of the largest."],
  klm: ["KLM", "Distance of the probabilities to the nearest class's usual ones."],
  react: ["ReAct", "Energy with features clipped from above."],
  held: ["HELD", "Energy with each contribution held at its limit instead of left out."],
  held_t: ["HELD+T", "HELD, less a term for how atypical the features are as a whole."],
  cadref: ["CADRef", "Deviations from the class mean, split by the sign of the weight."],
  vim: ["ViM", "Energy, less what lies outside the main directions of the features."],
  knn: ["KNN", "Distance to the nearest training features."],
  mahalanobis: ["Mahalanobis", "Distance to the nearest class mean."],
};

/** Those that one looks for first. */
const FIRST = ["itp", "energy", "held", "held_t", "cadref"];

/** Scores in the order in which the page lists them. */
export function inOrder(scores: readonly string[]): string[] {
  return [...FIRST.filter((score) => scores.includes(score)), ...scores.filter((score) => !FIRST.includes(score))];
}

/** A score's name for people. */
export function nameOf(score: string): string {
  return (WORDS[score]?.[0] ?? score.split("+").map((part) => WORDS[part]?.[0] ?? part.toUpperCase()).join(" + "));
}

/** What a score is, in one sentence. */
export function meaningOf(score: string): string {
  if (score.endsWith("+itp")) return `${nameOf(score.slice(0, -4))}, of the logits that ITP pruned.`;
  return WORDS[score]?.[1] ?? "";
}
