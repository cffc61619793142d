// Loads detectors, and implements the public Detector on top of a link.

import { throwIfAborted, withAbort } from "./abort.js";
import { OodError } from "./errors.js";
import { toPayload } from "./image.js";
import type { Link, Port } from "./link.js";
import { LocalLink } from "./local-link.js";
import { runPool } from "./pool.js";
import type { ImagePayload, SessionInit } from "./protocol.js";
import { compileEngine, type Open, readBlob, type Reading } from "./source.js";
import { runTuning } from "./tune.js";
import type {
  BatchOptions,
  BatchResult,
  CalibrateOptions,
  CalibrationSettings,
  Calibrator,
  CallOptions,
  Detection,
  DetectOptions,
  Detector,
  DetectorInfo,
  ExplainOptions,
  Explanation,
  FeatureSource,
  Input,
  LoadOptions,
  Metrics,
  ScoreName,
  Source,
  Tuned,
  TuneImage,
  TuneOptions,
} from "./types.js";
import { WorkerLink } from "./worker-link.js";

/** What differs between browsers and Node. */
export interface Platform {
  /** URL of the fastest engine that runs here. */
  readonly engine: URL;
  open: Open;
  /** Starts the package's worker. */
  startWorker: () => unknown;
  /** Wraps a worker, of the package or of the caller. */
  connect(worker: unknown): Port;
}

/** Loads a detector; the entry points export the public function. */
export async function load(options: LoadOptions, platform: Platform): Promise<Detector> {
  const { worker = true, signal, onProgress } = options;
  throwIfAborted(signal);
  // One failed download cancels the others.
  const stop = new AbortController();
  const forward = (): void => stop.abort(signal?.reason);
  signal?.addEventListener("abort", forward);
  let link: Link | undefined;
  try {
    const reading = (part: Reading["part"]): Reading => ({ open: platform.open, part, signal: stop.signal, onProgress });
    const read = (part: "model" | "stats", source: Source): Promise<Blob> => readBlob(source, reading(part));
    if (options.model === undefined) throw new OodError("model", "loadDetector needs a model: { model: '/model.onnx', ... }.");
    const [module, model, stats] = await Promise.all([
      compileEngine(options.engine ?? platform.engine, reading("engine")),
      read("model", options.model),
      options.stats === undefined ? undefined : read("stats", options.stats),
    ]);
    const init: SessionInit = {
      module,
      model,
      ...(stats && { stats }),
      ...(options.preprocess && { preprocess: options.preprocess }),
    };
    const makeLink = linkMaker(worker, init, platform);
    link = makeLink();
    onProgress?.({ part: "prepare", loaded: 0, total: 1 });
    const info = await withAbort(link.start(), signal);
    onProgress?.({ part: "prepare", loaded: 1, total: 1 });
    const single = worker !== true && typeof worker !== "function";
    return new LoadedDetector(link, info, platform.open, single ? undefined : makeLink);
  } catch (error) {
    stop.abort();
    link?.dispose();
    throw error;
  } finally {
    signal?.removeEventListener("abort", forward);
  }
}

function linkMaker(worker: NonNullable<LoadOptions["worker"]>, init: SessionInit, platform: Platform): () => Link {
  if (worker === false) return () => new LocalLink(init);
  let used = false;
  const useOnce = (): unknown => {
    if (used) {
      throw new OodError(
        "crashed",
        "The worker crashed, and a worker instance can't be replaced. Pass `worker: () => new Worker(...)` instead.",
      );
    }
    used = true;
    return worker;
  };
  const make = worker === true ? platform.startWorker : typeof worker === "function" ? worker : useOnce;
  return () => new WorkerLink(() => platform.connect(make()), init);
}

/** Without `Symbol.dispose` (Safari) the method can't be reached, but `dispose()` can. */
const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol("Symbol.dispose");

/** Ids of calibration and tuning sessions. */
let nextSessionId = 0;

class LoadedDetector implements Detector {
  readonly info: DetectorInfo;
  readonly #link: Link;
  readonly #open: Open;
  /** Makes another link for the pool of a batch; undefined if there can be only one. */
  readonly #makeLink: (() => Link) | undefined;
  readonly #extraLinks = new Set<Link>();
  #disposed = false;

  constructor(link: Link, info: DetectorInfo, open: Open, makeLink: (() => Link) | undefined) {
    this.#link = link;
    this.info = info;
    this.#open = open;
    this.#makeLink = makeLink;
  }

  detect(image: Input, options: DetectOptions & CallOptions = {}): Promise<Detection> {
    return this.#detectWith(this.#link, image, options);
  }

  detectAll(images: Iterable<Input> | AsyncIterable<Input>, options: BatchOptions = {}): AsyncGenerator<BatchResult, void, undefined> {
    const { concurrency = Math.min(4, coreCount()), signal, onProgress, ...settings } = options;
    const makeLink = this.#makeLink;
    const extra =
      makeLink &&
      ((): Link => {
        const link = makeLink();
        this.#extraLinks.add(link);
        // If the worker can't start, its first image gets the error.
        link.start().catch(() => undefined);
        return link;
      });
    return runPool({
      images,
      concurrency,
      first: this.#link,
      extra,
      release: (link) => {
        this.#extraLinks.delete(link);
        link.dispose();
      },
      detect: (link, image, inner) => this.#detectWith(link, image, { ...settings, signal: inner }),
      signal,
      onProgress,
    });
  }

  async features(image: Input, options: CallOptions = {}): Promise<Float32Array> {
    return this.#link.call("features", [await this.#payload(image, options.signal)], options.signal);
  }

  async rescore(result: FeatureSource, options: DetectOptions & CallOptions = {}): Promise<Detection> {
    const { signal, ...settings } = options;
    return this.#link.call("rescore", [featuresOf(result), settings], signal);
  }

  async explain(result: FeatureSource, options: ExplainOptions = {}): Promise<Explanation> {
    const { signal, class: requested, ...settings } = options;
    const known = requested ?? (result instanceof Float32Array ? undefined : result.classIndex);
    const classIndex = known === undefined ? undefined : toClassIndex(known, this.info.labels, this.info.classes);
    return this.#link.call("explain", [featuresOf(result), classIndex, settings], signal);
  }

  async weightMap(result: FeatureSource, options: DetectOptions & CallOptions = {}): Promise<Uint8Array> {
    const { signal, ...settings } = options;
    return this.#link.call("weightMap", [featuresOf(result), settings], signal);
  }

  async scores(rows: Float32Array | readonly Float32Array[], options: DetectOptions & CallOptions = {}): Promise<Float64Array> {
    const { signal, ...settings } = options;
    const width = this.info.features;
    const values = rows instanceof Float32Array ? rows : concatenate(rows, width);
    if (values.length % width !== 0) {
      throw new OodError("features", `${values.length} values can't be split into rows of ${width} features.`);
    }
    return this.#link.call("scores", [values, values.length / width, settings], signal);
  }

  async idScores(score: ScoreName, options?: DetectOptions & CallOptions): Promise<Float32Array | undefined> {
    const { signal, ...settings } = options ?? {};
    return this.#link.call("idScores", options ? [score, settings] : [score], signal);
  }

  metrics(idScores: ArrayLike<number>, oodScores: ArrayLike<number>): Promise<Metrics> {
    return this.#link.call("metrics", [Float64Array.from(idScores), Float64Array.from(oodScores)]);
  }

  async calibrate(labels: readonly string[], { detectors = [], signal }: CalibrateOptions = {}): Promise<Calibrator> {
    const id = nextSessionId++;
    await this.#link.call("calibrate", [id, [...labels], [...detectors]], signal);
    const toInput = async (image: Input | Float32Array, signal?: AbortSignal): Promise<ImagePayload | Float32Array> =>
      image instanceof Float32Array ? image : this.#payload(image, signal);
    return {
      add: async (image, label, { signal } = {}) => {
        const classIndex = toClassIndex(label, labels, labels.length);
        return this.#link.call("addTraining", [id, await toInput(image, signal), classIndex], signal);
      },
      addHoldout: async (image, { signal } = {}) => this.#link.call("addHoldout", [id, await toInput(image, signal)], signal),
      counts: () => this.#link.call("calibrationCounts", [id]),
      warnings: () => this.#link.call("calibrationWarnings", [id]),
      finish: (settings?: CalibrationSettings) => this.#link.call("finishCalibration", [id, settings]),
      dispose: () => {
        if (!this.#disposed) this.#link.call("end", [id]).catch(() => undefined);
      },
    };
  }

  async tune(images: readonly TuneImage[], options: TuneOptions = {}): Promise<Tuned> {
    return runTuning(nextSessionId++, this.#link, images, options, {
      payload: (image) => this.#payload(image, options.signal),
      toClassIndex: (requested) => toClassIndex(requested, this.info.labels, this.info.classes),
    });
  }

  dispose(): void {
    this.#disposed = true;
    this.#link.dispose();
    for (const link of this.#extraLinks) link.dispose();
  }

  [DISPOSE](): void {
    this.dispose();
  }

  async #detectWith(link: Link, image: Input, { signal, ...settings }: DetectOptions & CallOptions): Promise<Detection> {
    return link.call("detect", [await this.#payload(image, signal), settings], signal);
  }

  async #payload(image: Input, signal: AbortSignal | undefined): Promise<ImagePayload> {
    throwIfAborted(signal);
    if (this.#disposed) throw new OodError("disposed", "The detector was disposed of.");
    return toPayload(image, this.#open, signal);
  }
}

function coreCount(): number {
  return globalThis.navigator?.hardwareConcurrency || 2;
}

function featuresOf(result: FeatureSource): Float32Array {
  const features = result instanceof Float32Array ? result : result?.features;
  if (features instanceof Float32Array) return features;
  throw new OodError("features", "Pass a result of detect(), or its features as a Float32Array.");
}

function concatenate(rows: readonly Float32Array[], width: number): Float32Array {
  const all = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    if (row.length !== width) {
      throw new OodError("features", `Row ${index} has ${row.length} features; the network has ${width}.`);
    }
    all.set(row, index * width);
  });
  return all;
}

function toClassIndex(requested: string | number, labels: readonly string[], classes: number): number {
  const index = typeof requested === "number" ? requested : labels.indexOf(requested);
  if (Number.isInteger(index) && index >= 0 && index < classes) return index;
  throw new OodError("options", `There is no class ${JSON.stringify(requested)}: pass one of the labels, or an index below ${classes}.`);
}
