// Runs a batch over a pool of links; results come in input order.

import { follow, throwIfAborted, withAbort } from "./abort.js";
import { iteratorOf } from "./check.js";
import { messageOf, OodError, toOodError } from "./errors.js";
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
  const source = iteratorOf(images);
  const total = lengthOf(images);
  throwIfAborted(signal);
  const size = pool.extra ? concurrency : 1;
  const { controller: stop, letGo } = follow(signal);

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

  let done = 0;
  let failure: OodError | undefined;
  const run = async (index: number, image: Input): Promise<BatchResult> => {
    const link = await acquire();
    let result: BatchResult;
    try {
      result = { index, detection: await pool.detect(link, image, stop.signal) };
    } catch (error) {
      result = { index, error: toOodError(error) };
    }
    release(link);
    try {
      // Nothing is reported of a batch that has ended.
      if (!stop.signal.aborted) onProgress?.({ done: ++done, ...(total !== undefined && { total }) });
    } catch (thrown) {
      // Thrown where the batch is read, as nobody awaits this image yet.
      failure ??= toOodError(thrown);
    }
    return result;
  };

  const window: Promise<BatchResult>[] = [];
  let reading: Promise<void> | undefined;
  let ended = false;
  let index = 0;
  const read = async (): Promise<void> => {
    let step: IteratorResult<Input>;
    try {
      step = await source.next();
      ended = Boolean(step.done);
    } catch (cause) {
      ended = true;
      throw new OodError("image", `The images can't be read: ${messageOf(cause)}`, { cause });
    }
    reading = undefined;
    if (!ended) window.push(run(index++, step.value as Input));
  };

  try {
    while (!ended || window.length > 0) {
      if (!ended && !reading && window.length < 2 * size) {
        reading = read();
        // Awaited below, unless the consumer stops before that.
        reading.catch(() => undefined);
      }
      // Neither a slow source nor a slow detection may hold back the other.
      const oldest = await withAbort(Promise.race([...window.slice(0, 1), ...(reading ? [reading] : [])]), signal);
      if (failure) throw failure;
      if (!oldest) continue;
      void window.shift();
      if (oldest.error?.code === "disposed") throw oldest.error;
      yield oldest;
    }
  } finally {
    letGo();
    stop.abort();
    for (const link of links) if (link !== pool.first) pool.release(link);
    if (!ended) {
      // What closing the source throws can change nothing.
      const close = async (): Promise<unknown> => source.return?.();
      close().catch(() => undefined);
    }
  }
}

function lengthOf(images: Iterable<Input> | AsyncIterable<Input>): number | undefined {
  const { length, size } = images as { length?: unknown; size?: unknown };
  return [length, size].find((count): count is number => Number.isSafeInteger(count));
}
