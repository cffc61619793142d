/**
 * Why a call failed:
 *
 * | code | what happened |
 * |---|---|
 * | `fetch` | a file could not be downloaded or read; the message names its URL and status |
 * | `engine` | the WebAssembly engine could not be compiled or started (browser too old, blocked by a CSP, damaged file) |
 * | `model` | the ONNX model is damaged, uses an unsupported operator, or gives no logits |
 * | `stats` | the stats file is damaged or holds invalid values |
 * | `mismatch` | model and stats file, or a result and a detector, do not belong together |
 * | `image` | the image can't be decoded, or its size is unsupported |
 * | `features` | features of the wrong length, or with non-finite values |
 * | `options` | an option or argument of the wrong type or outside its range, an unknown name, or a callback that threw (the cause) |
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
  return isOodError(thrown) ? thrown : new OodError("crashed", messageOf(thrown), { cause: thrown });
}

/** `instanceof`, for values that may be anything. */
function isOodError(thrown: unknown): thrown is OodError {
  try {
    return thrown instanceof OodError;
  } catch {
    return false;
  }
}

/** The error of an engine that can't be `done`; the advice is another where the page's policy forbids it. */
export function engineError(done: string, cause: unknown, advice: string): OodError {
  const message = messageOf(cause);
  const forbidden = /content security policy|csp|unsafe-eval|disallowed by embedder/i.test(message);
  const toDo = forbidden ? "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy." : advice;
  return new OodError("engine", `The engine can't be ${done}: ${message}. ${toDo}`, { cause });
}

/** Runs a public call, so that whatever fails rejects with an error of this package. */
export async function typed<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw argumentError(thrown);
  }
}

/** The error for an argument that can't even be looked at, such as an object whose getters throw. */
export function argumentError(cause: unknown): OodError {
  return isOodError(cause) ? cause : new OodError("options", `An argument can't be used: ${messageOf(cause)}`, { cause });
}

/** The part of a thrown value that can be posted. */
export function toPlainError(thrown: unknown): PlainError {
  return isPlainError(thrown) || isOodError(thrown)
    ? { code: thrown.code, message: thrown.message }
    : { code: "crashed", message: messageOf(thrown) };
}

/** Whether `thrown` is an expected error of the engine: a plain object with a code. */
export function isPlainError(thrown: unknown): thrown is PlainError {
  const { code, message } = Object(thrown) as Partial<PlainError>;
  return typeof code === "string" && typeof message === "string" && Object.getPrototypeOf(thrown) === Object.prototype;
}

/** The message of a thrown value, which may be anything. */
export function messageOf(thrown: unknown): string {
  try {
    const message: unknown = (Object(thrown) as Error).message;
    return typeof message === "string" ? message : String(thrown);
  } catch {
    return "an error without a message";
  }
}
