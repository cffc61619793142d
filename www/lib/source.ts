// Reading files from wherever they come, with progress, and compiling the engine once.

import { abortedError, throwIfAborted, withAbort } from "./abort.js";
import { messageOf, OodError } from "./errors.js";
import type { LoadProgress, Source } from "./types.js";

/** How an address is opened: `fetch`, or in Node also the file system. */
export type Open = (address: string | URL | Request, signal?: AbortSignal) => Promise<Response>;

/** How a file is read, and what it is called in messages. */
export interface Reading {
  open: Open;
  part: LoadProgress["part"] | "image";
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** The bytes of a source, as a blob: workers share it without copying. */
export async function readBlob(source: Source, reading: Reading): Promise<Blob> {
  throwIfAborted(reading.signal);
  const blob = await readUnchecked(source, reading);
  await refuseHtml(blob, reading.part, addressOf(source));
  return blob;
}

async function readUnchecked(source: Source, reading: Reading): Promise<Blob> {
  if (source instanceof Blob) return source;
  if (source instanceof ArrayBuffer) return new Blob([source]);
  if (ArrayBuffer.isView(source)) {
    // The copy is for views of shared memory, which a blob does not take.
    return new Blob([new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice()]);
  }
  if (!isAddress(source) && !(source instanceof Response)) {
    throw new OodError(
      "fetch",
      `The ${reading.part} can't be read from ${describe(source)}: pass an address, a Request, a Response, a Blob or bytes.`,
    );
  }
  return download(source instanceof Response ? source : await openChecked(source, reading), reading);
}

function isAddress(source: unknown): source is string | URL | Request {
  return typeof source === "string" || source instanceof URL || source instanceof Request;
}

/** Opens an address; a failure names it and the status. */
export async function openChecked(
  address: string | URL | Request,
  { open, part, signal }: Reading,
): Promise<Response> {
  let response: Response;
  try {
    response = await open(address, signal);
  } catch (cause) {
    if (signal?.aborted) throw abortedError(signal);
    throw new OodError("fetch", `The ${part} at ${addressOf(address)} can't be read: ${messageOf(cause)}.`, { cause });
  }
  return response;
}

async function download(response: Response, { part, signal, onProgress }: Reading): Promise<Blob> {
  const address = response.url || "the given response";
  if (!response.ok) {
    throw new OodError("fetch", `The ${part} at ${address} can't be read: ${`${response.status} ${response.statusText}`.trim()}.`);
  }
  const length = Number(response.headers.get("content-length"));
  // With a content encoding, the length is that of the compressed bytes.
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
    throw new OodError("fetch", `The ${part} at ${address} broke off after ${loaded} bytes: ${messageOf(cause)}.`, { cause });
  }
  if (loaded === 0) throw new OodError("fetch", `The ${part} at ${address} is empty.`);
  return new Blob(chunks);
}

/** Servers of single-page applications answer unknown paths with their page, and status 200. */
async function refuseHtml(blob: Blob, part: string, address: string): Promise<void> {
  const start = (await blob.slice(0, 64).text()).trimStart().toLowerCase();
  if (!start.startsWith("<!doctype html") && !start.startsWith("<html")) return;
  throw new OodError(
    "fetch",
    `The ${part} at ${address} is an HTML page. Servers of single-page applications answer a path that they don't know with their page: check that the file is deployed and that the address is right.`,
  );
}

/**
 * Whether this browser has relaxed SIMD, which multiplies and adds in one instruction. It is asked, by
 * a module with one such instruction, rather than guessed from its name.
 */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(
    Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 0, 253, 133, 2, 26, 11),
  );
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** The compiled engine. An address is fetched and compiled once, however many detectors are loaded. */
export async function compileEngine(source: Source | WebAssembly.Module, reading: Reading): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source !== "string" && !(source instanceof URL)) return compile(source, reading);
  const key = String(source);
  let module = modules.get(key);
  if (!module) {
    // Others may wait for the same module: one caller's signal does not stop it.
    module = compile(source, { ...reading, signal: undefined });
    modules.set(key, module);
    module.catch(() => modules.delete(key));
  }
  return withAbort(module, reading.signal);
}

async function compile(source: Source, reading: Reading): Promise<WebAssembly.Module> {
  let wasm: Source = source;
  if (isAddress(source)) {
    const response = await openChecked(source, reading);
    const type = response.headers.get("content-type") ?? "";
    // Streaming compiles while the bytes arrive and lets the browser cache the compiled code.
    if (response.ok && type.startsWith("application/wasm") && typeof WebAssembly.compileStreaming === "function") {
      reading.onProgress?.({ part: "engine", loaded: 0 });
      return WebAssembly.compileStreaming(response).catch(refuseEngine);
    }
    wasm = response;
  }
  const blob = await readBlob(wasm, reading);
  return WebAssembly.compile(await blob.arrayBuffer()).catch(refuseEngine);
}

function refuseEngine(cause: unknown): never {
  const advice = /content security policy|unsafe-eval|disallowed by embedder/i.test(messageOf(cause))
    ? "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy."
    : "It needs a browser with WebAssembly SIMD (Chrome 91, Firefox 89, Safari 17 or newer), and the package's own engine.wasm of the same version.";
  throw new OodError("engine", `The engine can't be compiled: ${messageOf(cause)}. ${advice}`, { cause });
}

function addressOf(source: unknown): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  return source instanceof Request || source instanceof Response ? source.url || "the given response" : "the given bytes";
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value === "object" ? value.constructor.name : typeof value;
}
