// Training pictures by class, from folders or by hand.

import { type FoundFile, isPicture } from "../ui/files.js";

/** A class and its pictures. */
export interface TrainingClass {
  name: string;
  files: FoundFile[];
}

/** Fewer than this, and the deviations are uncertain. */
export const FEW = 30;

/** One class a folder, sorted by name: the order in which training tools number them. */
export function classesOf(files: readonly FoundFile[]): TrainingClass[] {
  const byName = new Map<string, FoundFile[]>();
  for (const file of files.filter(isPicture)) {
    const folder = file.path.split("/").at(-2);
    if (folder === undefined) continue;
    byName.set(folder, [...(byName.get(folder) ?? []), file]);
  }
  return Array.from(byName, ([name, of]) => ({ name, files: of })).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The class whose name is that of the picture's folder; `undefined` without one. */
export function classOf({ path }: FoundFile, labels: readonly string[]): number | undefined {
  const index = labels.indexOf(path.split("/").at(-2) ?? "");
  return index < 0 ? undefined : index;
}

/** A picture, its class where that is known, and whether it is held out instead of trained on. */
export interface Step {
  file: FoundFile;
  classIndex: number | undefined;
  heldOut: boolean;
}

/**
 * The work in order: training pictures class by class, then the held-out ones. With `every`, each
 * `every`th picture of a class is held out instead of trained on.
 */
export function plan(classes: readonly TrainingClass[], holdout: readonly FoundFile[], every: number | undefined): Step[] {
  const train: Step[] = [];
  const names = classes.map(({ name }) => name);
  const held: Step[] = holdout.map((file) => ({ file, classIndex: classOf(file, names), heldOut: true }));
  classes.forEach(({ files }, classIndex) =>
    files.forEach((file, i) => {
      const heldOut = every !== undefined && i % every === every - 1;
      (heldOut ? held : train).push({ file, classIndex, heldOut });
    }),
  );
  return [...train, ...held];
}
