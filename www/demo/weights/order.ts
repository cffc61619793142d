// The orders in which the map can show classes and features.

import type { Detection } from "itp-ood";

/** Classes from top to bottom. */
export function rowOrder(by: string, { logits }: Detection): number[] {
  const order = Array.from(logits.keys());
  return by === "logit" ? order.sort((a, b) => (logits[b] as number) - (logits[a] as number)) : order;
}

/** Features from left to right. */
export function columnOrder(by: string, { features }: Detection, states: Uint8Array): number[] {
  const order = Array.from(features.keys());
  if (by === "activation") return order.sort((a, b) => (features[b] as number) - (features[a] as number));
  if (by !== "pruned") return order;
  const pruned = new Uint32Array(features.length);
  states.forEach((state, at) => {
    if (state >= 2) pruned[at % features.length] = (pruned[at % features.length] as number) + 1;
  });
  return order.sort((a, b) => (pruned[b] as number) - (pruned[a] as number));
}
