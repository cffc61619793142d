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

/** An image, its class if that is known, and whether it is held out, or held back from the training images. */
export interface CalibrationStep {
  file: ChosenFile;
  classIndex: number | undefined;
  use: "training" | "held out" | "held back";
}

/** All steps in order: training images class by class, then held-out images. */
export function plan(classes: readonly TrainingClass[], holdout: readonly ChosenFile[]): CalibrationStep[] {
  const names = classes.map(({ name }) => name);
  return [
    ...classes.flatMap(({ files }, classIndex) => files.map((file): CalibrationStep => ({ file, classIndex, use: "training" }))),
    ...holdout.map((file): CalibrationStep => ({ file, classIndex: classOf(file, names), use: "held out" })),
  ];
}

/** The steps with those marked in `heldBack`, one value per image, held back: these come last. */
export function holdBack(steps: readonly CalibrationStep[], heldBack: Uint8Array): CalibrationStep[] {
  const marked = steps.map((step, i): CalibrationStep => (heldBack[i] ? { ...step, use: "held back" } : step));
  return [...marked.filter(({ use }) => use === "training"), ...marked.filter(({ use }) => use !== "training")];
}
