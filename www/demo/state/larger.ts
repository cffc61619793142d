// The larger model takes over from the one that the page opens with, where that costs the visitor nothing.

import { effect } from "@preact/signals-core";
import type { App, Subject } from "./app.js";
import type { Game } from "./game.js";
import { FIRST, LARGER } from "./models.js";

/** What browsers say of the connection; Firefox and Safari say nothing. */
interface Connection {
  saveData?: boolean;
  effectiveType?: string;
  type?: string;
}

/** Whether 6 MB may be fetched that nobody asked for. */
export function isUnmetered(connection = (navigator as { connection?: Connection }).connection): boolean {
  // What says nothing of its connection and is used by fingers may well be a phone on the way.
  if (!connection) return matchMedia("(pointer: fine)").matches;
  return connection.saveData !== true && connection.type !== "cellular" && !/^(slow-2g|2g|3g)$/.test(connection.effectiveType ?? "");
}

/**
 * Waits for the first verdict, loads the larger model, and opens it with an image of its own, unless the visitor
 * has begun with something meanwhile. `before` is called just before it is opened. Where it can't be loaded, the
 * page stays as it is.
 */
export async function openLarger(app: App, game: Game, image: () => Promise<Subject> | undefined, before: () => void): Promise<void> {
  const { view, wanted, subject, overrides } = app;
  if (view.peek() !== "try") return;
  await firstVerdict(app);
  const [shown, used] = [subject.peek(), overrides.peek()];
  const isUntouched = (): boolean =>
    view.peek() === "try" && wanted.peek() === FIRST && subject.peek() === shown && overrides.peek() === used && !game.on.peek();
  if (!isUntouched()) return;
  const opening = image();
  await Promise.all([app.load(LARGER), opening]);
  if (!isUntouched()) return;
  before();
  await app.open({ model: LARGER, ...(opening && { image: opening }) });
}

function firstVerdict(app: App): Promise<void> {
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (!app.outcome.value) return;
      resolve();
      queueMicrotask(() => stop());
    });
  });
}
