// Runs a batch over a pool of links; results come in input order.

import { abortedError, throwIfAborted } from "./abort.js";
import { OodError, toOodError } from "./errors.js";
import type { Link } from "./link.js";
import type { BatchProgress, BatchResult, Detection, Input } from "./types.js";

interface Pool {
  images: Iterable<Input> | AsyncIterable<Input>;
  concurrency: number;
  first: Link;
  /** Makes another link; undefined where there can be no second one. */
  extra: (() => Link) | undefined;
  release(link: Link): void;
  detect(link: Link, image: Input, signal: AbortSignal): Promise<Detection>;
  signal: AbortSignal | undefined;
  onProgress: ((progress: BatchProgress) => void) | undefined;
}

/** Yields each image's detection or error in input order; reads at most a few images ahead. */
export async function* runPool(pool: Pool): AsyncGenerator<BatchResult, void, undefined> {
  const { images, concurrency, signal, onProgress } = pool;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new OodError("options", `concurrency is ${concurrency}; it must be a positive integer.`);
  }
  throwIfAborted(signal);
  const size = pool.extra ? concurrency : 1;
  const stop = new AbortController();
  const forward = (): void => stop.abort(signal?.reason);
  signal?.addEventListener("abort", forward);

  const links = [pool.first];
  const idle = [pool.first];
  const waiting: ((link: Link) => void)[] = [];
  const acquire = (): Promise<Link> | Link => {
    const link = idle.pop();
    if (link) return link;
    if (pool.extra && links.length < size) {
      const extra = pool.extra();
      links.push(extra);
      return extra;
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  const release = (link: Link): void => {
    const next = waiting.shift();
    if (next) next(link);
    else idle.push(link);
  };

  const total = lengthOf(images);
  let done = 0;
  const run = async (index: number, image: Input): Promise<BatchResult> => {
    const link = await acquire();
    let result: BatchResult;
    try {
      result = { index, detection: await pool.detect(link, image, stop.signal) };
    } catch (error) {
      result = { index, error: toOodError(error) };
    }
    release(link);
    onProgress?.({ done: ++done, ...(total !== undefined && { total }) });
    return result;
  };

  const source = Symbol.asyncIterator in images ? images[Symbol.asyncIterator]() : images[Symbol.iterator]();
  const window: Promise<BatchResult>[] = [];
  let reading: Promise<void> | undefined;
  let ended = false;
  let index = 0;
  const read = async (): Promise<void> => {
    const step = await source.next();
    reading = undefined;
    if (step.done) ended = true;
    else window.push(run(index++, step.value));
  };

  try {
    while (!ended || window.length > 0) {
      if (!ended && !reading && window.length < 2 * size) {
        reading = read();
        // Awaited below, unless the consumer stops before that.
        reading.catch(() => undefined);
      }
      // Neither a slow source nor a slow detection may hold back the other.
      const oldest = await Promise.race([...window.slice(0, 1), ...(reading ? [reading] : [])]);
      if (signal?.aborted) throw abortedError(signal);
      if (!oldest) continue;
      void window.shift();
      if (oldest.error?.code === "disposed") throw oldest.error;
      yield oldest;
    }
  } finally {
    signal?.removeEventListener("abort", forward);
    stop.abort();
    for (const link of links) if (link !== pool.first) pool.release(link);
    if (!ended) void source.return?.();
  }
}

function lengthOf(images: Iterable<Input> | AsyncIterable<Input>): number | undefined {
  if ("length" in images && typeof images.length === "number") return images.length;
  return "size" in images && typeof images.size === "number" ? images.size : undefined;
}
