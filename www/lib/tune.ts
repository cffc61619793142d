// Tuning in small steps, one call each: other calls run between two of them, and it can be aborted.

import { OodError } from "./errors.js";
import type { Link } from "./link.js";
import type { ImagePayload } from "./protocol.js";
import type { Input, PseudoOodTask, RawImage, Tuned, TuneImage, TuneOptions, TuneProgress } from "./types.js";

/** What tuning needs of the detector. */
interface Helpers {
  payload: (image: Input) => Promise<ImagePayload>;
  toClassIndex: (requested: number) => number;
}

/** How often to yield to the event loop, in milliseconds: without a worker, the page would freeze. */
const YIELD_INTERVAL_MS = 50;

/** Selects hyperparameters from held-out images; `id` identifies the tuner in the session. */
export async function runTuning(
  id: number,
  link: Link,
  images: readonly TuneImage[],
  { seed = 0, perKind = 100, rule = "r1", signal, onProgress, onPreview }: TuneOptions,
  { payload, toClassIndex }: Helpers,
): Promise<Tuned> {
  const untyped: unknown = images;
  if (!Array.isArray(untyped)) throw new OodError("options", "tune takes an array of held-out images: [{ image, classIndex }, ...].");
  await link.call("tune", [id, { seed, perKind, rule }], signal);
  try {
    const broken: Tuned["broken"] = [];
    let done = 0;
    let total = images.length + 16 * Math.min(perKind, images.length) + 1;
    let yieldedAt = 0;
    const report = (part: TuneProgress["part"]): void => onProgress?.({ part, done: done++, total });
    // Thousands of decoded images would not fit into memory, so each task decodes its images again.
    const load = (index: number): Promise<ImagePayload> => payload(images[index]?.image as Input);
    /** Runs one step; images that can't be read are skipped and recorded. */
    const step = async (part: TuneProgress["part"], index: number, work: () => Promise<unknown>): Promise<void> => {
      report(part);
      try {
        await work();
      } catch (thrown) {
        const error = thrown as OodError;
        if (error.code !== "image" && error.code !== "fetch") throw error;
        broken.push({ index, error });
      }
      if (Date.now() - yieldedAt > YIELD_INTERVAL_MS) {
        await new Promise((resume) => setTimeout(resume));
        yieldedAt = Date.now();
      }
    };

    for (const [index, image] of images.entries()) {
      const classIndex = image?.classIndex;
      const known = classIndex === undefined ? classIndex : toClassIndex(classIndex);
      await step("holdout", index, async () => link.call("tuneHoldout", [id, index, known, await load(index)], signal));
    }
    // The first error says more than "no images" would.
    if (broken[0] && broken.length === images.length) throw broken[0].error;
    const tasks = await link.call("pseudoOodTasks", [id], signal);
    total = images.length + tasks.length + 1;
    const make = async (number: number, preview: boolean): Promise<RawImage | undefined> => {
      const { image, partner } = tasks[number] as PseudoOodTask;
      return link.call("runPseudoOodTask", [id, number, preview, await load(image), partner === undefined ? partner : await load(partner)], signal);
    };
    if (onPreview) {
      for (const [number, task] of tasks.entries()) {
        if (tasks[number - 1]?.kind !== task.kind) onPreview({ ...task, made: (await make(number, true)) as RawImage });
      }
    }
    for (const [number, { image }] of tasks.entries()) await step("made", image, () => make(number, false));
    report("rating");
    const tuned = await link.call("finishTuning", [id], signal);
    report("rating");
    return { ...tuned, broken };
  } finally {
    link.call("end", [id]).catch(() => undefined);
  }
}
