// What passes between a detector and the session that runs the engine for it, in a worker or not.

import type { PlainError } from "./errors.js";
import type {
  CalibrationSettings,
  Detection,
  DetectOptions,
  DetectorInfo,
  Explanation,
  Metrics,
  Preprocess,
  RawImage,
  Tuned,
  TuneJob,
  TuneOptions,
} from "./types.js";

/** What a session starts from. A module and blobs are shared, not copied, between workers. */
export interface Start {
  module: WebAssembly.Module;
  model: Blob;
  stats?: Blob;
  preprocess?: Preprocess;
}

/** An image that can be posted; an encoded one is decoded where the engine runs. */
export type Portable = Blob | ImageBitmap | RawImage;

/** The calls that a session answers. */
export interface Calls {
  start(start: Start): DetectorInfo;
  features(image: Portable): Float32Array;
  detect(image: Portable, options: DetectOptions): Detection;
  rescore(features: Float32Array, options: DetectOptions): Detection;
  explain(features: Float32Array, classIndex: number | undefined, options: DetectOptions): Explanation;
  weightMap(features: Float32Array, options: DetectOptions): Uint8Array;
  scores(features: Float32Array, rows: number, options: DetectOptions): Float64Array;
  idScores(score: string, options?: DetectOptions): Float32Array | undefined;
  metrics(idScores: Float64Array, oodScores: Float64Array): Metrics;
  calibrate(calibrator: number, labels: string[]): void;
  addTraining(calibrator: number, image: Portable | Float32Array, classIndex: number): void;
  addHoldout(calibrator: number, image: Portable | Float32Array): void;
  calibrationCounts(calibrator: number): Uint32Array;
  calibrationWarnings(calibrator: number): string[];
  finishCalibration(calibrator: number, settings: CalibrationSettings | undefined): Uint8Array;
  tune(tuner: number, options: Required<Pick<TuneOptions, "seed" | "perKind" | "rule">>): void;
  tuneHoldout(tuner: number, image: number, classIndex: number | undefined, pixels: Portable): void;
  tuneJobs(tuner: number): TuneJob[];
  /** Makes a job's image, to be seen (`preview`) or to be learned from. */
  tuneStep(tuner: number, job: number, preview: boolean, image: Portable, partner: Portable | undefined): RawImage | undefined;
  finishTuning(tuner: number): Omit<Tuned, "broken">;
  /** Frees a calibrator or a tuner. */
  end(id: number): void;
}

export type CallName = keyof Calls;
export type Arguments<Name extends CallName> = Parameters<Calls[Name]>;
export type Answer<Name extends CallName> = ReturnType<Calls[Name]>;

export interface Request {
  id: number;
  name: CallName;
  args: unknown[];
}

export type Reply = { id: number; value: unknown } | { id: number; error: PlainError };

/** The buffers of an answer's typed arrays, which can be moved instead of copied. */
export function buffersOf(value: unknown): ArrayBuffer[] {
  const parts = ArrayBuffer.isView(value) ? [value] : Object.values(value ?? {});
  const buffers = parts.flatMap((part) =>
    ArrayBuffer.isView(part) && part.buffer instanceof ArrayBuffer ? [part.buffer] : [],
  );
  return [...new Set(buffers)];
}
