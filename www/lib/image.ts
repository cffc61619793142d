// Images of every kind to pixels. Resizing, cropping and normalising happen in the engine, so that
// a browser computes what the command line computes; here pixels are only decoded, unchanged.

import { messageOf, OodError } from "./errors.js";
import { own } from "./link.js";
import type { Portable } from "./protocol.js";
import { type Open, readBlob } from "./source.js";
import type { Input, RawImage } from "./types.js";

/** The engine's own limit. */
const MAX_PIXELS = 100_000_000;

/** No colour management, straight alpha, upright: what the native decoder does. */
const DECODING: ImageBitmapOptions = {
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
  imageOrientation: "from-image",
};

/** Takes an image on the calling thread as far as is needed to post it to a worker. */
export async function toPortable(input: Input, open: Open, signal?: AbortSignal): Promise<Portable> {
  if (typeof input === "string" || input instanceof URL) {
    return readBlob(input, { open, part: "image", signal });
  }
  if (input instanceof Blob) return input;
  if (isInstance(input, "ImageBitmap")) return input;
  if (isInstance(input, "HTMLImageElement")) await input.decode().catch(refuse);
  if (isInstance(input, "HTMLVideoElement") && input.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    throw new OodError("image", "The video shows no picture yet: wait for its 'loadeddata' event.");
  }
  if (isDrawable(input)) return own(await createImageBitmap(input, DECODING).catch(refuse));
  if (isRaw(input)) return { data: input.data, width: input.width, height: input.height, channels: channelsOf(input) };
  throw new OodError(
    "image",
    "Not an image: pass a Blob or File, an address, an image, canvas or video element, ImageData, ImageBitmap, or { data, width, height }.",
  );
}

/** Decodes where the engine runs. */
export async function toPixels(image: Portable): Promise<RawImage & { channels: 1 | 3 | 4 }> {
  if (image instanceof Blob) return drawAndClose(await decode(image));
  if (isInstance(image, "ImageBitmap")) return drawAndClose(image);
  return { ...image, channels: channelsOf(image) };
}

async function decode(blob: Blob): Promise<ImageBitmap> {
  if (typeof createImageBitmap !== "function") {
    throw new OodError(
      "image",
      "Only browsers decode images. Decode it first, for example with sharp (see the README), and pass { data, width, height, channels }.",
    );
  }
  if (blob.size === 0) throw new OodError("image", "The image file is empty.");
  return createImageBitmap(blob, DECODING).catch(refuse);
}

/** The bitmap's pixels over white, as the engine composites alpha itself for raw pixels. */
function drawAndClose(bitmap: ImageBitmap): RawImage & { channels: 4 } {
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) {
      throw new OodError("image", `The image has ${width} x ${height} pixels; at most ${MAX_PIXELS / 1e6} million are taken.`);
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new OodError("image", `No canvas of ${width} x ${height} pixels can be had here.`);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
  } catch (cause) {
    return refuse(cause);
  } finally {
    bitmap.close();
  }
}

function refuse(cause: unknown): never {
  if (cause instanceof OodError) throw cause;
  const advice =
    cause instanceof DOMException && cause.name === "SecurityError"
      ? "It comes from another origin: load it with crossOrigin = 'anonymous' from a server that allows it."
      : "Is it an image in a format that this browser knows?";
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

/** `instanceof` for a class that this platform may lack, or that belongs to another frame. */
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
    `${data.length} values don't make an image of ${width} x ${height} pixels with ${channels ?? "1, 3 or 4"} channels: data must hold width * height * channels values.`,
  );
}
