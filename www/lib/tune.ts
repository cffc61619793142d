// Tuning, one small call a step: other calls get their turn between two of them, and aborting works.

import { OodError } from "./errors.js";
import type { Link } from "./link.js";
import type { Portable } from "./protocol.js";
import type { Input, RawImage, Tuned, TuneImage, TuneJob, TuneOptions, TuneProgress } from "./types.js";

/** What the detector does for tuning. */
interface Helpers {
  portable: (image: Input) => Promise<Portable>;
  classOf: (wanted: number) => number;
}

/** Without a worker the page has to be let in now and then; in milliseconds. */
const BREATH = 50;

/** Chooses settings from held-out images; `id` names the work to the session. */
export async function runTuning(
  id: number,
  link: Link,
  images: readonly TuneImage[],
  { seed = 0, perKind = 100, rule = "r1", signal, onProgress, onPreview }: TuneOptions,
  { portable, classOf }: Helpers,
): Promise<Tuned> {
  const given: unknown = images;
  if (!Array.isArray(given)) throw new OodError("options", "tune takes an array of held-out images: [{ image, classIndex }, ...].");
  await link.call("tune", [id, { seed, perKind, rule }], signal);
  try {
    const broken: Tuned["broken"] = [];
    let done = 0;
    let total = images.length + 16 * Math.min(perKind, images.length) + 1;
    let breathed = 0;
    const tell = (part: TuneProgress["part"]): void => onProgress?.({ part, done: done++, total });
    // Thousands of decoded pictures would not fit into memory: what a job needs is decoded again.
    const taken = (index: number): Promise<Portable> => portable(images[index]?.image as Input);
    /** Does a step; an image that can't be read is left out. */
    const step = async (part: TuneProgress["part"], index: number, work: () => Promise<unknown>): Promise<void> => {
      tell(part);
      try {
        await work();
      } catch (thrown) {
        const error = thrown as OodError;
        if (error.code !== "image" && error.code !== "fetch") throw error;
        broken.push({ index, error });
      }
      if (Date.now() - breathed > BREATH) {
        await new Promise((go) => setTimeout(go));
        breathed = Date.now();
      }
    };

    for (const [index, image] of images.entries()) {
      const classIndex = image?.classIndex;
      const known = classIndex === undefined ? classIndex : classOf(classIndex);
      await step("holdout", index, async () => link.call("tuneHoldout", [id, index, known, await taken(index)], signal));
    }
    // The first says more than that no image is left.
    if (broken[0] && broken.length === images.length) throw broken[0].error;
    const jobs = await link.call("tuneJobs", [id], signal);
    total = images.length + jobs.length + 1;
    const make = async (number: number, preview: boolean): Promise<RawImage | undefined> => {
      const { image, partner } = jobs[number] as TuneJob;
      return link.call("tuneStep", [id, number, preview, await taken(image), partner === undefined ? partner : await taken(partner)], signal);
    };
    if (onPreview) {
      for (const [number, job] of jobs.entries()) {
        if (jobs[number - 1]?.kind !== job.kind) onPreview({ ...job, made: (await make(number, true)) as RawImage });
      }
    }
    for (const [number, { image }] of jobs.entries()) await step("made", image, () => make(number, false));
    tell("rating");
    const tuned = await link.call("finishTuning", [id], signal);
    tell("rating");
    return { ...tuned, broken };
  } finally {
    link.call("end", [id]).catch(() => undefined);
  }
}
