/// <reference lib="esnext.disposable" preserve="true" />

/**
 * A type of the platform by its global name, or `never` where the platform lacks it. With it the
 * declarations compile both with and without the DOM's types.
 */
export type Global<Name extends string> =
  typeof globalThis extends Record<Name, { prototype: infer Type }> ? Type : never;

/** A file: its address, a request for it, the answer to one, or its bytes. */
export type Source =
  | string
  | Global<"URL">
  | Global<"Request">
  | Global<"Response">
  | Global<"Blob">
  | ArrayBuffer
  | ArrayBufferView;

/** Pixels in memory, row by row from the top left, 8 bits a channel. */
export interface RawImage {
  /** `width * height * channels` values. */
  data: Uint8Array | Uint8ClampedArray;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** 1 grey, 3 RGB, 4 RGBA with straight alpha. Left out, it follows from the length of `data`. */
  channels?: 1 | 3 | 4;
}

/**
 * An image. A string or URL is fetched. Encoded files (a `Blob`, an address) are decoded by the
 * browser at their natural size without colour conversion; resizing happens in the engine. In Node
 * only {@link RawImage} is an image.
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

/** How pixels become the network's input, in this order: resize, crop, normalise. */
export interface Preprocess {
  /** Length of the shorter side after resizing. Left out: no resizing. */
  resize?: number;
  /** Height and width of the centre crop. Left out: no crop. */
  crop?: [height: number, width: number];
  /** As PIL computes it, with antialias. */
  interpolation: "bilinear" | "bicubic";
  /** What the network takes. */
  channels: "rgb" | "grey";
  /** Per channel, of values in 0..1. */
  mean: number[];
  /** Per channel, of values in 0..1. */
  std: number[];
}

/** Settings of one detection. What is left out is taken from the stats file. */
export interface DetectOptions {
  /** Percentage of weights that CRP prunes, 0..100. */
  p?: number;
  /** How many deviations a contribution may lie above its mean before FTP prunes it; `Infinity`: never. */
  lambda?: number;
  /** Which score decides: one of {@link DetectorInfo.scores}. */
  score?: string;
  /** Temperature of softmax-like scores, above 0. */
  temperature?: number;
  /** Scores from here on are in-distribution. */
  threshold?: number;
  /** Clip features at this value (ReAct). */
  react?: number;
  /** Share of in-distribution images that the threshold keeps, above 0 and below 1. */
  tpr?: number;
  /** How many classes to list in {@link Detection.topK}; 5. */
  topK?: number;
  /** HELD's own lambda, where the score is `held` or `held_t`; 0 or more. */
  heldLambda?: number;
  /** Weight of the T term of `held_t`; 0 or more. */
  heldA?: number;
}

/** The settings a result was made with. */
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

/** What is known of the network and the stats file. */
export interface DetectorInfo {
  /** K, the number of classes. */
  classes: number;
  /** D, the number of features before the last layer. */
  features: number;
  /** What the network takes: 1, channels, height, width. */
  inputShape: [batch: number, channels: number, height: number, width: number];
  /** Names of the classes, in the order of the logits. Empty without a stats file. */
  labels: string[];
  preprocess: Preprocess;
  /** Defaults of {@link DetectOptions} from the stats file, if there is one. */
  settings?: UsedSettings;
  /** Training images per class behind the stats file. */
  counts: number[];
  /** Names of the scores that the stats file can serve. */
  scores: string[];
  /** Of the default score. */
  threshold?: number;
  /** How many held-out ID images the threshold and the p-values rest on. */
  idImages: number;
  modelSha256: string;
  /** Name of the graph node whose output is the features. */
  featureNode: string;
  /** Operators that run on this project's own kernels, and on tract's. */
  operators: { own: number; tract: number };
  /** What a person should know, such as few images per class. */
  warnings: string[];
}

/** One class of {@link Detection.topK}. */
export interface ClassProbability {
  label: string;
  classIndex: number;
  /** Softmax of the logits, 0..1. */
  probability: number;
}

/** How many of the K x D weights were pruned for one image, and why. */
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

/** The verdict on one image: a plain, cloneable object. */
export interface Detection {
  /** The likeliest class, of the logits before pruning. */
  label: string;
  classIndex: number;
  /** Higher is more in-distribution. */
  score: number;
  scoreName: string;
  /** Energy of the logits before pruning. */
  unprunedScore: number;
  /** Scores from here on are in-distribution; absent where the stats file has none. */
  threshold?: number;
  /** Whether the image belongs to what the network was trained on; absent without a threshold. */
  inDistribution?: boolean;
  /** Share of held-out ID images that score at most as high, 0..1, conformal. */
  pValue?: number;
  topK: ClassProbability[];
  /** K logits before and after pruning. */
  logits: Float32Array;
  prunedLogits: Float32Array;
  /** Energies with nothing pruned, with one part of ITP, and with all of it. */
  energies: { plain: number; crp: number; ftp: number; itp: number };
  counts: PruningCounts;
  /** As used for this result. */
  settings: UsedSettings;
  /** D features before the last layer; {@link Detector.rescore} and {@link Detector.explain} start from them. */
  features: Float32Array;
}

/** Why a weight was pruned: values of {@link Explanation.reason} and of the weight map. */
export const Reason = { Kept: 0, Redundant: 1, Overconfident: 2, Both: 3 } as const;

/** Every parameter of one class for one image; arrays have one entry per feature. */
export interface Explanation {
  classIndex: number;
  label: string;
  bias: number;
  logit: number;
  prunedLogit: number;
  /** CRP's threshold: weights whose mean contribution is not above it are pruned for every image. */
  omega: number;
  weight: Float32Array;
  feature: Float32Array;
  /** weight * feature. */
  contribution: Float32Array;
  /** Mean and deviation of the contribution over the class's training images. */
  mu: Float32Array;
  sigma: Float32Array;
  /** (contribution - mu) / sigma, clamped to +-1000. */
  z: Float32Array;
  /** The feature value beyond which FTP prunes: above it for a positive weight, below it for a negative one; NaN for weight 0. */
  limit: Float32Array;
  /** One of {@link Reason}. */
  reason: Uint8Array;
  /** Sums of contributions; the four and the bias give the logit. */
  keptSum: number;
  redundantSum: number;
  overconfidentSum: number;
  bothSum: number;
  /** What HELD and T make of the same features. */
  held: HeldExplanation;
}

/** The scores `held` and `held_t` of the same class; arrays have one entry per feature. */
export interface HeldExplanation {
  /** How much a weight may contribute: mu + heldLambda * sigma. */
  limit: Float32Array;
  /** What a contribution has above its limit, 0 if nothing. */
  heldBack: Float32Array;
  /** Each feature's share of T: how many deviations it lies from its mean over all classes, divided by D. */
  tTerms: Float32Array;
  heldBackSum: number;
  /** The class's logit with contributions held at their limits. */
  logit: number;
  /** The scores: HELD, the T term, and HELD - a * T where the weight `a` is known. */
  held: number;
  t: number;
  a?: number;
  heldT?: number;
}

/** How well a score separates: fractions in 0..1. */
export interface Metrics {
  auroc: number;
  /** Share of OOD images accepted where 95% of the ID images are. */
  fpr95: number;
  auprIn: number;
  auprOut: number;
  threshold95: number;
  roc: { fpr: Float32Array; tpr: Float32Array };
}

/** Progress of loading. */
export interface LoadProgress {
  part: "engine" | "model" | "stats" | "prepare";
  /** Bytes so far; for `prepare` (parsing and optimising the network) 0, then 1. */
  loaded: number;
  /** Bytes in all, where the server says so. */
  total?: number;
}

/** Progress of a batch. */
export interface BatchProgress {
  /** Images finished, broken ones included. */
  done: number;
  /** Images in all, where the input has a length. */
  total?: number;
}

/** One image of a batch: a verdict, or what was wrong with it. */
export type BatchResult =
  | { index: number; detection: Detection; error?: never }
  | { index: number; error: import("./errors.js").OodError; detection?: never };

/** What {@link loadDetector} needs. */
export interface LoadOptions {
  /** The ONNX classifier. */
  model: Source;
  /** Its `.itp.safetensors` file. Left out, only features and calibration work, and `preprocess` is needed. */
  stats?: Source;
  /** Overrides what the stats file says. */
  preprocess?: Preprocess;
  /**
   * The engine's WebAssembly file, where it is not found beside the package's own files, or where it
   * shall be the same everywhere. Left out: `engine-relaxed.wasm` where relaxed SIMD is there (it
   * multiplies and adds in one instruction), `engine.wasm` elsewhere.
   */
  engine?: Source;
  /**
   * `true` (the default): a module worker of the package. `false`: on the calling thread. A function
   * makes the workers (for CDNs and bundlers without worker support); a worker of your own can't be
   * replaced when it crashes, nor serve a pool.
   */
  worker?: boolean | Global<"Worker"> | (() => Global<"Worker">);
  signal?: Global<"AbortSignal">;
  onProgress?: (progress: LoadProgress) => void;
}

/** Options of a call that can be aborted. */
export interface CallOptions {
  signal?: Global<"AbortSignal">;
}

/** Which class to explain. */
export interface ExplainOptions extends DetectOptions, CallOptions {
  /** A label or an index; the class of the result, if left out. */
  class?: string | number;
}

/** Options of {@link Detector.detectAll}. */
export interface BatchOptions extends DetectOptions, CallOptions {
  /** How many images are worked on at once, each in a worker of its own; one less than the cores, 4 at most. */
  concurrency?: number;
  onProgress?: (progress: BatchProgress) => void;
}

/** What {@link Detector.rescore} and {@link Detector.explain} start from: a result, or features. */
export type FeatureSource = { features: Float32Array } | Float32Array;

/** Settings that go into a new stats file. */
export interface CalibrationSettings {
  p?: number;
  lambda?: number;
  score?: string;
  /** Share of held-out ID images that the threshold accepts, 0..1; 0.95. */
  tpr?: number;
}

/** Makes a stats file in the browser. */
export interface Calibrator {
  /** A training image (or its features) of a class: a label or an index. */
  add(image: Input | Float32Array, label: string | number, options?: CallOptions): Promise<void>;
  /** A held-out ID image, for the threshold and the p-values. */
  addHoldout(image: Input | Float32Array, options?: CallOptions): Promise<void>;
  /** Images per class so far. */
  counts(): Promise<Uint32Array>;
  /** The stats file's bytes. */
  finish(settings?: CalibrationSettings): Promise<Uint8Array>;
  /** What a person should know, such as classes with few images. */
  warnings(): Promise<string[]>;
  /** Frees its memory; may be called again. */
  dispose(): void;
}

/** A held-out ID image: one that the network was not trained on. */
export interface TuneImage {
  /** It is decoded again whenever a pseudo-OOD image is made of it, so it must stay readable until tuning ends. */
  image: Input;
  /** Its class; the predicted one, if left out. */
  classIndex?: number;
}

/** A way in which a pseudo-OOD image is made of a held-out one. */
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

/** A pseudo-OOD image to make: places of its images among those given. */
export interface TuneJob {
  kind: TuneKind;
  image: number;
  /** A second image, of another class, where the kind takes one. */
  partner?: number;
}

/** What {@link TuneOptions.onPreview} is shown. */
export interface TunePreview extends TuneJob {
  /** The image as the network will see it. */
  made: RawImage;
}

/** Progress of tuning. */
export interface TuneProgress {
  /** Looking at the held-out images, at what is made of them, and rating the settings (one long step). */
  part: "holdout" | "made" | "rating";
  /** Steps finished, of all parts. */
  done: number;
  total: number;
}

/** Options of {@link Detector.tune}. */
export interface TuneOptions extends CallOptions {
  /** The same seed and images give the same pseudo-OOD images, here and on the command line; 0. */
  seed?: number;
  /** Pseudo-OOD images of each kind; 100. */
  perKind?: number;
  /**
   * Which settings are written: `r1` (the default), the best mean over all kinds; `r*`, the best of
   * those that lose at most one point to Energy near the training data.
   */
  rule?: "r1" | "r*";
  onProgress?: (progress: TuneProgress) => void;
  /** Shown one image of each kind, before the work on all of them begins. */
  onPreview?: (preview: TunePreview) => void;
}

/** A setting that was tried; AUROC in percent. */
export interface TuneTried<Setting> {
  setting: Setting;
  /** Against each kind, in the order of {@link TuneReport.kinds}. */
  auroc: number[];
  mean: number;
  /** Mean over the kinds that stand for what lies near the training data. */
  nearMean: number;
}

/** All settings of one score, and the places of the picks of both rules among them. */
export interface TuneFamily<Score extends string, Setting> {
  score: Score;
  tried: TuneTried<Setting>[];
  r1: number;
  rStar: number;
}

/** What tuning found, as `itp tune --report` writes it. JSON has no infinity: it says `"inf"`. */
export interface TuneReport {
  createdWith: string;
  modelSha256: string;
  seed: number;
  rule: "r1" | "r*";
  /** Held-out images used, and classes among them. */
  holdout: number;
  classes: number;
  kinds: TuneKind[];
  /** Pseudo-OOD images of each kind. */
  images: number[];
  families: (
    | TuneFamily<"energy", Record<string, never>>
    | TuneFamily<"itp", { p: number; lambda: number | "inf" }>
    | TuneFamily<"react", { percentile: number; clip: number }>
    | TuneFamily<"held", { lambda: number | "inf" }>
    | TuneFamily<"held_t", { lambda: number | "inf"; w: number; a: number }>
  )[];
  /** What a person should know before trusting the result. */
  warnings: string[];
}

/** What {@link Detector.tune} gives. */
export interface Tuned {
  /** The tuned stats file: settings, ID scores and threshold from the held-out images. */
  stats: Uint8Array;
  report: TuneReport;
  /** The report for people. */
  markdown: string;
  /** Images that could not be read and were left out. */
  broken: { index: number; error: import("./errors.js").OodError }[];
}

/** A loaded network with its stats file. */
export interface Detector {
  readonly info: DetectorInfo;
  /** The verdict on one image. */
  detect(image: Input, options?: DetectOptions & CallOptions): Promise<Detection>;
  /** The verdicts on many images, in input order, from a pool of workers that share the compiled engine. */
  detectAll(
    images: Iterable<Input> | AsyncIterable<Input>,
    options?: BatchOptions,
  ): AsyncGenerator<BatchResult, void, undefined>;
  /** D features of one image. */
  features(image: Input, options?: CallOptions): Promise<Float32Array>;
  /** The verdict with other settings, from kept features: the network does not run again. */
  rescore(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Detection>;
  /** Every parameter of a class, and whether and why it was pruned. */
  explain(result: FeatureSource, options?: ExplainOptions): Promise<Explanation>;
  /** {@link Reason} of all K x D weights, class by class. */
  weightMap(result: FeatureSource, options?: DetectOptions & CallOptions): Promise<Uint8Array>;
  /** One score for each row of features (or for N * D values in one array). */
  scores(rows: Float32Array | readonly Float32Array[], options?: DetectOptions & CallOptions): Promise<Float64Array>;
  /**
   * Sorted scores of the held-out ID images: as stored or, with options, under these settings.
   * `undefined` where the stats file has none.
   */
  idScores(score: string, options?: DetectOptions & CallOptions): Promise<Float32Array | undefined>;
  /** AUROC, FPR95 and more from scores of ID and of OOD images. */
  metrics(idScores: ArrayLike<number>, oodScores: ArrayLike<number>): Promise<Metrics>;
  /** Starts a stats file for this network. */
  calibrate(labels: readonly string[]): Promise<Calibrator>;
  /**
   * Chooses p, lambda, ReAct's clip and HELD's settings without OOD images: sixteen kinds of
   * pseudo-OOD images are made of held-out ID images (500 or more, of at least two classes), and
   * the settings that tell them apart best are taken. Rating the settings is one long step: aborted
   * then, the promise is rejected at once, but other calls wait for its end. `dispose()` ends it.
   */
  tune(images: readonly TuneImage[], options?: TuneOptions): Promise<Tuned>;
  /** Stops the workers and gives their memory back; may be called again. */
  dispose(): void;
  [Symbol.dispose](): void;
}
