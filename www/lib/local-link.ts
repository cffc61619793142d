// A session on the calling thread.

import { throwIfAborted, withAbort } from "./abort.js";
import { disposedError, type Link } from "./link.js";
import type { Arguments, CallName, Result, SessionInit } from "./protocol.js";
import type { Session } from "./session.js";
import type { DetectorInfo } from "./types.js";

/** Runs the session on this thread; the engine's code is only loaded when it starts. */
export class LocalLink implements Link {
  readonly #init: SessionInit;
  #session: Session | undefined;
  #disposed = false;

  constructor(init: SessionInit) {
    this.#init = init;
  }

  async start(signal?: AbortSignal): Promise<DetectorInfo> {
    const { Session } = await import("./session.js");
    return this.#run((this.#session ??= new Session()), "start", [this.#init], signal);
  }

  async call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>> {
    throwIfAborted(signal);
    this.#throwIfDisposed();
    if (!this.#session || this.#session.crashed) await this.start();
    if (!this.#session) throw disposedError();
    return this.#run(this.#session, name, args, signal);
  }

  async #run<Name extends CallName>(session: Session, name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>> {
    const result = await withAbort(session.run(name, args), signal);
    this.#throwIfDisposed();
    return result;
  }

  dispose(): void {
    this.#disposed = true;
    this.#session?.dispose();
  }

  #throwIfDisposed(): void {
    if (!this.#disposed) return;
    // A start that was under way may have allocated again.
    this.#session?.dispose();
    throw disposedError();
  }
}
