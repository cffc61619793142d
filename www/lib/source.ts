// Reads files from any source, with progress, and compiles the engine once.

import { abortedError, throwIfAborted, withAbort } from "./abort.js";
import { messageOf, OodError } from "./errors.js";
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

/** The bytes of a source as a blob, which workers share without copying. */
export async function readBlob(source: Source, reading: Reading): Promise<Blob> {
  throwIfAborted(reading.signal);
  const blob = await readUnchecked(source, reading);
  await rejectHtml(blob, reading.part, urlOf(source));
  return blob;
}

async function readUnchecked(source: Source, reading: Reading): Promise<Blob> {
  if (source instanceof Blob) return source;
  if (source instanceof ArrayBuffer) return new Blob([source]);
  if (ArrayBuffer.isView(source)) {
    // Copied, as a blob can't be made of views of shared memory.
    return new Blob([new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice()]);
  }
  if (!isUrl(source) && !(source instanceof Response)) {
    throw new OodError(
      "fetch",
      `The ${reading.part} can't be read from ${describe(source)}: pass a URL, a Request, a Response, a Blob or bytes.`,
    );
  }
  return download(source instanceof Response ? source : await openChecked(source, reading), reading);
}

function isUrl(source: unknown): source is string | URL | Request {
  return typeof source === "string" || source instanceof URL || source instanceof Request;
}

/** Opens a URL; errors name it and the status. */
export async function openChecked(url: string | URL | Request, { open, part, signal }: Reading): Promise<Response> {
  let response: Response;
  try {
    response = await open(url, signal);
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal);
    throw new OodError("fetch", `The ${part} at ${urlOf(url)} can't be read: ${messageOf(cause)}.`, { cause });
  }
  return response;
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
      report(loaded);
    }
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal);
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
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source !== "string" && !(source instanceof URL)) return compile(source, reading);
  const key = String(source);
  let module = modules.get(key);
  if (!module) {
    // Other callers may wait for the same module, so one caller's signal does not cancel it.
    module = compile(source, { ...reading, signal: undefined });
    modules.set(key, module);
    module.catch(() => modules.delete(key));
  }
  return withAbort(module, reading.signal);
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
  const advice = /content security policy|unsafe-eval|disallowed by embedder/i.test(messageOf(cause))
    ? "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy."
    : "It needs WebAssembly SIMD (Chrome 91, Firefox 89, Safari 17 or newer), and the engine.wasm of the same version of the package.";
  throw new OodError("engine", `The engine can't be compiled: ${messageOf(cause)}. ${advice}`, { cause });
}

function urlOf(source: unknown): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  return source instanceof Request || source instanceof Response ? source.url || "the given response" : "the given bytes";
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? value.constructor.name : typeof value;
}
