// How hyperparameters are to be selected: the rule, how many pseudo-OOD images, the seed.

import { h, setOptions } from "../ui/dom.js";
import type { ChosenFile } from "../ui/files.js";
import type { TunerOptions } from "itp-ood";

/** A held-out image, with its class if that is known. */
export interface HeldOutImage {
  file: ChosenFile;
  classIndex?: number;
  /** Of an image held back from the training images: the features that stand for it. */
  features?: Float32Array;
}

export type TuningChoice = Pick<TunerOptions, "rule" | "perKind" | "seed">;

/** Fields for the choice, with the command line's defaults. */
export function tuningFields(): { element: HTMLElement; read(): TuningChoice } {
  const rule = h("select");
  setOptions(rule, [
    { value: "r1", text: "R1: best mean" },
    { value: "r*", text: "R*: safe for near-OOD" },
  ]);
  const perKind = h("input", { type: "number", value: "100", min: "1", step: "1" });
  const seed = h("input", { type: "number", value: "0", min: "0", step: "1" });
  return {
    element: h(
      "div",
      { class: "fields" },
      h("label", {}, "Rule", rule),
      h("label", {}, "Images per kind", perKind),
      h("label", {}, "Seed", seed),
    ),
    read: () => ({ rule: rule.value as TuningChoice["rule"], perKind: Number(perKind.value), seed: Number(seed.value) }),
  };
}
