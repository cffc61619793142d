// Histograms of scores.

/** Shares of `values` in equal bins from `low` to `high`; what lies beyond is counted in the outermost. */
export function bins(values: ArrayLike<number>, low: number, high: number, wanted: number): number[] {
  const shares = new Array<number>(wanted).fill(0);
  for (let i = 0; i < values.length; i++) {
    const at = Math.floor((((values[i] as number) - low) / (high - low)) * wanted);
    const bin = Math.max(0, Math.min(wanted - 1, at));
    shares[bin] = (shares[bin] as number) + 1 / values.length;
  }
  return shares;
}

/** The smallest range that holds all finite values, widened by a twentieth. */
export function rangeOf(...all: ArrayLike<number>[]): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const values of all) {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  const margin = (high - low || 1) / 20;
  return [low - margin, high + margin];
}
