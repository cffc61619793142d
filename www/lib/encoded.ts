// Takes out of an encoded image what browsers disagree about, before they decode it: colour profiles,
// gamma, orientation, further frames. A file that is cut off is refused, as browsers show what there is of it;
// the command line has the same rules (crates/cli/src/dataset/decode/whole.rs).

import { OodError } from "./errors.js";

/** A file as a training pipeline reads it: stored values, without colour management. */
export interface Encoded {
  /** The file in pieces; another file in every other respect. */
  parts: Bytes[];
  /** How to turn the decoded image, as EXIF counts: 1 (upright) to 8. */
  orientation: number;
}

/** Bytes of a buffer of their own kind, as blobs take them. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Prepares a JPEG, PNG, WebP or GIF file; of any other format the browser gets the file as it is. */
export function prepare(file: Bytes): Encoded {
  const start = text(file, 0, 12);
  if (start.startsWith("\xff\xd8\xff")) return jpeg(file);
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return png(file);
  if (/^RIFF....WEBP/s.test(start)) return webp(file);
  if (start.startsWith("GIF8")) return gif(file);
  if (start.startsWith("BM")) checkBmp(file);
  return { parts: [file], orientation: 1 };
}

/** Up to the end marker: what follows, as a phone's film or second image, is not looked at. */
function jpeg(file: Bytes): Encoded {
  const parts: Bytes[] = [];
  let orientation = 1;
  let kept = 0;
  let at = 2;
  for (;;) {
    // Between markers lie the bytes of a scan, where 0xFF is followed by 0, and fill bytes.
    at = file.indexOf(0xff, at);
    const marker = at < 0 ? undefined : file[at + 1];
    if (marker === undefined) throw cutOff("JPEG");
    if (marker === 0xff) at += 1;
    else if (marker === 0xd9) return { parts: [...parts, file.subarray(kept, at + 2)], orientation };
    else if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else {
      const end = at + 2 + number(file, at + 2, 2);
      if (!(end <= file.length)) throw cutOff("JPEG");
      // Of the applications' segments, JFIF and Adobe's say how colours are coded.
      if (marker > 0xe0 && marker <= 0xef && marker !== 0xee) {
        if (text(file, at + 4, 6) === "Exif\0\0") orientation = orientationOf(file.subarray(at + 10, end));
        parts.push(file.subarray(kept, at));
        kept = end;
      }
      at = end;
    }
  }
}

/** The chunks without which there is no image, and the transparent colour. */
function png(file: Bytes): Encoded {
  const parts = [file.subarray(0, 8)];
  let orientation = 1;
  for (let at = 8, end; ; at = end) {
    end = at + 12 + number(file, at, 4);
    if (!(end <= file.length)) throw cutOff("PNG");
    const name = text(file, at + 4, 4);
    if (name === "eXIf") orientation = orientationOf(file.subarray(at + 8, end));
    // Names of critical chunks begin with a capital.
    if (name < "a" || name === "tRNS") parts.push(file.subarray(at, end));
    if (name === "IEND") return { parts, orientation };
  }
}

function webp(file: Bytes): Encoded {
  const parts = [file.slice(0, 12)];
  let orientation = 1;
  const size = 8 + number(file, 4, 4, true);
  if (!(size <= file.length)) throw cutOff("WebP");
  let length = 4;
  for (let at = 12, end; at < size; at = end) {
    // Padded to an even length.
    end = at + 8 + number(file, at + 4, 4, true);
    end = Math.min(end + (end & 1), size);
    const name = text(file, at, 4);
    const chunk = file.slice(at, end);
    if (name === "EXIF") orientation = orientationOf(chunk.subarray(8));
    if (/^(EXIF|ICCP|XMP )$/.test(name)) continue;
    // It says which of them there are.
    if (name === "VP8X") chunk[8] = (chunk[8] as number) & ~0x2c;
    parts.push(chunk);
    length += chunk.length;
  }
  new DataView((parts[0] as Bytes).buffer).setUint32(4, length, true);
  return { parts, orientation };
}

/** Up to the end of the first frame. */
function gif(file: Bytes): Encoded {
  const palette = (at: number): number => {
    const flags = file[at] ?? 0;
    return flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
  };
  let at = 13 + palette(10);
  let isFrame = false;
  while (!isFrame) {
    isFrame = file[at] === 0x2c;
    if (!isFrame && file[at] !== 0x21) throw cutOff("GIF");
    at += isFrame ? 11 + palette(at + 9) : 2;
    // Blocks, each with its length before it; the last one is empty.
    for (let length; (length = file[at]) !== 0; at += 1 + length) if (length === undefined) throw cutOff("GIF");
    at++;
  }
  return { parts: [file.subarray(0, at), Uint8Array.of(0x3b)], orientation: 1 };
}

/** Uncompressed pixels end where their size says. */
function checkBmp(file: Bytes): void {
  const at = (offset: number, length = 4): number => number(file, offset, length, true);
  const [headerSize, width, height, compression] = [at(14), at(18), at(22) | 0, at(30)];
  const row = 4 * Math.ceil((width * at(28, 2)) / 32);
  if (headerSize >= 40 && compression === 0 && at(10) + row * Math.abs(height) > file.length) throw cutOff("BMP");
}

/** The orientation in EXIF data, which is a TIFF file; 1 where there is none. */
function orientationOf(exif: Bytes): number {
  // WebP files may have JPEG's name before it.
  const tiff = text(exif, 0, 6) === "Exif\0\0" ? exif.subarray(6) : exif;
  const isLittle = tiff[0] === 0x49;
  const directory = number(tiff, 4, 4, isLittle);
  const count = number(tiff, directory, 2, isLittle);
  for (let i = 0, at = directory + 2; i < count; i++, at += 12) {
    if (number(tiff, at, 2, isLittle) !== 0x112) continue;
    const value = number(tiff, at + 8, 2, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** An unsigned number of `length` bytes; NaN behind the end. */
export function number(file: Bytes, at: number, length: number, isLittle = false): number {
  let value = 0;
  for (let i = 0; i < length; i++) value = value * 256 + (file[at + (isLittle ? length - 1 - i : i)] ?? NaN);
  return value;
}

/** Bytes as characters, fewer at the end. */
export function text(file: Bytes, at: number, length: number): string {
  return String.fromCharCode(...file.subarray(at, at + length));
}

function cutOff(format: string): OodError {
  return new OodError("image", `The ${format} file is cut off: copy or download it again.`);
}
