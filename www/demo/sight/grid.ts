// Covering every spot of the image: the button, its progress and its results.

import { effect, type ReadonlySignal, signal } from "@preact/signals-core";
import type { App, Outcome } from "../state/app.js";
import type { Sight } from "../state/sight.js";
import { byId } from "../ui/dom.js";
import { count } from "../ui/format.js";
import { type Occlusion, occlude } from "./occlusion.js";
import { pictureOf } from "./picture.js";

/** What is known of an image, for each size of the cover. */
const known = new WeakMap<Outcome, Map<number, Occlusion>>();

/** Starts the controls; gives what is known of the present image and cover. */
export function startGrid(app: App, sight: Sight, fail: (error: unknown) => void): ReadonlySignal<Occlusion | undefined> {
  const found = signal<Occlusion | undefined>(undefined);
  const [run, cancel, bar, status] = [
    byId<HTMLButtonElement>("sight-run"),
    byId<HTMLButtonElement>("sight-cancel"),
    byId<HTMLProgressElement>("sight-progress"),
    byId("sight-status"),
  ];
  let running: AbortController | undefined;
  cancel.addEventListener("click", () => {
    running?.abort();
    status.textContent = "Cancelled.";
  });
  effect(() => {
    const { value: outcome } = app.outcome;
    const { size } = sight.cover.value;
    found.value = outcome && known.get(outcome)?.get(size);
  });
  // What runs is of the image and the cover before.
  let of: unknown[] = [];
  effect(() => {
    const now = [app.outcome.value, sight.cover.value.size];
    if (now.every((part, i) => part === of[i])) return;
    of = now;
    running?.abort();
    status.textContent = "";
  });

  run.addEventListener("click", async () => {
    const outcome = app.outcome.peek();
    const { size } = sight.cover.peek();
    if (running || !outcome) return;
    running = new AbortController();
    const { signal: stop } = running;
    bar.hidden = cancel.hidden = false;
    run.disabled = true;
    bar.value = 0;
    try {
      const result = await occlude(outcome, pictureOf(outcome.subject, outcome.model.info.preprocess), size, {
        signal: stop,
        progress: (done, total) => {
          if (stop.aborted) return;
          bar.value = done / total;
          status.textContent = `${count(done)} of ${count(total)} runs of the network`;
        },
      });
      status.textContent = "";
      const all = known.get(outcome) ?? new Map<number, Occlusion>();
      known.set(outcome, all.set(size, result));
      if (app.outcome.peek() === outcome && sight.cover.peek().size === size) found.value = result;
    } catch (error) {
      if (!stop.aborted) fail(error);
    } finally {
      running = undefined;
      run.disabled = false;
      // Before the button that has the focus is gone.
      if (document.activeElement === cancel) run.focus();
      bar.hidden = cancel.hidden = true;
    }
  });
  return found;
}
