// Formats numbers for display.

const MINUS = "−";

/** With a fixed number of decimals and a typographic minus sign. */
export function decimal(value: number, digits = 2): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** With an explicit sign, for differences. */
export function signed(value: number, digits = 2): string {
  const text = decimal(value, digits);
  return text.startsWith(MINUS) || Number(text) === 0 ? text : `+${text}`;
}

/** A fraction as a percentage. */
export function percent(fraction: number, digits = 0): string {
  return `${decimal(fraction * 100, digits)}%`;
}

/** A whole number with thousands separators. */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** A probability; small ones get more decimals. */
export function probability(value: number): string {
  return value.toFixed(value < 0.01 ? 4 : value < 0.1 ? 3 : 2);
}

/** Two numbers with as many decimals as tell them apart: a score and the threshold that it fails by little. */
export function apart(a: number, b: number): [a: string, b: string] {
  let digits = 2;
  while (digits < 8 && a !== b && decimal(a, digits) === decimal(b, digits)) digits++;
  return [decimal(a, digits), decimal(b, digits)];
}
