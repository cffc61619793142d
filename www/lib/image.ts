// Decodes images of every kind to pixels. Resizing, cropping and normalising are left to the engine,
// so that browsers and the command line compute the same input.

import { messageOf, OodError } from "./errors.js";
import type { ImagePayload } from "./protocol.js";
import { type Open, readBlob } from "./source.js";
import { markTransferable } from "./transfer.js";
import type { Input, RawImage } from "./types.js";

/** Same as the engine's limit. */
const MAX_PIXELS = 100_000_000;

/** No colour management, straight alpha, EXIF orientation applied: as the native decoder does. */
const DECODE_OPTIONS: ImageBitmapOptions = {
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
  imageOrientation: "from-image",
};

/** Prepares an image on the calling thread for posting it to a worker. */
export async function toPayload(input: Input, open: Open, signal?: AbortSignal): Promise<ImagePayload> {
  if (typeof input === "string" || input instanceof URL) {
    return readBlob(input, { open, part: "image", signal });
  }
  if (input instanceof Blob) return input;
  if (isInstance(input, "ImageBitmap")) return input;
  if (isInstance(input, "HTMLImageElement")) await input.decode().catch(throwDecodeError);
  if (isInstance(input, "HTMLVideoElement") && input.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    throw new OodError("image", "The video has no frame yet: wait for its 'loadeddata' event.");
  }
  if (isDrawable(input)) return markTransferable(await createImageBitmap(input, DECODE_OPTIONS).catch(throwDecodeError));
  if (isRaw(input)) return { data: input.data, width: input.width, height: input.height, channels: channelsOf(input) };
  throw new OodError(
    "image",
    "Not an image: pass a Blob or File, a URL, an image, canvas or video element, ImageData, ImageBitmap, or { data, width, height }.",
  );
}

/** Decodes a payload; runs where the engine runs. */
export async function toPixels(image: ImagePayload): Promise<RawImage & { channels: 1 | 3 | 4 }> {
  if (image instanceof Blob) return drawAndClose(await decode(image));
  if (isInstance(image, "ImageBitmap")) return drawAndClose(image);
  return { ...image, channels: channelsOf(image) };
}

async function decode(blob: Blob): Promise<ImageBitmap> {
  if (typeof createImageBitmap !== "function") {
    throw new OodError(
      "image",
      "Images can only be decoded in browsers. Decode it first, for example with sharp (see the README), and pass { data, width, height, channels }.",
    );
  }
  if (blob.size === 0) throw new OodError("image", "The image file is empty.");
  return createImageBitmap(blob, DECODE_OPTIONS).catch(throwDecodeError);
}

/** The bitmap's pixels composited over white, as the engine does with the alpha of raw pixels. */
function drawAndClose(bitmap: ImageBitmap): RawImage & { channels: 4 } {
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) {
      throw new OodError("image", `The image has ${width} x ${height} pixels; at most ${MAX_PIXELS / 1e6} million are supported.`);
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new OodError("image", `No canvas of ${width} x ${height} pixels can be created here.`);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
  } catch (cause) {
    return throwDecodeError(cause);
  } finally {
    bitmap.close();
  }
}

function throwDecodeError(cause: unknown): never {
  if (cause instanceof OodError) throw cause;
  const advice =
    cause instanceof DOMException && cause.name === "SecurityError"
      ? "It comes from another origin: load it with crossOrigin = 'anonymous' from a server that allows it."
      : "Is it an image in a format this browser supports?";
  throw new OodError("image", `The image can't be decoded: ${messageOf(cause)} ${advice}`, { cause });
}

function isDrawable(input: object): input is HTMLImageElement | HTMLCanvasElement | HTMLVideoElement | OffscreenCanvas | VideoFrame {
  return ["HTMLImageElement", "HTMLCanvasElement", "HTMLVideoElement", "OffscreenCanvas", "VideoFrame"].some((name) =>
    isInstance(input, name as "VideoFrame"),
  );
}

interface Instances {
  ImageBitmap: ImageBitmap;
  HTMLImageElement: HTMLImageElement;
  HTMLVideoElement: HTMLVideoElement;
  VideoFrame: VideoFrame;
}

/** `instanceof` for a class that the platform may lack, or that comes from another frame. */
function isInstance<Name extends keyof Instances>(value: unknown, name: Name): value is Instances[Name] {
  return Object.prototype.toString.call(value) === `[object ${name}]`;
}

function isRaw(input: unknown): input is RawImage {
  const { data, width, height } = (input ?? {}) as Partial<RawImage>;
  return (data instanceof Uint8Array || data instanceof Uint8ClampedArray) && typeof width === "number" && typeof height === "number";
}

function channelsOf({ data, width, height, channels }: RawImage): 1 | 3 | 4 {
  const count = channels ?? data.length / (width * height);
  if ((count === 1 || count === 3 || count === 4) && Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) {
    return count;
  }
  throw new OodError(
    "image",
    `${data.length} values can't be an image of ${width} x ${height} pixels with ${channels ?? "1, 3 or 4"} channels: data must hold width * height * channels values.`,
  );
}
