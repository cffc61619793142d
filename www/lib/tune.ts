// Tuning in small steps, one call each: other calls run between two of them, and it can be aborted.

import { OodError } from "./errors.js";
import type { Link } from "./link.js";
import type { Arguments, ImagePayload } from "./protocol.js";
import type { Input, PseudoOodTask, Tuned, TuneImage, TuneOptions, TuneProgress } from "./types.js";

/** What tuning needs of the detector. */
interface Helpers {
  payload: (image: Input) => Promise<ImagePayload>;
  toClassIndex: (requested: number) => number;
  features: (given: Float32Array) => Float32Array;
}

/** How often to yield to the event loop, in milliseconds: without a worker, the page would freeze. */
const YIELD_INTERVAL_MS = 50;

/** Selects hyperparameters from held-out images; `id` identifies the tuner in the session. */
export async function runTuning(
  id: number,
  link: Link,
  images: readonly TuneImage[],
  { seed = 0, perKind = 100, rule = "r1", detector = "keep", trainedOn = false, signal, onProgress, onPreview }: TuneOptions,
  { payload, toClassIndex, features }: Helpers,
): Promise<Tuned> {
  try {
    await link.call("tune", [id, { seed, perKind, rule, detector, trainedOn }], signal);
    const broken: Tuned["broken"] = [];
    let done = 0;
    let total = images.length + 16 * Math.min(perKind, images.length) + 1;
    let yieldedAt = 0;
    const report = (part: TuneProgress["part"]): void => onProgress?.({ part, done: done++, total });
    // Thousands of decoded images would not fit into memory, so each task decodes its images again.
    const load = async (index: number): Promise<ImagePayload> => {
      const image = images[index]?.image;
      if (image === undefined)
        throw new OodError("image", `Entry ${index} of the held-out images has no image: pass [{ image, classIndex }, ...].`);
      return payload(image);
    };
    /** Runs one step; images that can't be read are skipped and recorded. */
    const step = async (part: TuneProgress["part"], index: number, work: () => Promise<unknown>): Promise<void> => {
      report(part);
      try {
        await work();
      } catch (thrown) {
        if (!(thrown instanceof OodError && (thrown.code === "image" || thrown.code === "fetch"))) throw thrown;
        broken.push({ index, error: thrown });
      }
      if (Date.now() - yieldedAt > YIELD_INTERVAL_MS) {
        await new Promise((resume) => setTimeout(resume));
        yieldedAt = Date.now();
      }
    };

    for (const [index, image] of images.entries()) {
      const classIndex = image?.classIndex;
      const known = classIndex === undefined ? classIndex : toClassIndex(classIndex);
      const given = image?.features && features(image.features);
      await step("holdout", index, async () => link.call("tuneHoldout", [id, index, known, given ?? (await load(index))], signal));
    }
    // The first error says more than "no images" would.
    if (broken[0] && broken.length === images.length) throw broken[0].error;
    const tasks = await link.call("pseudoOodTasks", [id], signal);
    total = images.length + tasks.length + 1;
    const argumentsOf = async (number: number, { image, partner }: PseudoOodTask): Promise<Arguments<"runPseudoOodTask">> => [
      id,
      number,
      await load(image),
      partner === undefined ? undefined : await load(partner),
    ];
    if (onPreview) {
      for (const [number, task] of tasks.entries()) {
        if (tasks[number - 1]?.kind === task.kind) continue;
        onPreview({ ...task, made: await link.call("makePseudoOodImage", await argumentsOf(number, task), signal) });
      }
    }
    for (const [number, task] of tasks.entries()) {
      await step("made", task.image, async () => link.call("runPseudoOodTask", await argumentsOf(number, task), signal));
    }
    report("rating");
    const tuned = await link.call("finishTuning", [id], signal);
    report("rating");
    return { ...tuned, broken };
  } finally {
    link.call("end", [id]).catch(() => undefined);
  }
}
