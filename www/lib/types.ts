/// <reference lib="esnext.disposable" preserve="true" />

// What the engine takes and gives has types that are generated from it; here is what exists in
// JavaScript alone.
import type {
  CalibrationSettings,
  Counterfactual,
  DetectOptions,
  DetectorInfo,
  Evidence,
  Explanation,
  FeatureDetection,
  Metrics,
  Preprocess,
  PseudoOodTask,
  ScoreName,
  TunerOptions,
  TuneReport,
} from "./generated.js";

export type * from "./generated.js";

/**
 * A global type of the platform by its name, or `never` where the platform lacks it, so that the
 * declarations compile with and without DOM types.
 */
export type Global<Name extends string> = typeof globalThis extends Record<Name, { prototype: infer Type }> ? Type : never;

/** A file: its URL, a request for it, a response, or its bytes. */
export type Source = string | Global<"URL"> | Global<"Request"> | Global<"Response"> | Global<"Blob"> | ArrayBuffer | ArrayBufferView;

/** Pixels in memory: row by row from the top left, 8 bits per channel. */
export interface RawImage {
  /** `width * height * channels` values. */
  data: Uint8Array | Uint8ClampedArray;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** 1 grey, 3 RGB, 4 RGBA with straight alpha. Derived from the length of `data` by default. */
  channels?: 1 | 3 | 4;
}

/**
 * An image. Strings and URLs are fetched. Encoded files (a `Blob` or a URL) are decoded by the browser
 * at their natural size without colour conversion; the engine resizes them. Node decodes no images:
 * pass a {@link RawImage} there.
 */
export type Input =
  | string
  | Global<"URL">
  | Global<"Blob">
  | Global<"ImageBitmap">
  | Global<"ImageData">
  | Global<"HTMLImageElement">
  | Global<"HTMLCanvasElement">
  | Global<"HTMLVideoElement">
  | Global<"OffscreenCanvas">
  | Global<"VideoFrame">
  | RawImage;

/** The result for one image: a plain, cloneable object. */
export interface Detection extends FeatureDetection {
  /** D penultimate-layer features, the input of {@link Detector.rescore} and {@link Detector.explain}. */
  features: Float32Array;
}

/** Why a weight was pruned: values of {@link Explanation.reason} and of the weight map. */
export const Reason = { Kept: 0, Redundant: 1, Overconfident: 2, Both: 3 } as const;

/** Loading progress. */
export interface LoadProgress {
  part: "engine" | "model" | "weights" | "stats" | "prepare";
  /** Bytes loaded (`weights`: of one of the files outside the model); for `prepare` (parsing and optimising the network) 0, then 1. */
  loaded: number;
  /** Total bytes, if the server sends the length. */
  total?: number;
}

/** Batch progress. */
export interface BatchProgress {
  /** Images finished, including failed ones. */
  done: number;
  /** Total number of images, if the input has a length. */
  total?: number;
}

/** One image of a batch: its result, or the error. */
export type BatchResult =
  { index: number; detection: Detection; error?: never } | { index: number; error: import("./errors.js").OodError; detection?: never };

/** The entries of a `preprocessor_config.json` of Hugging Face that matter here. */
export interface HuggingFacePreprocessor {
  do_resize?: boolean;
  size?: number | Readonly<Record<string, number>>;
  resample?: number | string | null;
  crop_pct?: number | null;
  do_center_crop?: boolean;
  crop_size?: number | Readonly<Record<string, number>> | null;
  do_rescale?: boolean;
  rescale_factor?: number;
  do_normalize?: boolean;
  image_mean?: number | readonly number[] | null;
  image_std?: number | readonly number[] | null;
  [key: string]: unknown;
}

/** Options of {@link loadDetector}. */
export interface LoadOptions {
  /** The ONNX classifier. */
  model: Source;
  /** Its `.itp.safetensors` file. Without it, only features and calibration are available, and `preprocess` is required. */
  stats?: Source;
  /**
   * Overrides the preprocessing in the stats file. An object as in a `preprocessor_config.json` of Hugging
   * Face is read, too.
   */
  preprocess?: Preprocess | HuggingFacePreprocessor;
  /** The model's output to use, where it has several classifiers. A stats file remembers it. */
  output?: string;
  /**
   * Files with weights that the model keeps outside, by the names that it has for them. In Node, those
   * beside a model that is given by its path are read without this.
   */
  externalData?: Readonly<Record<string, Source>>;
  /**
   * The most memory for the model's weights and for what it computes for one image, in MiB: 512 by default.
   * A model that needs more is an error (`model`).
   */
  memory?: number;
  /**
   * Also prepares the network's gradient, which {@link Detector.saliency} and ODIN's step (the
   * hyperparameter `odin.epsilon`) need. It takes memory for a second set of weights, and for all that the
   * network computes for an image. `info.gradientObstacle` says why a network has none.
   */
  gradient?: boolean;
  /**
   * Also keeps the network's last map, which {@link Detector.evidence} needs. `info.evidenceObstacle` says why there
   * is none.
   */
  evidence?: boolean;
  /**
   * The engine's WebAssembly file, if it is not served beside the package's other files, or to use the
   * same engine everywhere. By default `engine-relaxed.wasm` where relaxed SIMD (which has a fused
   * multiply-add) is supported, and `engine.wasm` elsewhere.
   */
  engine?: Source;
  /**
   * `true` (the default): the package's module worker. `false`: the calling thread. A function that
   * creates workers: for CDNs and for bundlers without worker support. A worker instance can't be
   * replaced after a crash, and batches run on it alone.
   */
  worker?: boolean | Global<"Worker"> | (() => Global<"Worker">);
  signal?: Global<"AbortSignal">;
  onProgress?: (progress: LoadProgress) => void;
}

/** Options of every call. */
export interface CallOptions {
  signal?: Global<"AbortSignal">;
}

/** Options of {@link Detector.explain}. */
export interface ExplainOptions extends DetectOptions, CallOptions {
  /** A label or an index; the predicted class by default. */
  class?: string | number;
}

/** Options of {@link Detector.evidence}. */
export interface EvidenceOptions extends ExplainOptions {
  /**
   * Which of the class's weights: those that ITP keeps (the default), those that CRP prunes, those that FTP alone
   * prunes, or all. `kept`, `crp` and `ftp` add up to `all`.
   */
  part?: "kept" | "crp" | "ftp" | "all";
}

/** Options of {@link Detector.detectAll}. */
export interface BatchOptions extends DetectOptions, CallOptions {
  /** Size of the worker pool; the number of cores by default, at most 4. */
  concurrency?: number;
  onProgress?: (progress: BatchProgress) => void;
}

/** Input of {@link Detector.rescore} and {@link Detector.explain}: a result, or features. */
export type FeatureSource = { features: Float32Array; classIndex?: number } | Float32Array;

/** Options of {@link Detector.calibrate}. */
export interface CalibrateOptions extends CallOptions {
  /**
   * Post-hoc detectors to gather for beyond ITP, such as `["knn", "vim"]`; `"all"` stands for every
   * one. ITP and the scores of the logits need nothing more.
   */
  detectors?: readonly (ScoreName | "all")[];
}

/** Collects statistics and writes a stats file. */
export interface Calibrator {
  /** Adds a training image (or its features) of a class, given as a label or an index. */
  add(image: Input | Float32Array, label: string | number, options?: CallOptions): Promise<void>;
  /** Adds a held-out ID image, for the threshold and the p-values. */
  addHoldout(image: Input | Float32Array, options?: CallOptions): Promise<void>;
  /**
   * Which training images to hold back where there are no other ID images, given the class of each: 1
   * for a tenth of each class, 0 for the rest. The same seed and classes give the same images.
   */
  holdBack(classes: ArrayLike<number>, seed?: number): Promise<Uint8Array>;
  /**
   * Adds a held-back training image instead of a held-out one. The network was trained on it, so it
   * counts as its slightly zoomed copy where the copy is classified otherwise; a warning says how far that
   * corrects the threshold. `number` counts the held-back images from 0. Returns the features that stand
   * for the image, for {@link TuneImage.features}.
   */
  addHeldBack(image: Input, label: string | number, number: number, options?: CallOptions & { seed?: number }): Promise<Float32Array>;
  /** Number of images per class so far. */
  counts(): Promise<Uint32Array>;
  /** The stats file's bytes. */
  finish(settings?: CalibrationSettings): Promise<Uint8Array>;
  /** Warnings for people, for example about classes with few images. */
  warnings(): Promise<string[]>;
  /** Frees its memory. Further calls do nothing. */
  dispose(): void;
}

/** A held-out ID image, on which the network was not trained. */
export interface TuneImage {
  /** Must stay readable until tuning ends: it is decoded again for each pseudo-OOD image made of it. */
  image: Input;
  /** Its class; the predicted one by default. */
  classIndex?: number;
  /** Its features, if known: those that {@link Calibrator.addHeldBack} returned. */
  features?: Float32Array;
}

/** Argument of {@link TuneOptions.onPreview}. */
export interface TunePreview extends PseudoOodTask {
  /** The pseudo-OOD image, as the network will see it. */
  made: RawImage;
}

/** Tuning progress. */
export interface TuneProgress {
  /** Running the held-out images, running the pseudo-OOD images, and rating the candidates (one long step). */
  part: "holdout" | "made" | "rating";
  /** Steps finished, over all parts. */
  done: number;
  total: number;
}

/** Options of {@link Detector.tune}. */
export interface TuneOptions extends CallOptions, Partial<TunerOptions> {
  onProgress?: (progress: TuneProgress) => void;
  /** Called with one image of each kind, before all of them are run. */
  onPreview?: (preview: TunePreview) => void;
}

/** Result of {@link Detector.tune}. */
export interface Tuned {
  /** The tuned stats file: hyperparameters, ID scores and threshold from the held-out images. */
  stats: Uint8Array;
  report: TuneReport;
  /** The report as Markdown. */
  markdown: string;
  /** Images that could not be read and were skipped. */
  broken: { index: number; error: import("./errors.js").OodError }[];
}

/** A loaded network with its statistics. */
export interface Detector {
  readonly info: DetectorInfo;
  /** Classifies one image and tells whether it is in-distribution. */
  detect(image: Input, options?: DetectOptions & CallOptions): Promise<Detection>;
  /** Results of many images, in input order, from a pool of workers that share the compiled engine. */
  detectAll(images: Iterable<Input> | AsyncIterable<Input>, options?: BatchOptions): AsyncGenerator<BatchResult, void, undefined>;
  /** The D penultimate-layer features of one image. */
  features(image: Input, options?: CallOptions): Promise<Float32Array>;
  /**
   * How the score depends on each value of the network's input (the image resized, cropped and normalised):
   * derivatives `[C, H, W]`, as `info.inputShape` has them. Needs {@link LoadOptions.gradient}.
   */
  saliency(image: Input, options?: DetectOptions & CallOptions): Promise<Float32Array>;
  /**
   * What each position of the network's last map adds to a class's logit: exact where the features are the map's
   * means over all positions. Needs {@link LoadOptions.evidence}; error `options` where there is no such map.
   */
  evidence(image: Input, options?: EvidenceOptions): Promise<Evidence>;
  /**
   * The result under other options, from stored features: the network does not run again. ODIN with a
   * step of the image can't be had from features.
   */
  rescore(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Detection>;
  /** Every weight of a class, and whether and why it was pruned. */
  explain(result: FeatureSource, options?: ExplainOptions): Promise<Explanation>;
  /**
   * What would turn the verdict: the fewest pruned weights that would have to be given back, and the nearest p
   * and lambda. For the scores `itp`, `crp` and `ftp`. `rescore` with that p or lambda has the other verdict.
   */
  counterfactual(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Counterfactual>;
  /** The {@link Reason} of all K x D weights, class by class. */
  weightMap(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Uint8Array>;
  /** One score for each row of features (or for N * D values in one array). */
  scores(rows: Float32Array | readonly Float32Array[], options?: DetectOptions & CallOptions): Promise<Float64Array>;
  /**
   * Sorted scores of the held-out ID images: as stored or, with options, recomputed under them.
   * `undefined` if the stats file has none.
   */
  idScores(score: ScoreName, options?: DetectOptions & CallOptions): Promise<Float32Array | undefined>;
  /** AUROC, FPR95 and more, from the scores of ID and of OOD images. */
  metrics(idScores: ArrayLike<number>, oodScores: ArrayLike<number>): Promise<Metrics>;
  /** Starts a stats file for this network, with one label per class. */
  calibrate(labels: readonly string[], options?: CalibrateOptions): Promise<Calibrator>;
  /**
   * Selects p, lambda, ReAct's clip and HELD's hyperparameters without OOD images: sixteen kinds of
   * pseudo-OOD images are made of held-out ID images (at least two classes; 500 images or more are
   * recommended), and the candidates that separate them best are selected. Rating the candidates is
   * one long step: if aborted during it, the promise is rejected at once, but other calls wait until
   * the step ends. `dispose()` ends it.
   */
  tune(images: readonly TuneImage[], options?: TuneOptions): Promise<Tuned>;
  /** Stops the workers and frees their memory. Further calls do nothing. */
  dispose(): void;
  [Symbol.dispose](): void;
}
