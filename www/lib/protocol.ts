// The messages between a detector and the session that runs the engine for it.

import type { PlainError } from "./errors.js";
import type {
  CalibrationSettings,
  Counterfactual,
  Detection,
  DetectOptions,
  DetectorInfo,
  Evidence,
  Explanation,
  HuggingFacePreprocessor,
  Metrics,
  Preprocess,
  PseudoOodTask,
  RawImage,
  ScoreName,
  Tuned,
  TunerOptions,
} from "./types.js";

/** What a session needs to start. Workers share the module and the blobs without copying. */
export interface SessionInit {
  module: WebAssembly.Module;
  model: Blob;
  stats?: Blob;
  preprocess?: Preprocess | HuggingFacePreprocessor;
  output?: string;
  memory?: number;
  externalData?: Record<string, Blob>;
  gradient?: boolean;
  evidence?: boolean;
  /** Where Node finds further files of weights: beside this one. */
  modelPath?: string;
}

/** Reads a file beside another one; undefined where there is none. */
export type ReadBeside = (path: string, name: string) => Uint8Array | undefined;

/** An image that can be posted. Encoded images are decoded where the engine runs. */
export type ImagePayload = Blob | ImageBitmap | RawImage;

/** The calls a session handles. */
export interface Calls {
  start(init: SessionInit): DetectorInfo;
  features(image: ImagePayload): Float32Array;
  detect(image: ImagePayload, options: DetectOptions): Detection;
  saliency(image: ImagePayload, options: DetectOptions): Float32Array;
  evidence(image: ImagePayload, classIndex: number | undefined, part: string | undefined, options: DetectOptions): Evidence;
  rescore(features: Float32Array, options: DetectOptions): Detection;
  explain(features: Float32Array, classIndex: number | undefined, options: DetectOptions): Explanation;
  counterfactual(features: Float32Array, options: DetectOptions): Counterfactual;
  weightMap(features: Float32Array, options: DetectOptions): Uint8Array;
  scores(features: Float32Array, rows: number, options: DetectOptions): Float64Array;
  idScores(score: ScoreName, options?: DetectOptions): Float32Array | undefined;
  metrics(idScores: Float64Array, oodScores: Float64Array): Metrics;
  calibrate(calibrator: number, labels: string[], detectors: ScoreName[]): void;
  addTraining(calibrator: number, image: ImagePayload | Float32Array, classIndex: number): void;
  addHoldout(calibrator: number, image: ImagePayload | Float32Array): void;
  holdBack(classes: Uint32Array, seed: number): Uint8Array;
  addHeldBack(calibrator: number, image: ImagePayload, classIndex: number, number: number, seed: number): Float32Array;
  calibrationCounts(calibrator: number): Uint32Array;
  calibrationWarnings(calibrator: number): string[];
  finishCalibration(calibrator: number, settings: CalibrationSettings | undefined): Uint8Array;
  tune(tuner: number, options: TunerOptions): void;
  tuneHoldout(tuner: number, image: number, classIndex: number | undefined, pixels: ImagePayload | Float32Array): void;
  pseudoOodTasks(tuner: number): PseudoOodTask[];
  /** Makes a task's pseudo-OOD image, to be shown. */
  makePseudoOodImage(tuner: number, task: number, image: ImagePayload, partner: ImagePayload | undefined): RawImage;
  /** Makes a task's pseudo-OOD image and keeps its features. */
  runPseudoOodTask(tuner: number, task: number, image: ImagePayload, partner: ImagePayload | undefined): void;
  finishTuning(tuner: number): Omit<Tuned, "broken">;
  /** Frees a calibrator or a tuner. */
  end(id: number): void;
}

export type CallName = keyof Calls;
export type Arguments<Name extends CallName> = Parameters<Calls[Name]>;
export type Result<Name extends CallName> = ReturnType<Calls[Name]>;

export interface Request {
  id: number;
  name: CallName;
  args: Arguments<CallName>;
}

export type Reply = { id: number; value: unknown } | { id: number; error: PlainError };

/** The buffers of a result's typed arrays, which can be moved instead of copied. */
export function buffersOf(value: unknown): ArrayBuffer[] {
  const parts = ArrayBuffer.isView(value) ? [value] : Object.values(value ?? {});
  const buffers = parts.flatMap((part) => (ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : []));
  return [...new Set(buffers)];
}
