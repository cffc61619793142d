/// <reference lib="esnext.disposable" preserve="true" />

/**
 * A global type of the platform by its name, or `never` where the platform lacks it, so that the
 * declarations compile with and without DOM types.
 */
export type Global<Name extends string> =
  typeof globalThis extends Record<Name, { prototype: infer Type }> ? Type : never;

/** A file: its URL, a request for it, a response, or its bytes. */
export type Source =
  | string
  | Global<"URL">
  | Global<"Request">
  | Global<"Response">
  | Global<"Blob">
  | ArrayBuffer
  | ArrayBufferView;

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

/** How pixels become the network's input. Applied in this order: resize, crop, normalise. */
export interface Preprocess {
  /** Length of the shorter side after resizing, in pixels. No resizing by default. */
  resize?: number;
  /** Height and width of the centre crop, in pixels. No crop by default. */
  crop?: [height: number, width: number];
  /** As PIL computes it, with antialiasing. */
  interpolation: "bilinear" | "bicubic";
  /** Colour channels of the network's input. */
  channels: "rgb" | "grey";
  /** Mean per channel, for pixel values in 0..1. */
  mean: number[];
  /** Standard deviation per channel, for pixel values in 0..1. */
  std: number[];
}

/** Hyperparameters and other options of one call. Defaults come from the stats file. */
export interface DetectOptions {
  /** CRP's p: percentage of weights pruned for every image, 0..100. */
  p?: number;
  /** FTP's lambda: weights whose contribution exceeds mean + lambda * standard deviation are pruned; `Infinity`: none. */
  lambda?: number;
  /** The post-hoc detector whose score decides: one of {@link DetectorInfo.scores}. */
  score?: string;
  /** Temperature of softmax and energy scores, above 0. */
  temperature?: number;
  /** Images with a score of at least this are in-distribution. */
  threshold?: number;
  /** ReAct: features are clipped at this value. */
  react?: number;
  /** Fraction of held-out in-distribution images that the threshold accepts, above 0 and below 1. */
  tpr?: number;
  /** How many classes to list in {@link Detection.topK}; 5 by default. */
  topK?: number;
  /** Lambda of the scores `held` and `held_t`, 0 or more. */
  heldLambda?: number;
  /** Weight `a` of the atypicality in the score `held_t`, 0 or more. */
  heldA?: number;
}

/** The hyperparameters a result was computed with. */
export interface UsedSettings {
  p: number;
  lambda: number;
  score: string;
  temperature: number;
  react?: number;
  tpr: number;
  heldLambda: number;
  heldA?: number;
}

/** The loaded network and its stats file. */
export interface DetectorInfo {
  /** K, the number of classes. */
  classes: number;
  /** D, the number of penultimate-layer features. */
  features: number;
  /** Shape of the network's input: 1, channels, height, width. */
  inputShape: [batch: number, channels: number, height: number, width: number];
  /** Class names, in the order of the logits. Empty without a stats file. */
  labels: string[];
  preprocess: Preprocess;
  /** Defaults of {@link DetectOptions}, if there is a stats file. */
  settings?: UsedSettings;
  /** Number of training images per class behind the statistics. */
  counts: number[];
  /** Names of the post-hoc detectors that the stats file supports. */
  scores: string[];
  /** Threshold of the default score. */
  threshold?: number;
  /** Number of held-out ID images behind the threshold and the p-values. */
  idImages: number;
  modelSha256: string;
  /** Name of the graph node that outputs the features. */
  featureNode: string;
  /** Number of operators that run on this project's own kernels, and on tract's. */
  operators: { own: number; tract: number };
  /** Warnings for people, for example about few images per class. */
  warnings: string[];
}

/** One class of {@link Detection.topK}. */
export interface ClassProbability {
  label: string;
  classIndex: number;
  /** Softmax of the logits, 0..1. */
  probability: number;
}

/** How many of the head's K x D weights were pruned for one image, and why. */
export interface PruningCounts {
  total: number;
  kept: number;
  /** Pruned by CRP alone. */
  redundant: number;
  /** Pruned by FTP alone. */
  overconfident: number;
  /** Pruned by both. */
  both: number;
}

/** The result for one image: a plain, cloneable object. */
export interface Detection {
  /** The predicted class, from the logits before pruning. */
  label: string;
  classIndex: number;
  /** Higher is more in-distribution. */
  score: number;
  scoreName: string;
  /** Energy of the logits before pruning. */
  unprunedScore: number;
  /** Images with a score of at least this are in-distribution; absent if the stats file has none. */
  threshold?: number;
  /** Whether the image is in-distribution; absent without a threshold. */
  inDistribution?: boolean;
  /** Conformal p-value, 0..1: the fraction of held-out ID images that score at most as high. */
  pValue?: number;
  topK: ClassProbability[];
  /** K logits before and after pruning. */
  logits: Float32Array;
  prunedLogits: Float32Array;
  /** Energies without pruning, with CRP or FTP alone, and with both (ITP). */
  energies: { plain: number; crp: number; ftp: number; itp: number };
  counts: PruningCounts;
  /** The hyperparameters used. */
  settings: UsedSettings;
  /** D penultimate-layer features, the input of {@link Detector.rescore} and {@link Detector.explain}. */
  features: Float32Array;
}

/** Why a weight was pruned: values of {@link Explanation.reason} and of the weight map. */
export const Reason = { Kept: 0, Redundant: 1, Overconfident: 2, Both: 3 } as const;

/** Every weight of one class for one image; arrays have one entry per feature. */
export interface Explanation {
  classIndex: number;
  label: string;
  bias: number;
  logit: number;
  prunedLogit: number;
  /** CRP's threshold: weights with a mean contribution of at most this are pruned for every image. */
  omega: number;
  weight: Float32Array;
  feature: Float32Array;
  /** weight * feature. */
  contribution: Float32Array;
  /** Mean and standard deviation of the contribution over the class's training images. */
  mu: Float32Array;
  sigma: Float32Array;
  /** (contribution - mu) / sigma, clamped to +-1000. */
  z: Float32Array;
  /** The feature value beyond which FTP prunes: above it for a positive weight, below it for a negative one; NaN for weight 0. */
  limit: Float32Array;
  /** One of {@link Reason}. */
  reason: Uint8Array;
  /** Sums of contributions by reason; the four and the bias add up to the logit. */
  keptSum: number;
  redundantSum: number;
  overconfidentSum: number;
  bothSum: number;
  /** The scores `held` and `held_t` of the same features. */
  held: HeldExplanation;
}

/** Explains the scores `held` and `held_t` for the same class; arrays have one entry per feature. */
export interface HeldExplanation {
  /** Upper limit of the contribution: mu + heldLambda * sigma. */
  limit: Float32Array;
  /** How far the contribution exceeds its limit, 0 if it does not. */
  heldBack: Float32Array;
  /** Each feature's part of the atypicality: its absolute z-score over all classes, divided by D. */
  tTerms: Float32Array;
  heldBackSum: number;
  /** The class's logit with contributions clamped to their limits. */
  logit: number;
  /** The score HELD, the atypicality `t`, and HELD - a * t if the weight `a` is known. */
  held: number;
  t: number;
  a?: number;
  heldT?: number;
}

/** How well a score separates ID from OOD images; fractions in 0..1. */
export interface Metrics {
  auroc: number;
  /** Fraction of OOD images accepted at the threshold that accepts 95% of the ID images. */
  fpr95: number;
  auprIn: number;
  auprOut: number;
  threshold95: number;
  roc: { fpr: Float32Array; tpr: Float32Array };
}

/** Loading progress. */
export interface LoadProgress {
  part: "engine" | "model" | "stats" | "prepare";
  /** Bytes loaded; for `prepare` (parsing and optimising the network) 0, then 1. */
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
  | { index: number; detection: Detection; error?: never }
  | { index: number; error: import("./errors.js").OodError; detection?: never };

/** Options of {@link loadDetector}. */
export interface LoadOptions {
  /** The ONNX classifier. */
  model: Source;
  /** Its `.itp.safetensors` file. Without it, only features and calibration are available, and `preprocess` is required. */
  stats?: Source;
  /** Overrides the preprocessing in the stats file. */
  preprocess?: Preprocess;
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

/** Options of {@link Detector.detectAll}. */
export interface BatchOptions extends DetectOptions, CallOptions {
  /** Size of the worker pool; the number of cores by default, at most 4. */
  concurrency?: number;
  onProgress?: (progress: BatchProgress) => void;
}

/** Input of {@link Detector.rescore} and {@link Detector.explain}: a result, or features. */
export type FeatureSource = { features: Float32Array } | Float32Array;

/** Hyperparameters to store in a new stats file. */
export interface CalibrationSettings {
  p?: number;
  lambda?: number;
  score?: string;
  /** Fraction of held-out ID images that the threshold accepts, 0..1; 0.95 by default. */
  tpr?: number;
}

/** Collects statistics and writes a stats file. */
export interface Calibrator {
  /** Adds a training image (or its features) of a class, given as a label or an index. */
  add(image: Input | Float32Array, label: string | number, options?: CallOptions): Promise<void>;
  /** Adds a held-out ID image, for the threshold and the p-values. */
  addHoldout(image: Input | Float32Array, options?: CallOptions): Promise<void>;
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
}

/** A transformation that makes a pseudo-OOD image of a held-out one. */
export type TuneKind =
  | "jigsaw2"
  | "jigsaw4"
  | "pixels"
  | "mixup"
  | "cutmix"
  | "rot90"
  | "rot180"
  | "blur"
  | "noise"
  | "invert"
  | "cutout"
  | "contrast"
  | "phase"
  | "swap"
  | "zoom"
  | "tile";

/** A pseudo-OOD image to make; `image` and `partner` are indices into the given images. */
export interface PseudoOodTask {
  kind: TuneKind;
  image: number;
  /** A second image, of another class, for kinds that combine two. */
  partner?: number;
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
export interface TuneOptions extends CallOptions {
  /** The same seed and images give the same pseudo-OOD images, here and on the command line; 0 by default. */
  seed?: number;
  /** Pseudo-OOD images per kind; 100 by default. */
  perKind?: number;
  /**
   * Which candidate is selected: `r1` (the default), the best mean AUROC over all kinds; `r*`, the best
   * of those that lose at most one point to Energy on the near-OOD kinds.
   */
  rule?: "r1" | "r*";
  onProgress?: (progress: TuneProgress) => void;
  /** Called with one image of each kind, before all of them are run. */
  onPreview?: (preview: TunePreview) => void;
}

/** One candidate of the search; AUROC in percent. */
export interface Candidate<Setting> {
  setting: Setting;
  /** Per kind, in the order of {@link TuneReport.kinds}. */
  auroc: number[];
  mean: number;
  /** Mean over the near-OOD kinds. */
  nearMean: number;
}

/** All candidates of one detector, and the indices of those that the two rules select. */
export interface TuneFamily<Score extends string, Setting> {
  score: Score;
  tried: Candidate<Setting>[];
  r1: number;
  rStar: number;
}

/** The report of tuning, as `itp tune --report` writes it. Infinity is `"inf"`, as JSON has none. */
export interface TuneReport {
  createdWith: string;
  modelSha256: string;
  seed: number;
  rule: "r1" | "r*";
  /** Number of held-out images, and of their classes. */
  holdout: number;
  classes: number;
  kinds: TuneKind[];
  /** Number of pseudo-OOD images per kind. */
  images: number[];
  families: (
    | TuneFamily<"energy", Record<string, never>>
    | TuneFamily<"itp", { p: number; lambda: number | "inf" }>
    | TuneFamily<"react", { percentile: number; clip: number }>
    | TuneFamily<"held", { lambda: number | "inf" }>
    | TuneFamily<"held_t", { lambda: number | "inf"; w: number; a: number }>
  )[];
  /** Warnings for people about how far to trust the result. */
  warnings: string[];
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
  detectAll(
    images: Iterable<Input> | AsyncIterable<Input>,
    options?: BatchOptions,
  ): AsyncGenerator<BatchResult, void, undefined>;
  /** The D penultimate-layer features of one image. */
  features(image: Input, options?: CallOptions): Promise<Float32Array>;
  /** The result under other options, from stored features: the network does not run again. */
  rescore(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Detection>;
  /** Every weight of a class, and whether and why it was pruned. */
  explain(result: FeatureSource, options?: ExplainOptions): Promise<Explanation>;
  /** The {@link Reason} of all K x D weights, class by class. */
  weightMap(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Uint8Array>;
  /** One score for each row of features (or for N * D values in one array). */
  scores(rows: Float32Array | readonly Float32Array[], options?: DetectOptions & CallOptions): Promise<Float64Array>;
  /**
   * Sorted scores of the held-out ID images: as stored or, with options, recomputed under them.
   * `undefined` if the stats file has none.
   */
  idScores(score: string, options?: DetectOptions & CallOptions): Promise<Float32Array | undefined>;
  /** AUROC, FPR95 and more, from the scores of ID and of OOD images. */
  metrics(idScores: ArrayLike<number>, oodScores: ArrayLike<number>): Promise<Metrics>;
  /** Starts a stats file for this network. */
  calibrate(labels: readonly string[]): Promise<Calibrator>;
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
