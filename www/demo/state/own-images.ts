// The visitor's own images, several at a time: each has its verdict in the gallery.

import { effect, type Signal, signal } from "@preact/signals-core";
import type { ChosenFile } from "../ui/files.js";
import type { App } from "./app.js";
import { toOptions } from "./overrides.js";
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

/** Own images; they are judged again when model or hyperparameters change. */
export class OwnImages {
  readonly all = signal<readonly OwnImage[]>([]);

  constructor(app: App) {
    let stop: AbortController | undefined;
    effect(() => {
      const { value: images } = this.all;
      const { value: model } = app.current;
      const { value: overrides } = app.overrides;
      stop?.abort();
      stop = new AbortController();
      const { signal: aborted } = stop;
      for (const { result } of images) result.value = undefined;
      if (!model || images.length === 0) return;
      void (async () => {
        const inputs = images.map(({ file }) => file.file);
        const options = { ...toOptions(overrides, model.info), signal: aborted };
        for await (const { index, detection, error } of model.detector.detectAll(inputs, options)) {
          const image = images[index];
          if (!image || aborted.aborted) return;
          image.result.value = detection;
          image.problem.value = error?.message;
        }
        // What is aborted is started anew.
      })().catch(() => undefined);
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
