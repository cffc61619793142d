// Decodes the PNG files whose values browsers round differently: those with 16 bits a value, and those with
// alpha, which a canvas keeps only multiplied with the colours.

import { MAX_PIXELS } from "./check.js";
import { type Bytes, number, text } from "./encoded.js";
import type { RawImage } from "./types.js";

/** Values a pixel by colour type; palettes are left out. */
const VALUES: Record<number, number> = { 0: 1, 2: 3, 4: 2, 6: 4 };

/**
 * Pixels of the chunks that {@link prepare} leaves of a PNG file, of 16-bit values the high byte, as PIL
 * takes it. Undefined for every file that a browser can be left to decode, or to refuse.
 */
export async function decodePng(chunks: readonly Bytes[]): Promise<(RawImage & { channels: 1 | 3 | 4 }) | undefined> {
  const header = chunks[1];
  const named = (name: string): readonly Bytes[] => chunks.filter((chunk) => text(chunk, 4, 4) === name);
  if (!header || named("IHDR")[0] !== header) return undefined;
  const [width, height] = [number(header, 8, 4), number(header, 12, 4)];
  const [depth = 0, type = 0, , , isInterlaced] = header.subarray(16);
  const values = VALUES[type] ?? 0;
  const hasAlpha = values % 2 === 0;
  if (!values || isInterlaced || (depth !== 16 && !(depth === 8 && hasAlpha))) return undefined;
  const pixels = width * height;
  if (named("tRNS").length > 0 || !(pixels > 0 && pixels <= MAX_PIXELS)) return undefined;

  const step = (values * depth) / 8;
  const rows = await inflate(
    named("IDAT").map((chunk) => chunk.subarray(8, -4)),
    (width * step + 1) * height,
  );
  if (!rows || !unfilter(rows, width * step, step)) return undefined;
  // Where a pixel's high bytes lie; grey with alpha is spread to four channels.
  const offsets = (values === 2 ? [0, 0, 0, 1] : [0, 1, 2, 3].slice(0, values)).map((value) => (value * depth) / 8);
  const channels = offsets.length as 1 | 3 | 4;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, to = 0, from = 1; y < height; y++, from++) {
    for (let x = 0; x < width; x++, from += step) {
      for (let c = 0; c < channels; c++) data[to++] = rows[from + (offsets[c] as number)] as number;
    }
  }
  return { data, width, height, channels };
}

/** The first `size` bytes that zlib data unpacks to; undefined if there are fewer. */
async function inflate(parts: Bytes[], size: number): Promise<Uint8Array | undefined> {
  let unpacked;
  let at = 0;
  try {
    unpacked = new Uint8Array(size);
    const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
    for (let step; at < size && !(step = await reader.read()).done; at += step.value.length) {
      unpacked.set(step.value.subarray(0, size - at), at);
    }
    await reader.cancel();
  } catch {
    return undefined;
  }
  return at < size ? undefined : unpacked;
}

/** Undoes the filters in place. Each row has its filter's number before it. */
function unfilter(rows: Uint8Array, length: number, step: number): boolean {
  for (let start = 1; start < rows.length; start += length + 1) {
    const filter = rows[start - 1] as number;
    if (filter > 4) return false;
    for (let at = start; filter && at < start + length; at++) {
      // Outside the image all is 0.
      const left = at < start + step ? 0 : (rows[at - step] as number);
      const above = start === 1 ? 0 : (rows[at - length - 1] as number);
      const corner = start === 1 || at < start + step ? 0 : (rows[at - length - 1 - step] as number);
      const guess = filter === 1 ? left : filter === 2 ? above : filter === 3 ? (left + above) >> 1 : paeth(left, above, corner);
      rows[at] = (rows[at] as number) + guess;
    }
  }
  return true;
}

/** Whichever of the three is nearest to left + above - corner. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
