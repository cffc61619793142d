// Runs the engine, in a worker or on the calling thread.

// Named one by one, so that bundlers can drop the rest of the generated file.
import { __wbg_reset_state, begin, Calibrator, Engine, huggingFacePreprocess, metrics, Tuner } from "./engine.js";
import { engineError, isPlainError, messageOf, OodError } from "./errors.js";
import { toPixels } from "./image.js";
import type { Arguments, CallName, ImagePayload, ReadBeside, Result, SessionInit } from "./protocol.js";
import type { Detection, DetectOptions, Preprocess } from "./types.js";

/** How many engine instances crashed on this thread; all of its sessions share one instance. */
let crashCount = 0;
/** What is under way in that instance, and is lost with it. */
const underWay = { calibrations: 0, tunings: 0 };

type Handler<Name extends CallName> = (...args: Arguments<Name>) => Result<Name> | Promise<Result<Name>>;
type Handlers = { [Name in CallName]: Handler<Name> };

/** One engine, with the calibrators and tuners created from it. */
export class Session {
  #engine: Engine | undefined;
  /** {@link crashCount} when the session started. */
  #crashesAtStart = crashCount;
  // By the ids that the detector gave them.
  readonly #calibrators = new Map<number, Calibrator>();
  readonly #tuners = new Map<number, Tuner>();
  readonly #isOwn: (bitmap: ImageBitmap) => boolean;
  readonly #readBeside: ReadBeside | undefined;

  /** @param isOwn - whether a bitmap is the session's to close. */
  constructor(isOwn: (bitmap: ImageBitmap) => boolean, readBeside?: ReadBeside) {
    this.#isOwn = isOwn;
    this.#readBeside = readBeside;
  }

  /** Handles a call. Every failure is an {@link OodError}; its code is `crashed` if the engine trapped. */
  async run<Name extends CallName>(name: Name, args: Arguments<Name>): Promise<Result<Name>> {
    try {
      const handler: Handler<Name> = this.#handlers[name];
      return await handler(...args);
    } catch (thrown) {
      const error = toError(thrown);
      if (error.code === "crashed" && !this.crashed) {
        crashCount++;
        // A trapped instance may be corrupt: replace it, which also invalidates all objects of the old one.
        __wbg_reset_state();
        const { calibrations, tunings } = underWay;
        underWay.calibrations = underWay.tunings = 0;
        if (calibrations + tunings > 0) {
          const lost = `Lost with it: ${calibrations} calibrations and ${tunings} tunings under way on this thread.`;
          throw new OodError(error.code, `${error.message} ${lost}`, { cause: thrown });
        }
      }
      throw error;
    }
  }

  /** Whether the engine crashed since the session started; it must be started again. */
  get crashed(): boolean {
    return this.#crashesAtStart !== crashCount;
  }

  /** Frees the engine's memory. */
  dispose(): void {
    for (const id of [...this.#calibrators.keys(), ...this.#tuners.keys()]) this.#end(id);
    if (!this.crashed) this.#engine?.free();
    this.#engine = undefined;
  }

  /** Frees a calibrator or a tuner; ids are unique among both. */
  #end(id: number): void {
    const [calibrator, tuner] = [this.#calibrators.get(id), this.#tuners.get(id)];
    this.#calibrators.delete(id);
    this.#tuners.delete(id);
    // What belongs to a crashed engine is gone and no longer counted.
    if (this.crashed) return;
    if (calibrator) underWay.calibrations--;
    if (tuner) underWay.tunings--;
    (calibrator ?? tuner)?.free();
  }

  get #startedEngine(): Engine {
    if (!this.#engine || this.crashed) throw new OodError("disposed", "The engine was not started, or was disposed of.");
    return this.#engine;
  }

  #calibrator(id: number): Calibrator {
    return this.#calibrators.get(id) ?? throwLost("calibrator");
  }

  #tuner(id: number): Tuner {
    return this.#tuners.get(id) ?? throwLost("tuner");
  }

  async #featuresOf(image: ImagePayload | Float32Array): Promise<Float32Array> {
    if (image instanceof Float32Array) return image;
    const pixels = await this.#parts(image);
    return this.#startedEngine.features(...pixels);
  }

  #pixels(image: ImagePayload): ReturnType<typeof toPixels> {
    return toPixels(image, this.#isOwn);
  }

  /** An image as the engine takes it. */
  async #parts(image: ImagePayload): Promise<[data: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: number]> {
    const { data, width, height, channels } = await this.#pixels(image);
    return [data, width, height, channels];
  }

  #rescore(features: Float32Array, options: DetectOptions): Detection {
    return complete({ ...this.#startedEngine.detect(features, options), features });
  }

  readonly #handlers: Handlers = {
    start: async (init) => {
      this.dispose();
      await startEngine(init.module);
      this.#crashesAtStart = crashCount;
      const [model, stats] = await Promise.all([bytesOf(init.model), init.stats && bytesOf(init.stats)]);
      const external = await externalData(init);
      const { modelPath } = init;
      this.#engine = new Engine(
        model,
        stats,
        preprocessOf(init),
        init.output,
        init.memory,
        init.gradient,
        init.evidence,
        (name) => external.get(name) ?? (modelPath === undefined ? undefined : this.#readBeside?.(modelPath, name)),
      );
      return this.#engine.info;
    },
    features: (image) => this.#featuresOf(image),
    detect: async (image, options) => {
      const pixels = await this.#parts(image);
      return complete(this.#startedEngine.detectImage(...pixels, options));
    },
    saliency: async (image, options) => {
      const pixels = await this.#parts(image);
      return this.#startedEngine.saliency(...pixels, options);
    },
    evidence: async (image, classIndex, part, options) => {
      const pixels = await this.#parts(image);
      return this.#startedEngine.evidence(...pixels, classIndex, part, options);
    },
    rescore: (features, options) => this.#rescore(features, options),
    explain: (features, classIndex, options) => {
      const engine = this.#startedEngine;
      return engine.explain(features, classIndex ?? engine.detect(features, options).classIndex, options);
    },
    counterfactual: (features, options) => this.#startedEngine.counterfactual(features, options),
    weightMap: (features, options) => this.#startedEngine.weightMap(features, options),
    scores: (features, rows, options) => this.#startedEngine.scores(features, rows, options),
    idScores: (score, options) => this.#startedEngine.idScores(score, options),
    metrics,
    calibrate: (id, labels, detectors) => {
      const calibrator = new Calibrator(this.#startedEngine, labels);
      this.#calibrators.set(id, calibrator);
      underWay.calibrations++;
      if (detectors.length > 0) calibrator.learn(detectors);
    },
    addTraining: async (id, image, classIndex) => {
      const features = await this.#featuresOf(image);
      this.#calibrator(id).add(features, classIndex);
    },
    addHoldout: async (id, image) => {
      const features = await this.#featuresOf(image);
      this.#calibrator(id).addHoldout(features);
    },
    holdBack: (classes, seed) => Calibrator.holdBack(classes, seed),
    addHeldBack: async (id, image, classIndex, number, seed) => {
      const pixels = await this.#pixels(image);
      const features = await this.#featuresOf(pixels);
      return this.#calibrator(id).addHeldBack(classIndex, features, this.#startedEngine.zoomedFeatures(pixels, seed, number));
    },
    calibrationCounts: (id) => this.#calibrator(id).counts,
    calibrationWarnings: (id) => this.#calibrator(id).warnings(),
    finishCalibration: (id, settings) => this.#calibrator(id).finish(settings),
    tune: (id, options) => {
      this.#tuners.set(id, new Tuner(this.#startedEngine, options));
      underWay.tunings++;
    },
    tuneHoldout: async (id, image, classIndex, pixels) => {
      const features = await this.#featuresOf(pixels);
      this.#tuner(id).addHoldout(image, classIndex, features);
    },
    pseudoOodTasks: (id) => this.#tuner(id).tasks(),
    makePseudoOodImage: async (id, task, image, partner) => {
      const [pixels, other] = [await this.#pixels(image), partner && (await this.#pixels(partner))];
      return this.#tuner(id).make(this.#startedEngine, task, pixels, other);
    },
    runPseudoOodTask: async (id, task, image, partner) => {
      const [pixels, other] = [await this.#pixels(image), partner && (await this.#pixels(partner))];
      this.#tuner(id).run(this.#startedEngine, task, pixels, other);
    },
    finishTuning: (id) => {
      const tuner = this.#tuner(id);
      const stats = tuner.finish();
      return { stats, report: tuner.report, markdown: tuner.markdown };
    },
    end: (id) => this.#end(id),
  };
}

/** The engine leaves out empty arrays. */
function complete(found: Detection): Detection {
  return Object.assign({ prunedLogits: new Float32Array(0) }, found);
}

function throwLost(kind: string): never {
  throw new OodError("disposed", `This ${kind} was disposed of, or was lost when the engine crashed: start again.`);
}

async function startEngine(module: WebAssembly.Module): Promise<void> {
  try {
    await begin(module);
  } catch (cause) {
    throw engineError("started", cause, "Is engine.wasm of the same version as the package?");
  }
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    // WebKit's workers from a blob address, on a page from a disk, can read none.
    throw new OodError("fetch", `A file can't be read where the engine runs: ${messageOf(cause)} Try \`worker: false\`.`, { cause });
  }
}

async function externalData({ externalData = {} }: SessionInit): Promise<Map<string, Uint8Array>> {
  const read = Object.entries(externalData).map(async ([name, blob]) => [name, await bytesOf(blob)] as const);
  return new Map(await Promise.all(read));
}

/** Hugging Face's objects have `image_mean` and `do_normalize` where ours have `mean`. */
function preprocessOf({ preprocess }: SessionInit): Preprocess | undefined {
  if (preprocess === undefined || "mean" in preprocess) return preprocess as Preprocess | undefined;
  const keys = ["do_resize", "do_normalize", "do_rescale", "image_mean", "size", "crop_size", "image_processor"];
  return keys.some((key) => key in preprocess) ? huggingFacePreprocess(JSON.stringify(preprocess)) : (preprocess as unknown as Preprocess);
}

/** The engine throws plain objects for expected errors; anything else means that it crashed. */
function toError(thrown: unknown): OodError {
  if (thrown instanceof OodError) return thrown;
  if (isPlainError(thrown)) return new OodError(thrown.code, thrown.message);
  return new OodError(
    "crashed",
    `The engine crashed (${messageOf(thrown)}). It has been replaced: the next call works. If the same input crashes it again, please report it.`,
    { cause: thrown },
  );
}
