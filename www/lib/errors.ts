/**
 * Why something failed:
 *
 * | code | what happened |
 * |---|---|
 * | `fetch` | a file could not be downloaded or read; the message names its address and status |
 * | `engine` | the WebAssembly engine could not be compiled or started (too old a browser, a CSP, a damaged file) |
 * | `model` | the ONNX model is damaged, uses an unknown operator, or has no linear last layer |
 * | `stats` | the stats file is damaged or holds impossible values |
 * | `mismatch` | model and stats file, or a result and a detector, do not belong together |
 * | `image` | the image can't be decoded, or has an unusable size |
 * | `features` | features of the wrong length, or with values that are not finite |
 * | `options` | a setting outside its range, or an unknown name |
 * | `data` | calibration data that can't be used: no images, an unknown class |
 * | `aborted` | the caller's `AbortSignal` fired |
 * | `crashed` | the engine died while it worked; it has been replaced, and the next call works |
 * | `disposed` | the detector was disposed of before or while it worked |
 */
export type OodErrorCode =
  | "fetch"
  | "engine"
  | "model"
  | "stats"
  | "mismatch"
  | "image"
  | "features"
  | "options"
  | "data"
  | "aborted"
  | "crashed"
  | "disposed";

/** Every error of this package. Programs look at {@link OodError.code}; the message is for people. */
export class OodError extends Error {
  override readonly name = "OodError";
  /** What went wrong, for programs. */
  readonly code: OodErrorCode;

  /** @param code - what went wrong. @param message - what is wrong and what to do about it. */
  constructor(code: OodErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The part of an error that survives `postMessage`, which loses an error's class. */
export interface PlainError {
  code: OodErrorCode;
  message: string;
}

/** The engine's and the worker's errors are plain objects with a code; anything else is a surprise. */
export function isPlainError(thrown: unknown): thrown is PlainError {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    typeof (thrown as PlainError).code === "string" &&
    typeof (thrown as PlainError).message === "string"
  );
}

/** What `thrown` says, whatever it is. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
