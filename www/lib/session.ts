// Runs the engine: in a worker, or on the calling thread where workers are not wanted.

import * as glue from "./engine.js";
import { isPlainError, messageOf, OodError } from "./errors.js";
import { toPixels } from "./image.js";
import type { Answer, Arguments, CallName, Portable } from "./protocol.js";
import type {
  CalibrationSettings,
  Detection,
  DetectOptions,
  DetectorInfo,
  Explanation,
  Metrics,
  Preprocess,
  RawImage,
  TuneJob,
  TuneReport,
} from "./types.js";

// The engine's classes as they really are: the generated declarations know no structs.
interface Engine {
  readonly info: DetectorInfo;
  features(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: number): Float32Array;
  detect(features: Float32Array, options: DetectOptions): Omit<Detection, "features">;
  explain(features: Float32Array, classIndex: number, options: DetectOptions): Explanation;
  weightMap(features: Float32Array, options: DetectOptions): Uint8Array;
  scores(features: Float32Array, rows: number, options: DetectOptions): Float64Array;
  idScores(score: string, options?: DetectOptions): Float32Array | undefined;
  free(): void;
}

interface EngineCalibrator {
  add(features: Float32Array, classIndex: number): void;
  addHoldout(features: Float32Array): void;
  readonly counts: Uint32Array;
  finish(settings?: CalibrationSettings): Uint8Array;
  warnings(): string[];
  free(): void;
}

interface EngineTuner {
  addHoldout(image: number, classIndex: number | undefined, features: Float32Array): void;
  jobs(): TuneJob[];
  make(engine: Engine, job: number, image: RawImage, partner: RawImage | undefined): RawImage;
  run(engine: Engine, job: number, image: RawImage, partner: RawImage | undefined): void;
  finish(): Uint8Array;
  /** JSON. */
  readonly report: string;
  readonly markdown: string;
  free(): void;
}

// Each by its name, so that bundlers drop the rest of the generated file.
const Engine = glue.Engine as unknown as new (model: Uint8Array, stats?: Uint8Array, preprocess?: Preprocess) => Engine;
const Calibrator = glue.Calibrator as unknown as new (engine: Engine, labels: string[]) => EngineCalibrator;
const Tuner = glue.Tuner as unknown as new (engine: Engine, options: object) => EngineTuner;
const metrics = glue.metrics as unknown as (idScores: Float64Array, oodScores: Float64Array) => Metrics;

/** Counts the instances that crashed on this thread: all sessions on it share one. */
let crashes = 0;

type Handlers = { [Name in CallName]: (...args: Arguments<Name>) => Answer<Name> | Promise<Answer<Name>> };

/** One engine, and the calibrators and tuners begun with it. */
export class Session {
  #engine: Engine | undefined;
  #crashes = crashes;
  readonly #begun = new Map<number, EngineCalibrator | EngineTuner>();

  /** Answers a call; every failure is an {@link OodError}, `crashed` if the engine is no more. */
  async run<Name extends CallName>(name: Name, args: Arguments<Name>): Promise<Answer<Name>> {
    try {
      const handler = this.#handlers[name] as (...args: Arguments<Name>) => Answer<Name> | Promise<Answer<Name>>;
      return await handler(...args);
    } catch (thrown) {
      const error = toError(thrown);
      // Whatever the dead instance still holds must never be touched again.
      if (error.code === "crashed" && !this.lost) {
        crashes++;
        // A fresh instance; objects of the old one refuse to work.
        glue.__wbg_reset_state();
      }
      throw error;
    }
  }

  /** Whether the engine crashed since the session started: it has to start again. */
  get lost(): boolean {
    return this.#crashes !== crashes;
  }

  /** Frees the engine's memory. */
  dispose(): void {
    if (!this.lost) {
      for (const begun of this.#begun.values()) begun.free();
      this.#engine?.free();
    }
    this.#begun.clear();
    this.#engine = undefined;
  }

  get #running(): Engine {
    if (!this.#engine || this.lost) throw new OodError("disposed", "The engine was not started, or was disposed of.");
    return this.#engine;
  }

  /** What was begun under a number; each call knows which of the two it is for. */
  #of(id: number): EngineCalibrator & EngineTuner {
    const begun = this.#begun.get(id);
    if (!begun) throw new OodError("disposed", "This work was disposed of, or was lost when the engine crashed: begin it again.");
    return begun as EngineCalibrator & EngineTuner;
  }

  async #featuresOf(image: Portable | Float32Array): Promise<Float32Array> {
    if (image instanceof Float32Array) return image;
    const { data, width, height, channels } = await toPixels(image);
    return this.#running.features(data, width, height, channels);
  }

  #verdict(features: Float32Array, options: DetectOptions): Detection {
    return { ...this.#running.detect(features, options), features };
  }

  readonly #handlers: Handlers = {
    start: async (start) => {
      this.dispose();
      await startEngine(start.module);
      this.#crashes = crashes;
      const [model, stats] = await Promise.all([bytesOf(start.model), start.stats && bytesOf(start.stats)]);
      this.#engine = new Engine(model, stats, start.preprocess);
      return this.#engine.info;
    },
    features: (image) => this.#featuresOf(image),
    detect: async (image, options) => this.#verdict(await this.#featuresOf(image), options),
    rescore: (features, options) => this.#verdict(features, options),
    explain: (features, classIndex, options) => {
      const engine = this.#running;
      return engine.explain(features, classIndex ?? engine.detect(features, options).classIndex, options);
    },
    weightMap: (features, options) => this.#running.weightMap(features, options),
    scores: (features, rows, options) => this.#running.scores(features, rows, options),
    idScores: (score, options) => this.#running.idScores(score, options),
    metrics,
    calibrate: (id, labels) => {
      this.#begun.set(id, new Calibrator(this.#running, labels));
    },
    addTraining: async (id, image, classIndex) => {
      const features = await this.#featuresOf(image);
      this.#of(id).add(features, classIndex);
    },
    addHoldout: async (id, image) => {
      const features = await this.#featuresOf(image);
      this.#of(id).addHoldout(features);
    },
    calibrationCounts: (id) => this.#of(id).counts,
    calibrationWarnings: (id) => this.#of(id).warnings(),
    finishCalibration: (id, settings) => this.#of(id).finish(settings),
    tune: (id, options) => {
      this.#begun.set(id, new Tuner(this.#running, options));
    },
    tuneHoldout: async (id, image, classIndex, pixels) => {
      const features = await this.#featuresOf(pixels);
      this.#of(id).addHoldout(image, classIndex, features);
    },
    tuneJobs: (id) => this.#of(id).jobs(),
    tuneStep: async (id, job, preview, image, partner) => {
      const pixels = [await toPixels(image), partner && (await toPixels(partner))] as const;
      const tuner = this.#of(id);
      if (preview) return tuner.make(this.#running, job, ...pixels);
      tuner.run(this.#running, job, ...pixels);
      return undefined;
    },
    finishTuning: (id) => {
      const tuner = this.#of(id);
      const stats = tuner.finish();
      return { stats, report: JSON.parse(tuner.report) as TuneReport, markdown: tuner.markdown };
    },
    end: (id) => {
      this.#begun.get(id)?.free();
      this.#begun.delete(id);
    },
  };
}

async function startEngine(module: WebAssembly.Module): Promise<void> {
  try {
    await glue.begin(module);
  } catch (cause) {
    throw new OodError("engine", `The engine can't be started: ${messageOf(cause)}. Is engine.wasm of the same version as the package?`, { cause });
  }
}

async function bytesOf(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer());
}

/** The engine throws plain objects for what it refuses; anything else means that it died. */
function toError(thrown: unknown): OodError {
  if (thrown instanceof OodError) return thrown;
  if (isPlainError(thrown)) return new OodError(thrown.code, thrown.message);
  return new OodError(
    "crashed",
    `The engine crashed (${messageOf(thrown)}). It is replaced: the next call works. If the same input crashes it again, please report it.`,
    { cause: thrown },
  );
}
