// Reads files from any source, with progress, and compiles the engine once.

import { abortedError, follow, throwIfAborted, withAbort } from "./abort.js";
import { show, tagOf, view } from "./check.js";
import { engineError, messageOf, OodError, toOodError } from "./errors.js";
import type { LoadProgress, Source } from "./types.js";

/** Opens a URL: by `fetch` or, in Node, also from the file system. */
export type Open = (url: string | URL | Request, signal?: AbortSignal) => Promise<Response>;

/** How to read a file, and its name in messages. */
export interface Reading {
  open: Open;
  part: LoadProgress["part"] | "image";
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** No file of the package's may be larger: it must fit into the engine's memory beside what is made of it. */
const MAX_BYTES = 2 ** 30;

/** The bytes of a source as a blob, which workers share without copying. */
export async function readBlob(source: Source, reading: Reading): Promise<Blob> {
  throwIfAborted(reading.signal);
  const blob = await readUnchecked(source, reading);
  throwIfTooLarge(blob.size, reading.part);
  await rejectHtml(blob, reading.part, urlOf(source));
  return blob;
}

function throwIfTooLarge(bytes: number, part: string): void {
  if (bytes > MAX_BYTES) throw new OodError("fetch", `The ${part} has more than ${MAX_BYTES} bytes; that is too large for the engine.`);
}

async function readUnchecked(source: Source, reading: Reading): Promise<Blob> {
  if (isBlob(source)) return source;
  if (ArrayBuffer.isView(source) || /^(Shared)?ArrayBuffer$/.test(tagOf(source))) {
    const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(source) ? source : { buffer: source as ArrayBuffer };
    const bytes = view(() => new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength), "fetch");
    // Copied, as a blob can't be made of views of shared memory.
    return new Blob([tagOf(bytes.buffer) === "ArrayBuffer" ? bytes : bytes.slice()]);
  }
  const response = tagOf(source) === "Response";
  if (!isUrl(source) && !response) {
    throw new OodError(
      "fetch",
      `The ${reading.part} can't be read from ${show(source)}: pass a URL, a Request, a Response, a Blob or bytes.`,
    );
  }
  return download(response ? (source as Response) : await openChecked(source as string, reading), reading);
}

/** A blob or a file. */
export function isBlob(value: unknown): value is Blob {
  return /^(Blob|File)$/.test(tagOf(value));
}

function isUrl(source: unknown): source is string | URL | Request {
  return typeof source === "string" || /^(URL|Request)$/.test(tagOf(source));
}

const FETCH_ADVICE =
  " Can its server be reached, does it allow other origins (CORS), and does connect-src of the page's Content-Security-Policy allow it?";

/** Opens a URL; errors name it and the status. */
export async function openChecked(url: string | URL | Request, { open, part, signal }: Reading): Promise<Response> {
  // Of this realm, as `fetch` takes no other signal.
  const { controller, letGo } = follow(signal);
  try {
    return await open(tagOf(url) === "URL" ? (url as URL).href : url, signal && controller.signal);
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal);
    // All that browsers say of a server that is away, of CORS and of a policy is that the fetch failed.
    const advice = tagOf(cause) === "Error" && (cause as Error).name === "TypeError" ? FETCH_ADVICE : "";
    throw new OodError("fetch", `The ${part} at ${urlOf(url)} can't be read: ${messageOf(cause)}.${advice}`, { cause });
  } finally {
    letGo();
  }
}

async function download(response: Response, { part, signal, onProgress }: Reading): Promise<Blob> {
  const url = response.url || "the given response";
  if (!response.ok) {
    throw new OodError("fetch", `The ${part} at ${url} can't be read: ${`${response.status} ${response.statusText}`.trim()}.`);
  }
  const length = Number(response.headers.get("content-length"));
  // With a content encoding, content-length counts compressed bytes.
  const total = length > 0 && !response.headers.has("content-encoding") ? length : undefined;
  const report = (loaded: number): void => {
    if (part !== "image") onProgress?.({ part, loaded, ...(total !== undefined && { total }) });
  };
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  report(0);
  try {
    const reader = response.body?.getReader();
    for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
      throwIfAborted(signal);
      chunks.push(step.value);
      loaded += step.value.byteLength;
      throwIfTooLarge(loaded, part);
      report(loaded);
    }
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal);
    if (cause instanceof OodError) throw cause;
    throw new OodError("fetch", `The ${part} at ${url} was cut off after ${loaded} bytes: ${messageOf(cause)}.`, { cause });
  }
  if (loaded === 0) throw new OodError("fetch", `The ${part} at ${url} is empty.`);
  return new Blob(chunks);
}

/** Servers of single-page applications answer unknown paths with their page and status 200. */
async function rejectHtml(blob: Blob, part: string, url: string): Promise<void> {
  const start = (await blob.slice(0, 64).text()).trimStart().toLowerCase();
  if (!start.startsWith("<!doctype html") && !start.startsWith("<html")) return;
  throw new OodError(
    "fetch",
    `The ${part} at ${url} is an HTML page. Servers of single-page applications answer unknown paths with their page: check that the file is deployed and that the URL is right.`,
  );
}

/**
 * Whether relaxed SIMD, which has a fused multiply-add, is supported. Detected by validating a module
 * with one such instruction.
 */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(
    Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 0, 253, 133, 2, 26, 11),
  );
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** The compiled engine. Each URL is fetched and compiled once, however many detectors are loaded. */
export async function compileEngine(source: Source | WebAssembly.Module, reading: Reading): Promise<WebAssembly.Module> {
  if (tagOf(source) === "WebAssembly.Module") return source;
  if (typeof source !== "string" && tagOf(source) !== "URL") return compile(source as Source, reading);
  const key = urlOf(source);
  let module = modules.get(key);
  if (module) return withAbort(module, reading.signal);
  // Other callers may wait for the same module: neither this one's signal nor its callback ends it.
  let failure: OodError | undefined;
  const onProgress: Reading["onProgress"] = (progress) => {
    try {
      reading.onProgress?.(progress);
    } catch (thrown) {
      failure ??= toOodError(thrown);
    }
  };
  module = compile(key, { ...reading, signal: undefined, onProgress });
  modules.set(key, module);
  module.catch(() => modules.delete(key));
  const compiled = await withAbort(module, reading.signal);
  if (failure) throw failure;
  return compiled;
}

async function compile(source: Source, reading: Reading): Promise<WebAssembly.Module> {
  let wasm: Source = source;
  if (isUrl(source)) {
    const response = await openChecked(source, reading);
    const type = response.headers.get("content-type") ?? "";
    // Streaming compiles while downloading, and lets the browser cache the compiled code.
    if (response.ok && type.startsWith("application/wasm") && typeof WebAssembly.compileStreaming === "function") {
      reading.onProgress?.({ part: "engine", loaded: 0 });
      return WebAssembly.compileStreaming(response).catch(throwEngineError);
    }
    wasm = response;
  }
  const blob = await readBlob(wasm, reading);
  return WebAssembly.compile(await blob.arrayBuffer()).catch(throwEngineError);
}

function throwEngineError(cause: unknown): never {
  throw engineError(
    "compiled",
    cause,
    "It needs WebAssembly SIMD (Chrome 91, Firefox 89, Safari 17 or newer), and the engine.wasm of the same version of the package.",
  );
}

function urlOf(source: unknown): string {
  if (typeof source === "string") return source;
  if (tagOf(source) === "URL") return (source as URL).href;
  return /^Re(quest|sponse)$/.test(tagOf(source)) ? (source as Response).url || "the given response" : "the given bytes";
}
