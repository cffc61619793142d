// The images that are measured, after inference.

import type { App } from "../state/app.js";
import type { LoadedModel } from "../state/models.js";
import type { ChosenFile } from "../ui/files.js";
import { count } from "../ui/format.js";
import type { IntakeContext } from "../ui/intake.js";

export type Side = "id" | "ood";

/** A set of images after inference. */
export interface ImageSet {
  /** Whose features they are. */
  model: LoadedModel;
  files: ChosenFile[];
  /** Predicted classes. */
  labels: string[];
  features: Float32Array[];
  broken: { path: string; message: string }[];
}

/** Runs the network on all images; unreadable ones are listed with their errors. */
export async function extract(app: App, files: ChosenFile[], { signal, progress }: IntakeContext): Promise<ImageSet> {
  const model = await app.loaded();
  if (files.length === 0) throw new Error("There are no images among these files.");
  const set: ImageSet = { model, files: [], labels: [], features: [], broken: [] };
  const images = files.map(({ file }) => file);
  for await (const { index, detection, error } of model.detector.detectAll(images, {
    signal,
    onProgress: ({ done }) => progress(done, files.length),
  })) {
    const file = files[index];
    if (!file) continue;
    if (error) {
      set.broken.push({ path: file.path, message: error.message });
      continue;
    }
    set.files.push(file);
    set.labels.push(detection.label);
    set.features.push(detection.features);
  }
  signal.throwIfAborted();
  return set;
}

/** How many images there are, and which can't be read. */
export function summary({ features, broken }: ImageSet, files: number): string {
  const parts = [`${count(features.length)} images`];
  if (broken.length) {
    const names = broken.slice(0, 5).map(({ path }) => path);
    const more = broken.length - names.length;
    parts.push(
      `${broken.length} can't be read, such as ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}: ${broken[0]?.message ?? ""}`,
    );
  }
  const others = files - features.length - broken.length;
  if (others > 0) parts.push(others === 1 ? "1 file is not an image" : `${others} files are not images`);
  return `${parts.join("; ")}.`;
}
