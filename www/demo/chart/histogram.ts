// Shares of scores in equal bins.

import { bin, extent, range } from "d3-array";

/** A range of scores. */
export type Range = [low: number, high: number];

/** The shares of `values` in `count` equal bins; values outside the range count in the outermost bins. */
export function shares(values: ArrayLike<number>, [low, high]: Range, count: number): number[] {
  const width = (high - low) / count;
  const inRange = Array.from(values, (value) => Math.max(low, Math.min(high, value)));
  // As an array: with a number, d3 rounds the thresholds to nice values.
  const bins = bin()
    .domain([low, high])
    .thresholds(range(1, count).map((i) => low + i * width))(inRange);
  return bins.map(({ length }) => length / values.length);
}

/** The range of all finite values, padded by a twentieth on both sides. */
export function paddedRange(...sets: ArrayLike<number>[]): Range {
  const [low, high] = extent(sets.flatMap((values) => Array.from(values)).filter(Number.isFinite));
  if (low === undefined || high === undefined) return [0, 1];
  const padding = (high - low || 1) / 20;
  return [low - padding, high + padding];
}
