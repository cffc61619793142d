// Loads detectors, and implements the public Detector on top of a link.

import { follow, throwIfAborted, withAbort } from "./abort.js";
import {
  BATCH,
  CALIBRATE,
  CALL,
  count,
  detectRules,
  entriesOf,
  EVIDENCE,
  EXPLAIN,
  featureRows,
  featuresOf,
  floats,
  HELD_BACK,
  isText,
  LOAD,
  readOptions,
  type Rules,
  scoreList,
  settingRules,
  toClassIndex,
  TUNE,
  wrong,
} from "./check.js";
import { argumentError, OodError, typed } from "./errors.js";
import { toPayload } from "./image.js";
import type { Link, Port } from "./link.js";
import { LocalLink } from "./local-link.js";
import { runPool } from "./pool.js";
import type { Arguments, ImagePayload, ReadBeside, Result, SessionInit } from "./protocol.js";
import { compileEngine, type Open, readBlob, type Reading } from "./source.js";
import { runTuning } from "./tune.js";
import type {
  BatchOptions,
  BatchResult,
  CalibrateOptions,
  Calibrator,
  CallOptions,
  Counterfactual,
  Detection,
  DetectOptions,
  Detector,
  DetectorInfo,
  Evidence,
  EvidenceOptions,
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
  /** A model's path, where it was given by one and files beside it can be read. */
  pathOf?(model: Source): string | undefined;
  readBeside?: ReadBeside;
  /** Starts the package's worker. */
  startWorker: () => unknown;
  /** Wraps a worker, of the package or of the caller. */
  connect(worker: unknown): Port;
}

/** Loads a detector; the entry points export the public function. */
export function load(options: LoadOptions, platform: Platform): Promise<Detector> {
  return typed(() => loadChecked(readOptions(options, LOAD), platform));
}

async function loadChecked(options: LoadOptions, platform: Platform): Promise<Detector> {
  const { worker = true, signal, onProgress } = options;
  throwIfAborted(signal);
  // One failed download cancels the others.
  const { controller: stop, letGo } = follow(signal);
  let link: Link | undefined;
  try {
    const reading = (part: Reading["part"]): Reading => ({ open: platform.open, part, signal: stop.signal, onProgress });
    const read = (part: "model" | "weights" | "stats", source: Source): Promise<Blob> => readBlob(source, reading(part));
    if (options.model === undefined) throw new OodError("model", "loadDetector needs a model: { model: '/model.onnx', ... }.");
    const external = Object.entries(options.externalData ?? {});
    const [module, model, stats, files] = await Promise.all([
      compileEngine(options.engine ?? platform.engine, reading("engine")),
      read("model", options.model),
      options.stats === undefined ? undefined : read("stats", options.stats),
      Promise.all(external.map(async ([name, source]) => [name, await read("weights", source)] as const)),
    ]);
    const modelPath = platform.pathOf?.(options.model);
    const init: SessionInit = {
      module,
      model,
      ...(stats && { stats }),
      ...(options.preprocess && { preprocess: options.preprocess }),
      ...(options.output !== undefined && { output: options.output }),
      ...(options.memory !== undefined && { memory: options.memory }),
      ...(files.length > 0 && { externalData: Object.fromEntries(files) }),
      ...(options.gradient === true && { gradient: true }),
      ...(options.evidence === true && { evidence: true }),
      ...(modelPath !== undefined && { modelPath }),
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
    letGo();
  }
}

function linkMaker(worker: NonNullable<LoadOptions["worker"]>, init: SessionInit, platform: Platform): () => Link {
  if (worker === false) return () => new LocalLink(init, platform.readBeside);
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
  const connect = (): Port => {
    const made = make();
    // A promise is no worker; what it rejects with is nobody's.
    Promise.resolve(made).catch(() => undefined);
    return platform.connect(made);
  };
  return () => new WorkerLink(connect, init);
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
  // `info` is the caller's, who may change it.
  readonly #width: number;
  readonly #classes: number;
  readonly #labels: readonly string[];
  readonly #settingRules: Rules;
  readonly #detectRules: Rules;
  #disposed = false;

  constructor(link: Link, info: DetectorInfo, open: Open, makeLink: (() => Link) | undefined) {
    this.#link = link;
    this.info = info;
    this.#open = open;
    this.#makeLink = makeLink;
    this.#width = info.features;
    this.#classes = info.classes;
    this.#labels = [...info.labels];
    const names = info.detectors.flatMap(({ hyperparameters }) =>
      hyperparameters.flatMap(({ name, short }) => (short ? [short, name] : [name])),
    );
    this.#settingRules = settingRules(names);
    this.#detectRules = detectRules(this.#settingRules);
  }

  detect(image: Input, options?: DetectOptions & CallOptions): Promise<Detection> {
    return typed(() => this.#detectWith(this.#link, image, readOptions(options, this.#detectRules)));
  }

  async *detectAll(images: Iterable<Input> | AsyncIterable<Input>, options?: BatchOptions): AsyncGenerator<BatchResult, void, undefined> {
    try {
      yield* this.#detectAll(images, readOptions(options, { ...this.#detectRules, ...BATCH }));
    } catch (thrown) {
      throw argumentError(thrown);
    }
  }

  #detectAll(images: Iterable<Input> | AsyncIterable<Input>, options: BatchOptions): AsyncGenerator<BatchResult, void, undefined> {
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
      detect: (link, image, inner) => typed(() => this.#detectWith(link, image, { ...settings, signal: inner })),
      signal,
      onProgress,
    });
  }

  features(image: Input, options?: CallOptions): Promise<Float32Array> {
    return typed(async () => {
      const { signal } = readOptions(options, CALL);
      return this.#link.call("features", [await this.#payload(image, signal)], signal);
    });
  }

  saliency(image: Input, options?: DetectOptions & CallOptions): Promise<Float32Array> {
    return typed(async () => {
      const { signal, ...settings } = readOptions(options, this.#detectRules);
      return this.#link.call("saliency", [await this.#payload(image, signal), settings], signal);
    });
  }

  evidence(image: Input, options?: EvidenceOptions): Promise<Evidence> {
    return typed(async () => {
      const { signal, class: requested, part, ...settings } = readOptions(options, { ...this.#detectRules, ...EVIDENCE });
      const classIndex = this.#classIndex(requested);
      return this.#link.call("evidence", [await this.#payload(image, signal), classIndex, part, settings], signal);
    });
  }

  rescore(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Detection> {
    return this.#ofFeatures("rescore", result, options);
  }

  explain(result: FeatureSource, options?: ExplainOptions): Promise<Explanation> {
    return typed(() => {
      const { signal, class: requested, ...settings } = readOptions(options, { ...this.#detectRules, ...EXPLAIN });
      const features = featuresOf(result, this.#width);
      const classIndex = this.#classIndex(requested ?? (result as { classIndex?: number }).classIndex);
      return this.#link.call("explain", [features, classIndex, settings], signal);
    });
  }

  counterfactual(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Counterfactual> {
    return this.#ofFeatures("counterfactual", result, options);
  }

  weightMap(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Uint8Array> {
    return this.#ofFeatures("weightMap", result, options);
  }

  scores(rows: Float32Array | readonly Float32Array[], options?: DetectOptions & CallOptions): Promise<Float64Array> {
    return typed(() => {
      const { signal, ...settings } = readOptions(options, this.#detectRules);
      const values = featureRows(rows, this.#width);
      return this.#link.call("scores", [values, values.length / this.#width, settings], signal);
    });
  }

  idScores(score: ScoreName, options?: DetectOptions & CallOptions): Promise<Float32Array | undefined> {
    return typed(() => {
      if (!isText(score)) throw wrong("score", score, "the name of a score");
      const { signal, ...settings } = readOptions(options, this.#detectRules);
      return this.#link.call("idScores", options ? [score, settings] : [score], signal);
    });
  }

  metrics(idScores: ArrayLike<number>, oodScores: ArrayLike<number>): Promise<Metrics> {
    return typed(() => this.#link.call("metrics", [scoreList(idScores, "idScores"), scoreList(oodScores, "oodScores")]));
  }

  calibrate(labels: readonly string[], options?: CalibrateOptions): Promise<Calibrator> {
    return typed(async () => {
      const { detectors = [], signal } = readOptions(options, CALIBRATE);
      const names = entriesOf(labels, "labels", "an array of strings");
      names.forEach((label, i) => {
        if (!isText(label)) throw wrong(`label ${i}`, label, "a string of at most 1000 characters");
      });
      if (names.length !== this.#classes)
        throw new OodError("data", `There are ${names.length} labels; the model has ${this.#classes} classes.`);
      const id = nextSessionId++;
      try {
        await this.#link.call("calibrate", [id, names, [...detectors]], signal);
      } catch (error) {
        // It may have been made all the same, if the caller aborted.
        this.#end(id);
        throw error;
      }
      return this.#calibrator(id, names);
    });
  }

  #calibrator(id: number, labels: readonly string[]): Calibrator {
    const withInput =
      (
        image: Input | Float32Array,
        options: CallOptions | undefined,
        add: (input: ImagePayload | Float32Array, signal?: AbortSignal) => Promise<void>,
      ) =>
      async () => {
        // prettier-ignore
        const { signal } = readOptions(options, CALL);
        return add(floats(image) ? featuresOf(image, this.#width) : await this.#payload(image as Input, signal), signal);
      };
    return {
      add: (image, label, options) =>
        typed(
          withInput(image, options, (input, signal) =>
            this.#link.call("addTraining", [id, input, toClassIndex(label, labels, labels.length)], signal),
          ),
        ),
      addHoldout: (image, options) =>
        typed(withInput(image, options, (input, signal) => this.#link.call("addHoldout", [id, input], signal))),
      holdBack: (classes, seed = 0) =>
        typed(() => {
          const rows = entriesOf(classes, "classes", "an array of class indices");
          const indices = rows.map((row) => toClassIndex(row, labels, labels.length));
          return this.#link.call("holdBack", [Uint32Array.from(indices), count(seed, "seed")]);
        }),
      addHeldBack: (image, label, number, options) =>
        typed(async () => {
          const { seed = 0, signal } = readOptions(options, HELD_BACK);
          const classIndex = toClassIndex(label, labels, labels.length);
          const input = await this.#payload(image, signal);
          return this.#link.call("addHeldBack", [id, input, classIndex, count(number, "number"), seed], signal);
        }),
      counts: () => this.#link.call("calibrationCounts", [id]),
      warnings: () => this.#link.call("calibrationWarnings", [id]),
      finish: (settings) => typed(() => this.#link.call("finishCalibration", [id, readOptions(settings, this.#settingRules)])),
      dispose: () => this.#end(id),
    };
  }

  tune(images: readonly TuneImage[], options?: TuneOptions): Promise<Tuned> {
    return typed(() => {
      const read = readOptions(options, TUNE);
      const list = entriesOf(images, "images", "an array of held-out images: [{ image, classIndex }, ...]");
      return runTuning(nextSessionId++, this.#link, list, read, {
        payload: (image) => typed(() => this.#payload(image, read.signal)),
        toClassIndex: (requested) => toClassIndex(requested, this.#labels, this.#classes),
        features: (given) => featuresOf(given, this.#width),
      });
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

  #classIndex(requested: string | number | undefined): number | undefined {
    return requested === undefined ? undefined : toClassIndex(requested, this.#labels, this.#classes);
  }

  /** What follows from the features of a result. */
  #ofFeatures<Name extends "rescore" | "counterfactual" | "weightMap">(
    name: Name,
    result: FeatureSource,
    options: (DetectOptions & CallOptions) | undefined,
  ): Promise<Result<Name>> {
    return typed(() => {
      const { signal, ...settings } = readOptions(options, this.#detectRules);
      return this.#link.call<Name>(name, [featuresOf(result, this.#width), settings] as Arguments<Name>, signal);
    });
  }

  /** Frees a calibrator or a tuner of the session. */
  #end(id: number): void {
    if (!this.#disposed) this.#link.call("end", [id]).catch(() => undefined);
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
