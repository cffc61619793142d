// A session on the calling thread.

import { throwIfAborted, withAbort } from "./abort.js";
import { disposedError, type Link } from "./link.js";
import type { Arguments, CallName, ReadBeside, Result, SessionInit } from "./protocol.js";
import { Session } from "./session.js";
import { closeLeft, takeMark } from "./transfer.js";
import type { DetectorInfo } from "./types.js";

/** Runs the session on this thread. Imported as a whole: service workers know no `import()`. */
export class LocalLink implements Link {
  readonly #init: SessionInit;
  readonly #session: Session;
  #restarting: Promise<unknown> | undefined;
  #disposed = false;

  constructor(init: SessionInit, readBeside?: ReadBeside) {
    this.#init = init;
    // The caller's bitmaps stay open.
    this.#session = new Session(takeMark, readBeside);
  }

  start(signal?: AbortSignal): Promise<DetectorInfo> {
    return this.#run("start", [this.#init], signal);
  }

  async call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>> {
    try {
      throwIfAborted(signal);
      this.#throwIfDisposed();
      // One of the calls that meet a crashed engine starts another, and all wait for it.
      if (this.#session.crashed) await (this.#restarting ??= this.start().finally(() => (this.#restarting = undefined)));
      return await this.#run(name, args, signal);
    } finally {
      closeLeft(args);
    }
  }

  async #run<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>> {
    const result = await withAbort(this.#session.run(name, args), signal);
    this.#throwIfDisposed();
    return result;
  }

  dispose(): void {
    this.#disposed = true;
    this.#session.dispose();
  }

  #throwIfDisposed(): void {
    if (!this.#disposed) return;
    // A start that was under way may have allocated again.
    this.#session.dispose();
    throw disposedError();
  }
}
