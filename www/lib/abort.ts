// AbortSignal helpers.

import { OodError } from "./errors.js";

/** Throws if `signal` has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/** The error for an aborted signal; its reason is the cause. */
export function abortedError(signal: AbortSignal): OodError {
  return new OodError("aborted", "The operation was aborted by the caller's signal.", { cause: signal.reason });
}

/** The same promise, rejected early when `signal` is aborted. */
export function withAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(abortedError(signal));
    void promise
      .then(resolve, reject)
      .then(() => signal.removeEventListener("abort", abort))
      .catch(() => undefined);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

/** A controller that is aborted with `signal`, until it is let go. */
export function follow(signal: AbortSignal | undefined): { controller: AbortController; letGo: () => void } {
  const controller = new AbortController();
  const forward = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) forward();
  signal?.addEventListener("abort", forward);
  return { controller, letGo: () => signal?.removeEventListener("abort", forward) };
}
