// The hyperparameters that the visitor has changed, and their form in calls and in links.

import type { ModelInfo } from "./models.js";
import type { DetectOptions } from "itp-ood";

/** Hyperparameters that override the stats file's. */
export interface Overrides {
  p?: number;
  /** `Infinity` switches FTP off. */
  lambda?: number;
  /** The score, without its ReAct variant. */
  score?: string;
  /** Where ReAct clips; without it, ReAct is off. */
  clip?: number;
}

/** The name of a score's ReAct variant; that of energy is called `react`. */
export const withReact = (score: string): string => (score === "energy" ? "react" : `${score}+react`);

/** Whether a score is the ReAct variant of another one. */
export const isReact = (score: string): boolean => score === "react" || score.endsWith("+react");

/** The score without ReAct. */
export const withoutReact = (score: string): string => (score === "react" ? "energy" : score.replace(/\+react$/, ""));

/** The score in use, without its ReAct variant. */
export function baseScore(overrides: Overrides, info: ModelInfo): string {
  return overrides.score ?? withoutReact(info.settings.score);
}

/** Whether ReAct is on. */
export function reactIsOn(overrides: Overrides, info: ModelInfo): boolean {
  return overrides.clip !== undefined || (overrides.score === undefined && isReact(info.settings.score));
}

/** The overrides as options of a call. */
export function toOptions(overrides: Overrides, info: ModelInfo): DetectOptions {
  const base = baseScore(overrides, info);
  const on = reactIsOn(overrides, info) && info.scores.includes(withReact(base));
  return {
    ...(overrides.p !== undefined && { p: overrides.p }),
    ...(overrides.lambda !== undefined && { lambda: overrides.lambda }),
    ...((overrides.score !== undefined || on) && { score: on ? withReact(base) : base }),
    ...(on && overrides.clip !== undefined && { react: overrides.clip }),
  };
}

/** The overrides as a part of a link. */
export function toQuery(overrides: Overrides): URLSearchParams {
  const query = new URLSearchParams();
  if (overrides.p !== undefined) query.set("p", String(overrides.p));
  if (overrides.lambda !== undefined) query.set("lambda", overrides.lambda === Infinity ? "off" : String(overrides.lambda));
  if (overrides.score !== undefined) query.set("score", overrides.score);
  if (overrides.clip !== undefined) query.set("react", String(overrides.clip));
  return query;
}

/** The overrides in a link, and what in it can't be. */
export function fromQuery(query: URLSearchParams): { overrides: Overrides; problems: string[] } {
  const problems: string[] = [];
  const number = (name: string, low: number, high: number): number | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    const value = text === "" ? NaN : Number(text);
    if (value >= low && value <= high) return value;
    problems.push(`The address asks for ${name} = ${text}, which can't be: it is a number from ${low} to ${high}.`);
    return undefined;
  };
  const p = number("p", 0, 100);
  const lambda = query.get("lambda") === "off" ? Infinity : number("lambda", 0, 1e6);
  const clip = number("react", 0, 1e6);
  const score = query.get("score") ?? undefined;
  const overrides = {
    ...(p !== undefined && { p }),
    ...(lambda !== undefined && { lambda }),
    ...(score !== undefined && { score }),
    ...(clip !== undefined && { clip }),
  };
  return { overrides, problems };
}
