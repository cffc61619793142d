// Numbers for people.

const MINUS = "−";

/** With a true minus sign and a fixed number of decimals. */
export function decimal(value: number, digits = 2): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** With a sign, as differences are read. */
export function signed(value: number, digits = 2): string {
  const text = decimal(value, digits);
  return text.startsWith(MINUS) || Number(text) === 0 ? text : `+${text}`;
}

/** A fraction as a percentage. */
export function percent(fraction: number, digits = 0): string {
  return `${decimal(fraction * 100, digits)}%`;
}

/** A whole number with thousands apart. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Small probabilities keep the digits that matter. */
export function probability(value: number): string {
  return value.toFixed(value < 0.01 ? 4 : value < 0.1 ? 3 : 2);
}

/** Round numbers that divide an axis into about `wanted` steps. */
export function ticks(low: number, high: number, wanted: number): number[] {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** A tick's label, with as many decimals as its neighbours need. */
export function tickLabel(value: number, all: readonly number[]): string {
  const step = all.length > 1 ? Math.abs((all[1] as number) - (all[0] as number)) : 1;
  return decimal(value, Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9))));
}
