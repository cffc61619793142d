// What the visitor points at in one view of an explanation, which the others highlight.

import { signal } from "@preact/signals-core";

/** A class, and perhaps one of its weights. */
export interface Pointed {
  classIndex: number;
  feature?: number;
}

/** Shared by the views of an image's logits and weights. */
export type Pointing = ReturnType<typeof pointing>;

/** Nothing is pointed at, at first. */
export const pointing = () => signal<Pointed | undefined>(undefined);
