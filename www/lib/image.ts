// Decodes images of every kind to pixels. Resizing, cropping and normalising are left to the engine,
// so that browsers and the command line compute the same input.

import { MAX_PIXELS, rawImage, tagOf } from "./check.js";
import { prepare } from "./encoded.js";
import { messageOf, OodError } from "./errors.js";
import { decodePng } from "./png.js";
import type { ImagePayload } from "./protocol.js";
import { isBlob, type Open, readBlob } from "./source.js";
import { markTransferable } from "./transfer.js";
import type { Input, RawImage } from "./types.js";

/** No colour management, straight alpha, EXIF orientation applied: as the native decoder does. */
const DECODE_OPTIONS: ImageBitmapOptions = {
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
  imageOrientation: "from-image",
};

/** Prepares an image on the calling thread for posting it to a worker. */
export async function toPayload(input: Input, open: Open, signal?: AbortSignal): Promise<ImagePayload> {
  if (typeof input === "string" || tagOf(input) === "URL") {
    return readBlob(input as string | URL, { open, part: "image", signal });
  }
  if (isBlob(input) || isBitmap(input)) return input;
  if (/^(HTML(Image|Canvas|Video)Element|OffscreenCanvas|VideoFrame)$/.test(tagOf(input))) {
    const drawable = input as HTMLImageElement | HTMLVideoElement;
    if ("decode" in drawable) await drawable.decode().catch(throwDecodeError);
    // HAVE_CURRENT_DATA
    if ("readyState" in drawable && drawable.readyState < 2) {
      throw new OodError("image", "The video has no frame yet: wait for its 'loadeddata' event.");
    }
    return markTransferable(await toBitmap(drawable));
  }
  const raw = Object(input) === input && rawImage(input);
  if (raw) return raw;
  throw new OodError(
    "image",
    "Not an image: pass a Blob or File, a URL, an image, canvas or video element, ImageData, ImageBitmap, or { data, width, height }.",
  );
}

/** Decodes a payload; runs where the engine runs. Closes a bitmap that `isOwn`. */
export async function toPixels(image: ImagePayload, isOwn: (bitmap: ImageBitmap) => boolean): Promise<RawImage & { channels: 1 | 3 | 4 }> {
  if (isBitmap(image)) return read(image, isOwn(image));
  if (!isBlob(image)) return rawImage(image) ?? throwDecodeError("not an image.");
  if (image.size === 0) throw new OodError("image", "The image file is empty.");
  // What only claims to be a Blob lacks the method.
  const bytes = await (async () => image.arrayBuffer())().catch(throwDecodeError);
  const { parts, orientation } = prepare(new Uint8Array(bytes));
  const decoded = orientation === 1 ? await decodePng(parts) : undefined;
  return decoded ?? read(await toBitmap(new Blob(parts, { type: image.type })), true, orientation);
}

async function toBitmap(image: ImageBitmapSource): Promise<ImageBitmap> {
  if (typeof createImageBitmap === "function") return createImageBitmap(image, DECODE_OPTIONS).catch(throwDecodeError);
  throw new OodError(
    "image",
    "Images can only be decoded in browsers. Decode it first, for example with sharp (see the README), and pass { data, width, height, channels }.",
  );
}

/** What is drawn below the image, and must be read back as it is. */
const PROOF = [10, 100, 200, 255];

/**
 * The bitmap's pixels, turned upright. Alpha is left to the engine, as canvases of several browsers
 * round it otherwise when they draw over white.
 */
function read(bitmap: ImageBitmap, close: boolean, orientation = 1): RawImage & { channels: 4 } {
  const [a, b, c, d] = TURNS[orientation - 1] as (typeof TURNS)[number];
  const [width, height] = a === 0 ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
  try {
    if (width * height > MAX_PIXELS) {
      throw new OodError("image", `The image has ${width} x ${height} pixels; at most ${MAX_PIXELS / 1e6} million are supported.`);
    }
    const canvas = new OffscreenCanvas(width, height + 1);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new OodError("image", `No canvas of ${width} x ${height} pixels can be created here.`);
    context.fillStyle = `rgb(${PROOF.slice(0, 3).join()})`;
    context.fillRect(0, height, width, 1);
    context.setTransform(a, b, c, d, a + c < 0 ? width : 0, b + d < 0 ? height : 0);
    context.drawImage(bitmap, 0, 0);
    const data = context.getImageData(0, 0, width, height + 1).data;
    const size = 4 * width * height;
    if (data.subarray(size).some((value, i) => value !== PROOF[i % 4])) throw unreadable(width, height);
    return { data: data.subarray(0, size), width, height, channels: 4 };
  } catch (cause) {
    return throwDecodeError(cause);
  } finally {
    if (close) bitmap.close();
  }
}

/** Where x and y point to, by EXIF's orientation; from the fifth on the sides change places. */
const TURNS = [
  [1, 0, 0, 1],
  [-1, 0, 0, 1],
  [-1, 0, 0, -1],
  [1, 0, 0, -1],
  [0, 1, 1, 0],
  [0, 1, -1, 0],
  [0, -1, -1, 0],
  [0, -1, 1, 0],
] as const;

function unreadable(width: number, height: number): OodError {
  return new OodError(
    "image",
    `The image's pixels can't be read back from a canvas of ${width} x ${height} pixels: it is too large for this browser, or a privacy setting changes what canvases return. Use a smaller image, or allow this site to read canvases.`,
  );
}

function throwDecodeError(cause: unknown): never {
  if (cause instanceof OodError) throw cause;
  const advice =
    (Object(cause) as Error).name === "SecurityError"
      ? "It comes from another origin: load it with crossOrigin = 'anonymous' from a server that allows it."
      : "Is it an image in a format this browser supports?";
  throw new OodError("image", `The image can't be decoded: ${messageOf(cause)} ${advice}`, { cause });
}

function isBitmap(value: unknown): value is ImageBitmap {
  return tagOf(value) === "ImageBitmap";
}
