// The verdict as text and as an icon.

import { svg } from "./dom.js";
import { percent } from "./format.js";
import type { Detection } from "itp-ood";

/** The texts of a verdict. */
export interface Verdict {
  kind: "in" | "out" | "none";
  words: string;
  advice: string;
}

/** The verdict on a result. */
export function verdictOf(result: Detection): Verdict {
  const best = result.topK[0];
  const prediction = best ? `“${best.label}” (${percent(best.probability)})` : "";
  if (result.inDistribution === undefined) {
    return { kind: "none", words: "No verdict", advice: `These hyperparameters have no threshold. The model predicts ${prediction}.` };
  }
  return result.inDistribution
    ? { kind: "in", words: "In-distribution", advice: `Similar to the training images. The model predicts ${prediction}.` }
    : {
        kind: "out",
        words: "Out-of-distribution",
        advice: `Unlike the training images. Don't trust the model's prediction ${prediction}.`,
      };
}

/** A check in a circle, an exclamation mark in a triangle, or a question mark. */
export function iconOf(kind: Verdict["kind"]): SVGSVGElement {
  const root = svg("svg", { viewBox: "0 0 48 48", class: `shape-${kind}` });
  if (kind === "in") root.append(svg("circle", { cx: 24, cy: 24, r: 21 }), svg("path", { d: "m14.5 24.5 6.5 6.5 13-14" }));
  else if (kind === "out") root.append(svg("path", { class: "body", d: "M24 5 45 42H3Z" }), svg("path", { d: "M24 18v12M24 35.6v.4" }));
  else
    root.append(
      svg("circle", { cx: 24, cy: 24, r: 21 }),
      svg("path", { d: "M17.5 19a6.5 6.5 0 1 1 10 5.5c-2.5 1.6-3.5 2.6-3.5 5M24 35.6v.4" }),
    );
  return root;
}
