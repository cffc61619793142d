// Makes a stats file as `itp calibrate` does: calibrates, then selects the hyperparameters on the held-out images.

import { loadPageDetector } from "../state/assets.js";
import type { HeldOutImage, TuningChoice } from "../tuning/choice.js";
import type { ChosenFile } from "../ui/files.js";
import { count } from "../ui/format.js";
import { type CalibrationStep, holdBack, plan, type TrainingClass } from "./classes.js";
import type { CalibrationSettings, Detector, Preprocess, Source, Tuned, TunePreview } from "itp-ood";

/** Fewer held-out images say too little about hyperparameters; as in `itp calibrate`. */
const LEAST_TO_TUNE = 50;

/** What to make a stats file of. */
export interface Ingredients {
  model: Source;
  preprocess: Preprocess;
  classes: readonly TrainingClass[];
  holdout: readonly ChosenFile[];
  /** Whether a tenth of the training images is held back. */
  fromTraining: boolean;
  settings: CalibrationSettings;
  /** How hyperparameters are selected; without it, they are not. */
  tuning: TuningChoice | undefined;
}

/** What a run tells. */
export interface Course {
  signal: AbortSignal;
  progress(done: number, total: number, what?: string): void;
  onPreview(preview: TunePreview): void;
}

/** A stats file, and how it came about. */
export interface Made {
  bytes: Uint8Array<ArrayBuffer>;
  warnings: string[];
  broken: string[];
  heldOut: HeldOutImage[];
  /** Where hyperparameters were selected. */
  tuned: Tuned | undefined;
}

/** Makes a stats file. */
export async function makeStats(of: Ingredients, course: Course): Promise<Made> {
  const { model, preprocess, tuning, fromTraining } = of;
  const { signal, progress, onPreview } = course;
  let detector = await loadPageDetector({ model, preprocess, signal });
  try {
    const { steps, tunes, ...made } = await calibrate(detector, of, course);
    if (!tuning || !tunes) return { ...made, tuned: undefined };
    detector.dispose();
    detector = await loadPageDetector({ model, stats: made.bytes, signal });
    const images = made.heldOut.map(({ file, ...known }) => ({ image: file.file, ...known }));
    const tuned = await detector.tune(images, {
      ...tuning,
      signal,
      trainedOn: fromTraining,
      onPreview,
      onProgress: ({ part, done, total }) => progress(steps + done, steps + total, part === "holdout" ? undefined : "pseudo-OOD images"),
    });
    return { ...made, bytes: new Uint8Array(tuned.stats), tuned };
  } finally {
    detector.dispose();
  }
}

interface Calibrated extends Omit<Made, "tuned"> {
  /** How many images were run. */
  steps: number;
  /** Whether there is enough to select hyperparameters on. */
  tunes: boolean;
}

async function calibrate(
  detector: Detector,
  { classes, holdout, fromTraining, settings, tuning }: Ingredients,
  { signal, progress }: Course,
): Promise<Calibrated> {
  const { info } = detector;
  if (classes.length !== info.classes) {
    throw new Error(
      `The network has ${info.classes} outputs, but there are ${classes.length} classes of images. There must be one class per output.`,
    );
  }
  const calibrator = await detector.calibrate(classes.map(({ name }) => name));
  const broken: string[] = [];
  const heldOut: HeldOutImage[] = [];
  try {
    const all = plan(classes, holdout);
    const steps: CalibrationStep[] = fromTraining
      ? holdBack(all, await calibrator.holdBack(all.map(({ classIndex }) => classIndex as number)))
      : all;
    const held = steps.filter(({ use }) => use !== "training").length;
    // Without weights of the last layer there is nothing to prune.
    const open = settings.p === undefined && settings.lambda === undefined && info.opaque === undefined;
    const tunes = open && tuning !== undefined && held >= LEAST_TO_TUNE;
    const perKind = Math.min(tuning?.perKind ?? 0, held);
    const total = steps.length + (tunes ? held + 16 * perKind + 1 : 0);
    let done = 0;
    for (const { file, classIndex, use } of steps) {
      signal.throwIfAborted();
      try {
        const known = classIndex === undefined ? {} : { classIndex };
        if (use === "training") await calibrator.add(file.file, classIndex as number, { signal });
        else if (use === "held out") {
          await calibrator.addHoldout(file.file, { signal });
          heldOut.push({ file, ...known });
        } else {
          const features = await calibrator.addHeldBack(file.file, classIndex as number, heldOut.length, { signal });
          heldOut.push({ file, ...known, features });
        }
      } catch (error) {
        if ((error as { code?: string }).code !== "image") throw error;
        broken.push(`${file.path}: ${(error as Error).message}`);
      }
      progress(++done, total);
    }
    const warnings = await calibrator.warnings();
    const isSafe = open && tuning !== undefined && !tunes;
    if (isSafe)
      warnings.push(
        `${count(held)} held-out images are too few to choose p and λ: they are set so that ITP prunes next to nothing; give more images, or p and λ`,
      );
    if (open && !tuning)
      warnings.push(
        "p and λ are those published for another network, with which ITP can be far worse than Energy: let them be selected for this one",
      );
    const bytes = new Uint8Array(await calibrator.finish({ ...settings, ...(isSafe && { p: 0, lambda: Infinity }) }));
    return { bytes, warnings, broken, heldOut, steps: steps.length, tunes };
  } finally {
    calibrator.dispose();
  }
}
