// The visitor's own images, several at a time: each has its verdict in the gallery.

import { effect, type Signal, signal } from "@preact/signals-core";
import type { ChosenFile } from "../ui/files.js";
import type { App } from "./app.js";
import type { LoadedModel } from "./models.js";
import { type Overrides, toOptions } from "./overrides.js";
import type { Detection } from "itp-ood";

/** An image of the visitor's, and what the present model and hyperparameters make of it. */
export interface OwnImage {
  readonly file: ChosenFile;
  /** An address to show it by. */
  readonly url: string;
  readonly result: Signal<Detection | undefined>;
  /** Why it can't be judged. */
  readonly problem: Signal<string | undefined>;
}

/** More are for the section Measure. */
export const MOST_OWN = 60;

/** Own images; they are judged again when model or hyperparameters have changed, once they are seen. */
export class OwnImages {
  readonly all = signal<readonly OwnImage[]>([]);

  constructor(app: App) {
    let judged: unknown[] = [];
    let stop: AbortController | undefined;
    effect(() => {
      const images = this.all.value;
      const model = app.current.value;
      const overrides = app.overrides.value;
      const now = [images, model, overrides];
      if (app.view.value !== "try" || now.every((part, i) => part === judged[i])) return;
      judged = now;
      stop?.abort();
      stop = new AbortController();
      for (const { result } of images) result.value = undefined;
      // What is aborted is started anew.
      if (model && images.length) judge(images, model, overrides, stop.signal).catch(() => undefined);
    });
  }

  /** Replaces the images. */
  show(files: readonly ChosenFile[]): void {
    for (const { url } of this.all.peek()) URL.revokeObjectURL(url);
    this.all.value = files
      .slice(0, MOST_OWN)
      .map((file) => ({ file, url: URL.createObjectURL(file.file), result: signal(undefined), problem: signal(undefined) }));
  }
}

async function judge(
  images: readonly OwnImage[],
  { detector, info }: LoadedModel,
  overrides: Overrides,
  signal: AbortSignal,
): Promise<void> {
  const files = images.map(({ file }) => file.file);
  for await (const { index, detection, error } of detector.detectAll(files, { ...toOptions(overrides, info), signal })) {
    const image = images[index];
    if (!image || signal.aborted) return;
    image.result.value = detection;
    image.problem.value = error?.message;
  }
}
