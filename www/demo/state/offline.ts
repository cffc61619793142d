// The service worker, with which the page works offline after the first visit.

import { isSingleFile } from "./assets.js";

const canWorkOffline = !isSingleFile && "serviceWorker" in navigator && location.protocol !== "file:";

/** Starts the service worker, once the page has all that it needs at first. */
export function startOffline(): void {
  if (!canWorkOffline) return;
  addEventListener("load", () => void navigator.serviceWorker.register("service-worker.js").catch(() => undefined));
}

/** Keeps files that were fetched on demand. */
export function keepOffline(addresses: readonly string[]): void {
  if (!canWorkOffline) return;
  navigator.serviceWorker.ready.then(
    ({ active }) => active?.postMessage({ keep: addresses }),
    () => undefined,
  );
}
