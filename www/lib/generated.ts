// Written by crates/wasm/tests/types.rs from the library's own types: don't edit. After a change there:
// ITP_BLESS=1 cargo test -p itp-ood-wasm

/** A post-hoc detector or a combination, such as `dice+react`: those that publications report, and any other. */
export type ScoreName =
  | "msp"
  | "msp+itp"
  | "odin"
  | "odin+itp"
  | "mls"
  | "mls+itp"
  | "energy"
  | "gen"
  | "gen+itp"
  | "joint_energy"
  | "gradnorm"
  | "gradnorm+itp"
  | "gradnorm_leaf+itp"
  | "klm"
  | "knn"
  | "knn_means"
  | "nnguide"
  | "mahalanobis"
  | "mds_pp"
  | "rmds_pp"
  | "vim"
  | "fdbd"
  | "nci"
  | "weiper_kld"
  | "react"
  | "ras"
  | "bats"
  | "laps"
  | "vra"
  | "ash_p"
  | "ash_b"
  | "ash_s"
  | "scale"
  | "dice"
  | "dice+react"
  | "opnp"
  | "opnp+react"
  | "line"
  | "crp"
  | "ftp"
  | "itp"
  | "itp+react"
  | "held"
  | "held_t"
  | "cadref"
  | "auto"
  | (string & {});

/** Values of hyperparameters, by their short or their full names. */
export interface HyperparameterValues {
  /** Temperature T of `T logsumexp(f / T)` and of softmax, wherever a score uses them. Above 0. Default: 1. */
  temperature?: number;
  /** Value at which ReAct clips features; unset, it follows from `react.percentile`. A finite number, in feature value. */
  react?: number;
  /** CRP prunes the weights whose mean contribution to their class lies in the lowest p percent (Eq. 7). From 0 to 100, in %. Default: 10; 20 from 100 classes on, 30 from 1000 on. */
  p?: number;
  /** FTP prunes, for each image, the weights whose contribution is more than lambda standard deviations above their class mean (Eq. 10). 0 or more (infinity is possible), in standard deviations. Default: 2.2; 1.6 from 100 classes on, 1.5 from 1000 on. */
  lambda?: number;
  /** How far above its class mean HELD lets a contribution go. 0 or more (infinity is possible), in standard deviations. Default: 1. */
  heldLambda?: number;
  /** Weight of T in HELD+T; from held-out images, 0.15 sd(HELD) / sd(T). 0 or more. */
  heldA?: number;
  /** How far each value of the image is moved towards a higher score; 0 for models that are loaded without their gradient. 0 or more. Default: 0.0014; 0.002 from 100 classes on, 0.0014 from 1000 on. */
  "odin.epsilon"?: number;
  /** What epsilon is measured in: 0 for pixel values from 0 to 1 (divided by the channel's standard deviation, as the original code), 1 for the normalised input (as DICE, ReAct and LINe). From 0 to 1. Default: 0. */
  "odin.epsilonSpace"?: number;
  /** Temperature T of `T logsumexp(f / T)` and of softmax, wherever a score uses them. Above 0. Default: 1. */
  "energy.temperature"?: number;
  /** Exponent of p and 1 - p; the smaller, the more small probabilities count. From 0 to 1. Default: 0.1. */
  "gen.gamma"?: number;
  /** How many of the largest probabilities GEN sums up; all where there are fewer classes. From 1 to 1000000000, in classes. Default: 100. */
  "gen.m"?: number;
  /** Which nearest neighbour KNN's distance is to, were all training images kept; k shrinks with the share that is. From 1 to 1000000000, in images. Default: 50; 200 from 100 classes on, 1000 from 1000 on. */
  "knn.k"?: number;
  /** How many nearest training images of those kept NNGuide averages over. From 1 to 1000000000, in images. Default: 10. */
  "nnguide.k"?: number;
  /** Weight of the features' 1-norm in NCI. 0 or more. Default: 0.0001. */
  "nci.alpha"?: number;
  /** Weight of the divergence of the perturbed logits in WeiPer+KLD. 0 or more. Default: 1. */
  "weiper_kld.lambda1"?: number;
  /** Weight of the perturbed logits' mean maximum softmax probability in WeiPer+KLD. 0 or more. Default: 1. */
  "weiper_kld.lambda2"?: number;
  /** Over how many of its 100 bins the histogram of an image's features is smoothed. From 1 to 100, in bins. Default: 20. */
  "weiper_kld.smoothing"?: number;
  /** The same for the histogram of its perturbed logits. From 1 to 100, in bins. Default: 20. */
  "weiper_kld.smoothing_perturbed"?: number;
  /** Value at which ReAct clips features; unset, it follows from `react.percentile`. A finite number, in feature value. */
  "react.clip"?: number;
  /** Percentile of all training features at which ReAct clips, unless `react.clip` gives the value. From 0 to 100, in %. Default: 98; 97 from 100 classes on, 90 from 1000 on. */
  "react.percentile"?: number;
  /** Limits of a feature around its mean over all training images. 0 or more, in standard deviations. Default: 3.25; 3.25 from 100 classes on, 1.05 from 1000 on. */
  "bats.lambda"?: number;
  /** Limits of a feature around its mean. A finite number, in standard deviations. Default: 1.5. */
  "laps.lambda"?: number;
  /** How far the limits move for a feature whose mean lies one standard deviation of all means below their mean. A finite number, in standard deviations. Default: 0.33. */
  "laps.relative_shift"?: number;
  /** Percentile of each feature below which VRA zeroes it; a multiple of 5. From 0 to 100, in %. Default: 60. */
  "vra.low"?: number;
  /** Percentile of each feature at which VRA clips it; a multiple of 5. From 0 to 100, in %. Default: 90; 95 from 100 classes on, 95 from 1000 on. */
  "vra.high"?: number;
  /** Percentage of an image's features that ASH leaves out, the smallest ones. From 0 to 99.99, in %. Default: 95; 95 from 100 classes on, 90 from 1000 on. */
  "ash.p"?: number;
  /** Percentage of an image's features that SCALE's ratio leaves out, the smallest ones. From 0 to 99.99, in %. Default: 95; 90 from 100 classes on, 85 from 1000 on. */
  "scale.p"?: number;
  /** Percentage of weights that DICE leaves out. From 0 to 100, in %. Default: 90; 90 from 100 classes on, 70 from 1000 on. */
  "dice.p"?: number;
  /** Percentage of least sensitive weights that OPNP leaves out. From 0 to 100, in %. Default: 80. */
  "opnp.weight_low"?: number;
  /** Percentage of most sensitive weights that OPNP leaves out. From 0 to 100, in %. Default: 0. */
  "opnp.weight_high"?: number;
  /** Percentage of least sensitive features that OPNP leaves out. From 0 to 100, in %. Default: 0. */
  "opnp.unit_low"?: number;
  /** Percentage of most sensitive features that OPNP leaves out. From 0 to 100, in %. Default: 0. */
  "opnp.unit_high"?: number;
  /** Percentage of weights that LINe leaves out. From 0 to 100, in %. Default: 90; 90 from 100 classes on, 10 from 1000 on. */
  "line.weight_p"?: number;
  /** Percentage of features that LINe leaves out for each class. From 0 to 100, in %. Default: 90; 10 from 100 classes on, 10 from 1000 on. */
  "line.unit_p"?: number;
  /** Value at which LINe clips features. A finite number, in feature value. Default: 1; 1 from 100 classes on, 0.8 from 1000 on. */
  "line.clip"?: number;
  /** CRP prunes the weights whose mean contribution to their class lies in the lowest p percent (Eq. 7). From 0 to 100, in %. Default: 10; 20 from 100 classes on, 30 from 1000 on. */
  "itp.p"?: number;
  /** FTP prunes, for each image, the weights whose contribution is more than lambda standard deviations above their class mean (Eq. 10). 0 or more (infinity is possible), in standard deviations. Default: 2.2; 1.6 from 100 classes on, 1.5 from 1000 on. */
  "itp.lambda"?: number;
  /** How far above its class mean HELD lets a contribution go. 0 or more (infinity is possible), in standard deviations. Default: 1. */
  "held.lambda"?: number;
  /** Weight of T in HELD+T; from held-out images, 0.15 sd(HELD) / sd(T). 0 or more. */
  "held_t.a"?: number;
}

/** The settings that a result was computed with. */
export interface UsedSettings {
  /** Name of the score. */
  score: ScoreName;
  /** Fraction of in-distribution images that the threshold keeps. */
  tpr: number;
  /** Temperature T of `T logsumexp(f / T)` and of softmax, wherever a score uses them. */
  temperature: number;
  /** Value at which ReAct clips features; unset, it follows from `react.percentile`. */
  react?: number;
  /** CRP prunes the weights whose mean contribution to their class lies in the lowest p percent (Eq. 7). */
  p: number;
  /** FTP prunes, for each image, the weights whose contribution is more than lambda standard deviations above their class mean (Eq. 10). */
  lambda: number;
  /** How far above its class mean HELD lets a contribution go. */
  heldLambda: number;
  /** Weight of T in HELD+T; from held-out images, 0.15 sd(HELD) / sd(T). */
  heldA?: number;
  /** The other hyperparameters that were set, by their full names. */
  hyperparameters?: Record<string, number>;
}

/**
 * Overrides for one call; what is not given comes from the stats file's `Settings`, and what
 * that does not have from the detectors' defaults.
 */
export interface DetectOptions extends HyperparameterValues {
  /** Name of the score. */
  score?: ScoreName;
  /**
   * A score below this is out-of-distribution; by default it follows from the stats file's
   * in-distribution scores.
   */
  threshold?: number;
  /** Share of in-distribution images that the threshold keeps (0 to 1, exclusive). */
  tpr?: number;
  /** How many classes `topK` lists; 5 by default. */
  topK?: number;
}

/** Settings that a new stats file stores. */
export type CalibrationSettings = HyperparameterValues & Pick<DetectOptions, "score" | "tpr">;

/**
 * How an image becomes a model's input: resize, centre crop, normalise. Part of every stats file.
 *
 * The result equals torchvision's `Resize`, `CenterCrop`, `ToTensor`, `Normalize` on a PIL image
 * (antialiased, bit for bit).
 *
 * As JSON (camelCase): `{"resize":256,"crop":[224,224],"interpolation":"bilinear",
 * "channels":"rgb","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}`.
 */
export interface Preprocess {
  /**
   * The shorter side's new length in pixels, 1..=4096; the longer one becomes
   * `trunc(resize * long / short)`. `undefined` keeps the size.
   */
  resize?: number;
  /**
   * (height, width) that the image is resized to, 1..=4096 each, whatever its aspect ratio; instead
   * of `resize`. As Hugging Face's processors do whose `size` has a height and a width.
   */
  stretch?: [height: number, width: number];
  /**
   * (height, width) of the centre crop, 1..=4096 each. Its offset is half of the margin, rounded
   * half to even; an image that is too small is first padded with 0 (black), as torchvision
   * does. `undefined` keeps everything.
   */
  crop?: [height: number, width: number];
  /** The filter of the resize. */
  interpolation: Interpolation;
  /** What the model takes: RGB or grey. */
  channels: Channels;
  /** Subtracted per channel from values in [0, 1]. */
  mean: number[];
  /** Divides per channel afterwards; above 0. */
  std: number[];
}

/** The filter of a resize; both antialias when the image gets smaller. */
export type Interpolation = "bilinear" | "bicubic";

/** The channels that a model takes. */
export type Channels = "rgb" | "grey";

/** What is known of a model and its stats file. */
export interface DetectorInfo {
  /** K, the number of classes. */
  classes: number;
  /**
   * D, the number of penultimate-layer features; where the last layer isn't linear, that of
   * `penultimate` and of the K logits behind them.
   */
  features: number;
  /** Why the last layer isn't linear, if so: only scores that need no weights work. */
  opaque?: string;
  /** The number of features that the last layer with weights takes; 0 where it isn't known. */
  penultimate: number;
  /** Whether the classes don't exclude each other: a sigmoid follows the logits. */
  multiLabel: boolean;
  /** The model's output that the logits belong to. */
  output: string;
  /** `[1, channels, height, width]`. */
  inputShape: [batch: number, channels: number, height: number, width: number];
  /** Name of each class, `[K]`; empty without a stats file. */
  labels: string[];
  /** How an image becomes the model's input. */
  preprocess: Preprocess;
  /** Stored settings, in full. */
  settings?: UsedSettings;
  /** Training images of each class, `[K]`; empty without a stats file. */
  counts: number[];
  /** Names of the scores that the stats file suffices for. */
  scores: ScoreName[];
  /** The other scores, with the reason; without a stats file those that this model can never have. */
  unavailable: UnavailableScore[];
  /** Threshold of the stored score, where there are in-distribution scores. */
  threshold?: number;
  /** How many in-distribution scores there are. */
  idImages: number;
  /** SHA-256 of the ONNX file, in hexadecimal. */
  modelSha256: string;
  /** Name of the ONNX value that holds the features. */
  featureNode: string;
  /** How many operators run in which way. */
  operators: OperatorCounts;
  /**
   * Why there is no gradient with respect to the image, which ODIN's `epsilon` and saliency need;
   * absent if there is one.
   */
  gradientObstacle?: string;
  /** Why there is no map of the evidence in an image; absent if there is one. */
  evidenceObstacle?: string;
  /** Every post-hoc detector, with its hyperparameters. */
  detectors: PostHocDetector[];
  /** What a user should know before trusting the result, in sentences. */
  warnings: string[];
}

/** How many operators run in which way. */
export interface OperatorCounts {
  /** This project's kernels. */
  own: number;
  /** tract's. */
  tract: number;
}

/** A score that can't be had. */
export interface UnavailableScore {
  /** Its name. */
  name: ScoreName;
  /** What is missing. */
  reason: string;
}

/** A post-hoc detector. */
export interface PostHocDetector {
  /** Name in options, files and tables. */
  name: string;
  /** Name in publications. */
  title: string;
  /** What it computes, in one sentence for people. */
  summary: string;
  /** Publication and code. */
  reference: string;
  /** The score in one line. */
  formula: string;
  /** Names of the combinations that publications report, such as `dice+react`. */
  combinations: string[];
  /**
   * What it reads: `logits`, `features`, `head` (the weights of a linear last layer), `moments`
   * (class-conditional means and deviations of the features).
   */
  inputs: ("logits" | "features" | "head" | "moments")[];
  /** What it can be tuned by. */
  hyperparameters: Hyperparameter[];
  /** Its tensors in the stats file. */
  tensors: string[];
}

/** A hyperparameter. */
export interface Hyperparameter {
  /** Full name, such as `itp.p`. */
  name: string;
  /** Short name that options and results use, such as `p`; few have one. */
  short?: string;
  /** What it does. */
  meaning: string;
  /** Unit; empty for pure numbers. */
  unit: string;
  /** Least value. */
  low: number;
  /** Greatest value; infinity where that is possible. */
  high: number;
  /** Defaults for each scale; absent where it is unset. */
  defaults?: PerScale;
  /** Default for this model's number of classes. */
  default?: number;
  /** Where the default comes from. */
  source: string;
}

/** A value for each `Scale`. */
export interface PerScale {
  /** For CIFAR-10-like models. */
  cifar10: number;
  /** For CIFAR-100-like models. */
  cifar100: number;
  /** For ImageNet-like models. */
  imagenet: number;
}

/** What was found for one image. */
export interface FeatureDetection {
  /** Name of the predicted class; always from the unpruned logits. */
  label: string;
  /** Its row in the last layer. */
  classIndex: number;
  /** The score that `scoreName` names; higher = more in-distribution. */
  score: number;
  /** Name of the score. */
  scoreName: ScoreName;
  /** Energy of the unpruned logits, for comparison. */
  unprunedScore: number;
  /**
   * The image is in-distribution when its score is at least this; `undefined` where the stats file
   * has no in-distribution scores for these settings and none was given.
   */
  threshold?: number;
  /** The verdict; `undefined` without a threshold. */
  inDistribution?: boolean;
  /** Conformal p-value of the score among the stored in-distribution scores (0 to 1). */
  pValue?: number;
  /** The most probable classes, from the unpruned logits. */
  topK: ClassProbability[];
  /** Energies of the logits under each pruning; `undefined` where the last layer isn't linear. */
  energies?: Energies;
  /** How many weights were pruned for this image; `undefined` where the last layer isn't linear. */
  counts?: PruningCounts;
  /** The settings used, in full. */
  settings: UsedSettings;
  /** The model's own logits, `[K]`. */
  logits: Float32Array;
  /** The logits after ITP's pruning, `[K]`; empty where the last layer isn't linear. */
  prunedLogits: Float32Array;
}

/** A class with its probability. */
export interface ClassProbability {
  /** The class's name. */
  label: string;
  /** Its row in the last layer, from 0. */
  classIndex: number;
  /** Softmax of the unpruned logits, 0 to 1. */
  probability: number;
}

/** Energies (logsumexp) of the logits under each `Variant`; all of the same features. */
export interface Energies {
  /** Of the unpruned logits. */
  plain: number;
  /** With CRP alone. */
  crp: number;
  /** With FTP alone. */
  ftp: number;
  /** With both. */
  itp: number;
}

/**
 * How many of the K x D weights an image keeps. Weights with contribution 0 count as kept:
 * leaving them out changes nothing.
 */
export interface PruningCounts {
  /** K x D. */
  total: number;
  /** Weights that are kept. */
  kept: number;
  /** Pruned by CRP alone. */
  redundant: number;
  /** Pruned by FTP alone. */
  overconfident: number;
  /** Pruned by both. */
  both: number;
}

/** Why one class's logit is what it is for an image. */
export interface Explanation {
  /** The class's row in the last layer. */
  classIndex: number;
  /** The class's name. */
  label: string;
  /** The percentile at or below which CRP prunes. */
  omega: number;
  /** What HELD and T make of the same features. */
  held: HeldExplanation;
  /** What each member adds to the score, where it is `auto`; they sum up to it. */
  members?: MemberShare[];
  /** Bias of the class. */
  bias: number;
  /** The unpruned logit: the bias and all four sums. */
  logit: number;
  /** The logit that ITP leaves: the bias and the kept sum. */
  prunedLogit: number;
  /** Sum of the kept contributions. */
  keptSum: number;
  /** Sum of those pruned by CRP alone. */
  redundantSum: number;
  /** Sum of those pruned by FTP alone. */
  overconfidentSum: number;
  /** Sum of those pruned by both. */
  bothSum: number;
  /** W, the weight. */
  weight: Float32Array;
  /** h, the feature. */
  feature: Float32Array;
  /** Contribution `c = W h`. */
  contribution: Float32Array;
  /** Mean contribution over the class's training images. */
  mu: Float32Array;
  /** Standard deviation of the contribution over the class's training images. */
  sigma: Float32Array;
  /** `(c - mu) / sigma`, clamped to +-`MAXZ`; 0 where `c = mu`. */
  z: Float32Array;
  /**
   * End of the interval that the feature may lie in: the upper end for W > 0, the lower end
   * for W < 0; NaN for W = 0, which allows everything.
   */
  limit: Float32Array;
  /** Why the weight was left out, if it was. */
  reason: Uint8Array;
}

/**
 * What HELD does to one class's weights for one image, and T's share; arrays have one entry per
 * feature, `[D]`.
 */
export interface HeldExplanation {
  /** Contribution `mu + lambda sigma` at which each weight is held; infinite for lambda infinity. */
  limit: Float32Array;
  /** What was held back: `max(c - limit, 0)`. */
  heldBack: Float32Array;
  /** Each feature's part of T; their sum is `t`. */
  tTerms: Float32Array;
  /** Sum of `heldBack`: the class's unpruned logit is `logit + heldBackSum`. */
  heldBackSum: number;
  /** The class's logit under HELD. */
  logit: number;
  /** Score of HELD: the energy of all classes' logits under HELD. */
  held: number;
  /** T. */
  t: number;
  /** Weight of T, where there is one. */
  a?: number;
  /** `held - a t`. */
  heldT?: number;
}

/** What one member of the score `auto` says of an image. */
export interface MemberShare {
  /** Name of its score. */
  score: ScoreName;
  /**
   * What it adds: its score's distance from that of held-out images, in their standard deviations;
   * below 0 it speaks for out-of-distribution.
   */
  share: number;
}

/** What each position of the last map adds to a class's logit. */
export interface Evidence {
  /**
   * Contributions, row by row from the top left, `[height * width]`. Their sum is that of the part's
   * weights: with the class's bias, `kept` sums to its pruned logit, and `all` to its logit.
   */
  data: Float32Array;
  /** Rows of the map. */
  height: number;
  /** Columns of the map. */
  width: number;
  /** The class's row in the last layer. */
  classIndex: number;
}

/** What would turn an image's verdict. */
export interface Counterfactual {
  /** The verdict as it is. */
  inDistribution: boolean;
  /** The score as it is. */
  score: number;
  /** The threshold as it is. */
  threshold: number;
  /**
   * The fewest pruned weights that, given back, turn the verdict, while the threshold stays as it
   * is; `undefined` if not even all of them do.
   */
  givenBack?: GivenBack;
  /** The nearest p that turns the verdict; `undefined` if there is none, or it isn't known. */
  p?: Turn;
  /** The nearest lambda that turns the verdict; `undefined` if there is none, or it isn't known. */
  lambda?: Turn;
  /** Why `p` and `lambda` aren't known, if so. */
  unknown?: string;
}

/** Pruned weights that turn the verdict when they are given back. */
export interface GivenBack {
  /** The weights, by the size of their contributions. */
  weights: PrunedWeight[];
  /** The score with them. */
  score: number;
  /**
   * Whether it is certain that no fewer would do; only for large last layers the search may end
   * before.
   */
  isFewest: boolean;
}

/** A weight that is pruned for an image. */
export interface PrunedWeight {
  /** Its class's row in the last layer. */
  classIndex: number;
  /** The number of its feature, from 0. */
  feature: number;
  /** What it adds to the logit of its class. */
  contribution: number;
  /** Why it is pruned. */
  reason: "redundant" | "overconfident" | "both";
}

/** A value of a hyperparameter that turns the verdict. */
export interface Turn {
  /** The value, the nearest to the one in use. */
  value: number;
  /** The value less the one in use. */
  change: number;
  /** The score at that value. */
  score: number;
  /** The threshold at that value. */
  threshold: number;
}

/** What a page shows of two sets of scores. */
export interface Metrics {
  /** The threshold that keeps 95 % of the ID images. */
  threshold95: number;
  /** The ROC curve. */
  roc: Roc;
  /** Chance that an ID image scores higher than an OOD image; equal scores count half. */
  auroc: number;
  /** Average precision with ID as the positive class. */
  auprIn: number;
  /** Average precision with OOD as the positive class. */
  auprOut: number;
  /** Share of OOD images accepted where 95 % of ID images are (`Closest`). */
  fpr95: number;
}

/** A ROC curve from (0, 0) to (1, 1), one point for each distinct score. */
export interface Roc {
  /** False-positive rates, ascending. */
  fpr: Float32Array;
  /** True-positive rates, ascending. */
  tpr: Float32Array;
}

/** What to tune with. */
export interface TunerOptions {
  /** The same seed and images give the same pseudo-OOD images, natively and in the browser. */
  seed: number;
  /** Pseudo-OOD images of each kind, 1 or more; 100 suffice. */
  perKind: number;
  /** The rule whose picks are written. */
  rule: TuneRule;
  /** Whether the score is chosen, too. */
  detector: TuneDetector;
  /** The held-out images are among those that the model was trained on. */
  trainedOn: boolean;
}

/** How a setting is picked. */
export type TuneRule = "r1" | "r*";

/** What else is chosen besides settings. */
export type TuneDetector = "keep" | "auto" | "ensemble";

/** One detector of the sum that `itp tune --detector` has chosen. */
export interface AutoMember {
  /** Its score and its hyperparameters, in full. */
  settings: UsedSettings;
  /** How often it is added. */
  times: number;
  /** Mean of its score over held-out images. */
  mean: number;
  /** Standard deviation (ddof 1) of its score over them. */
  deviation: number;
}

/** A way to make a pseudo-OOD image. */
export type TuneKind = "jigsaw2" | "jigsaw4" | "pixels" | "mixup" | "cutmix" | "rot90" | "rot180" | "blur" | "noise" | "invert" | "cutout" | "contrast" | "phase" | "swap" | "zoom" | "tile";

/** A pseudo-OOD image to make. */
export interface PseudoOodTask {
  /** What is made. */
  kind: TuneKind;
  /** The caller's number of the image that it is made of. */
  image: number;
  /** The caller's number of a second image, of another class, where the kind takes one. */
  partner?: number;
}

/** What tuning found. */
export interface TuneReport {
  /** Program and version. */
  createdWith: string;
  /** Hash of the model. */
  modelSha256: string;
  /** The seed of the pseudo-OOD images. */
  seed: number;
  /** The rule whose picks were written. */
  rule: TuneRule;
  /** Whether the score was chosen, too. */
  detector: TuneDetector;
  /** Held-out images used. */
  holdout: number;
  /** Classes among them. */
  classes: number;
  /** Names of the kinds of pseudo-OOD images. */
  kinds: TuneKind[];
  /** Pseudo-OOD images of each kind. */
  images: number[];
  /**
   * How much each kind counts in the mean, 0 to 1: the share of its images whose label the model
   * changes, of those that it gets right before.
   */
  weights: number[];
  /** Energy, ITP, ReAct, HELD, HELD+T. */
  families: AnyTuneFamily[];
  /** Every other detector that the stats file suffices for, where the score was chosen, too. */
  others?: TuneFamily<ScoreName, HyperparameterValues>[];
  /** What the score `auto` adds up, where it was chosen. */
  members?: AutoMember[];
  /** What a user should know before trusting the result. */
  warnings: string[];
  /** How long it took, where somebody measured. */
  seconds?: number;
}

/** All settings of one score. */
export interface TuneFamily<Score extends ScoreName, Setting> {
  /** Name of the score. */
  score: Score;
  /** Every setting, in the order of the grid. */
  tried: Candidate<Setting>[];
  /** Which one rule R1 picks. */
  r1: number;
  /** Which one rule R* picks. */
  rStar: number;
}

/** A setting with its AUROCs. */
export interface Candidate<Setting> {
  /** The setting. */
  setting: Setting;
  /** AUROC of in-distribution images against each kind, in percent; order of `kinds`. */
  auroc: number[];
  /** Mean over all kinds, weighted by `weights`. */
  mean: number;
  /** Mean over the kinds that stand for what lies near the training data. */
  nearMean: number;
}

/** All candidates of one score, told apart by its name. */
export type AnyTuneFamily =
  | TuneFamily<"energy", Record<string, never>>
  | TuneFamily<"itp", {
    /** CRP's percentage. */
    p: number;
    /** FTP's limit; `"inf"` in JSON for infinity. */
    lambda: number;
  }>
  | TuneFamily<"react", {
    /** Percentile of the features of held-out images. */
    percentile: number;
    /** The clip: the feature value at that percentile. */
    clip: number;
  }>
  | TuneFamily<"held", {
    /** Its limit; `"inf"` in JSON for infinity. */
    lambda: number;
  }>
  | TuneFamily<"held_t", {
    /** HELD's limit; `"inf"` in JSON for infinity. */
    lambda: number;
    /** T's share. */
    w: number;
    /** T's weight: `w sd(HELD) / sd(T)`. */
    a: number;
  }>;
