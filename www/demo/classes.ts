// Training pictures by class, from folders or by hand.

import { type FoundFile, isPicture } from "./files.js";

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

/** A picture and the class it trains; without one, it is held out. */
export interface Step {
  file: FoundFile;
  classIndex?: number;
}

/**
 * The work in order: training pictures class by class, then the held-out ones. With `every`, each
 * `every`th picture of a class is held out instead of trained on.
 */
export function plan(classes: readonly TrainingClass[], holdout: readonly FoundFile[], every: number | undefined): Step[] {
  const train: Step[] = [];
  const held: Step[] = holdout.map((file) => ({ file }));
  classes.forEach(({ files }, classIndex) =>
    files.forEach((file, i) => {
      if (every !== undefined && i % every === every - 1) held.push({ file });
      else train.push({ file, classIndex });
    }),
  );
  return [...train, ...held];
}
