// The interfaces between a detector and the session that runs the engine for it.

import { OodError } from "./errors.js";
import type { Arguments, CallName, Reply, Request, Result } from "./protocol.js";
import type { DetectorInfo } from "./types.js";

/** A connection to a session, in a worker or on this thread. */
export interface Link {
  start(signal?: AbortSignal): Promise<DetectorInfo>;
  call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>>;
  dispose(): void;
}

/** What browsers' workers and Node's have in common. */
export interface Port {
  post(request: Request, transfer: Transferable[]): void;
  /** `onFailure` gets the message of an error that belongs to no request, if there is one. */
  listen(onReply: (reply: Reply) => void, onFailure: (message: string | undefined) => void): void;
  /** A worker keeps a Node process alive only while it is busy. */
  setBusy(busy: boolean): void;
  terminate(): void;
}

/** The error of calls to a disposed detector. */
export function disposedError(): OodError {
  return new OodError("disposed", "The detector was disposed of.");
}
