/**
 * Why a call failed:
 *
 * | code | what happened |
 * |---|---|
 * | `fetch` | a file could not be downloaded or read; the message names its URL and status |
 * | `engine` | the WebAssembly engine could not be compiled or started (browser too old, blocked by a CSP, damaged file) |
 * | `model` | the ONNX model is damaged, uses an unsupported operator, or has no linear head |
 * | `stats` | the stats file is damaged or holds invalid values |
 * | `mismatch` | model and stats file, or a result and a detector, do not belong together |
 * | `image` | the image can't be decoded, or its size is unsupported |
 * | `features` | features of the wrong length, or with non-finite values |
 * | `options` | an option outside its range, or an unknown name |
 * | `data` | calibration data that can't be used: no images, an unknown class |
 * | `aborted` | the caller's `AbortSignal` was aborted |
 * | `crashed` | the engine crashed during the call; it has been replaced, and the next call works |
 * | `disposed` | the detector was disposed of before or during the call |
 */
export type OodErrorCode =
  "fetch" | "engine" | "model" | "stats" | "mismatch" | "image" | "features" | "options" | "data" | "aborted" | "crashed" | "disposed";

/** Every error of this package. Programs check {@link OodError.code}; the message is for people. */
export class OodError extends Error {
  override readonly name = "OodError";
  /** Why the call failed, for programs. */
  readonly code: OodErrorCode;

  /** @param code - why the call failed. @param message - what is wrong and what to do about it. */
  constructor(code: OodErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The part of an error that survives `postMessage`, which drops an error's class. */
export interface PlainError {
  code: OodErrorCode;
  message: string;
}

/** A thrown value as an error of this package; what it does not expect counts as a crash. */
export function toOodError(thrown: unknown): OodError {
  return thrown instanceof OodError ? thrown : new OodError("crashed", messageOf(thrown), { cause: thrown });
}

/** The part of a thrown value that can be posted. */
export function toPlainError(thrown: unknown): PlainError {
  return isPlainError(thrown) ? { code: thrown.code, message: thrown.message } : { code: "crashed", message: messageOf(thrown) };
}

/** Whether `thrown` is an expected error of the engine or the worker: a plain object with a code. */
export function isPlainError(thrown: unknown): thrown is PlainError {
  return (
    typeof thrown === "object" &&
    thrown !== null &&
    "code" in thrown &&
    typeof thrown.code === "string" &&
    "message" in thrown &&
    typeof thrown.message === "string"
  );
}

/** The message of a thrown value, which may be anything. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
