// Training images by class, and which of them are held out.

import { type ChosenFile, isImage } from "../ui/files.js";

/** A class and its images. */
export interface TrainingClass {
  name: string;
  files: ChosenFile[];
}

/** With fewer images per class, the standard deviations are uncertain. */
export const MIN_RELIABLE = 30;

/** One class per folder, sorted by name: the order in which training tools number them. */
export function classesOf(files: readonly ChosenFile[]): TrainingClass[] {
  const byName = new Map<string, ChosenFile[]>();
  for (const file of files.filter(isImage)) {
    const folder = file.path.split("/").at(-2);
    if (folder === undefined) continue;
    byName.set(folder, [...(byName.get(folder) ?? []), file]);
  }
  return Array.from(byName, ([name, of]) => ({ name, files: of })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The class named like the image's folder, if there is one. */
export function classOf({ path }: ChosenFile, labels: readonly string[]): number | undefined {
  const index = labels.indexOf(path.split("/").at(-2) ?? "");
  return index < 0 ? undefined : index;
}

/** An image, its class if that is known, and whether it is held out. */
export interface CalibrationStep {
  file: ChosenFile;
  classIndex: number | undefined;
  heldOut: boolean;
}

/**
 * All steps in order: training images class by class, then held-out images. With `every`, each
 * `every`th training image of a class is held out instead.
 */
export function plan(classes: readonly TrainingClass[], holdout: readonly ChosenFile[], every: number | undefined): CalibrationStep[] {
  const train: CalibrationStep[] = [];
  const names = classes.map(({ name }) => name);
  const held: CalibrationStep[] = holdout.map((file) => ({ file, classIndex: classOf(file, names), heldOut: true }));
  classes.forEach(({ files }, classIndex) =>
    files.forEach((file, i) => {
      const heldOut = every !== undefined && i % every === every - 1;
      (heldOut ? held : train).push({ file, classIndex, heldOut });
    }),
  );
  return [...train, ...held];
}
