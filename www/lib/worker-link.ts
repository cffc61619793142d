// A session in a worker: queue, aborting, and recovery from crashes.

import { abortedError, throwIfAborted } from "./abort.js";
import { messageOf, OodError } from "./errors.js";
import { disposedError, type Link, type Port } from "./link.js";
import type { Arguments, CallName, Reply, Request, Result, SessionInit } from "./protocol.js";
import { closeLeft, takeTransferables } from "./transfer.js";
import type { DetectorInfo } from "./types.js";

interface PendingCall {
  request: Request;
  resolve(value: unknown): void;
  reject(error: OodError): void;
}

/**
 * Requests are posted one by one, so that aborting one that still waits costs nothing. A crash fails
 * the request in flight; the next one starts a new worker.
 */
export class WorkerLink implements Link {
  readonly #connectWorker: () => Port;
  readonly #init: SessionInit;
  #port: Port | undefined;
  /** Whether the current worker has replied at all: otherwise its script could not be loaded. */
  #hasReplied = false;
  #queue: PendingCall[] = [];
  #inFlight: PendingCall | undefined;
  #nextRequestId = 0;
  #disposed = false;

  constructor(connectWorker: () => Port, init: SessionInit) {
    this.#connectWorker = connectWorker;
    this.#init = init;
  }

  start(signal?: AbortSignal): Promise<DetectorInfo> {
    return this.#enqueue("start", [this.#init], signal);
  }

  async call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Result<Name>> {
    if (!this.#port && !this.#disposed) void this.start().catch(() => undefined);
    return this.#enqueue(name, args, signal);
  }

  dispose(): void {
    this.#disposed = true;
    this.#terminate();
    const pending = this.#inFlight ? [this.#inFlight, ...this.#queue] : this.#queue;
    this.#inFlight = undefined;
    this.#queue = [];
    for (const call of pending) call.reject(disposedError());
  }

  async #enqueue<Name extends CallName>(name: Name, args: Arguments<Name>, signal: AbortSignal | undefined): Promise<Result<Name>> {
    let onAbort: (() => void) | undefined;
    try {
      throwIfAborted(signal);
      if (this.#disposed) throw disposedError();
      return await new Promise((resolve, reject) => {
        const call: PendingCall = {
          request: { id: this.#nextRequestId++, name, args },
          // The reply with a request's id holds that call's result.
          resolve: (value) => resolve(value as Result<Name>),
          reject,
        };
        onAbort = () => {
          this.#queue = this.#queue.filter((other) => other !== call);
          if (signal) reject(abortedError(signal));
        };
        signal?.addEventListener("abort", onAbort);
        this.#queue.push(call);
        this.#postNext();
      });
    } finally {
      if (onAbort) signal?.removeEventListener("abort", onAbort);
      closeLeft(args);
    }
  }

  #postNext(): void {
    if (this.#inFlight) return;
    this.#inFlight = this.#queue.shift();
    const call = this.#inFlight;
    if (!call) {
      this.#port?.setBusy(false);
      return;
    }
    try {
      const port = this.#connect();
      port.setBusy(true);
      port.post(call.request, takeTransferables(call.request.args));
    } catch (cause) {
      this.#inFlight = undefined;
      const error = postError(cause);
      call.reject(error);
      if (call.request.name === "start") this.#rejectQueue(error);
      this.#postNext();
    }
  }

  #connect(): Port {
    if (this.#port) return this.#port;
    const port = this.#connectWorker();
    port.listen(
      (reply) => this.#receive(reply),
      (message) => {
        if (port === this.#port) this.#fail(message);
      },
    );
    this.#hasReplied = false;
    return (this.#port = port);
  }

  #receive(reply: Reply): void {
    const call = this.#inFlight;
    if (call?.request.id !== reply.id) return;
    this.#hasReplied = true;
    this.#inFlight = undefined;
    if (!("error" in reply)) {
      call.resolve(reply.value);
    } else {
      // A session that failed to start or that crashed has no engine left.
      if (reply.error.code === "crashed" || call.request.name === "start") this.#terminate();
      const error = new OodError(reply.error.code, reply.error.message);
      call.reject(error);
      if (call.request.name === "start") this.#rejectQueue(error);
      else if (!this.#port) this.#restart();
    }
    this.#postNext();
  }

  #fail(message: string | undefined): void {
    const error =
      this.#hasReplied || message !== undefined
        ? new OodError("crashed", `The worker crashed (${message ?? "no message"}). It has been replaced: the next call works.`)
        : new OodError("engine", `The worker's script could not be loaded. ${WORKER_ADVICE}`);
    this.#terminate();
    const call = this.#inFlight;
    this.#inFlight = undefined;
    call?.reject(error);
    if (call?.request.name === "start") this.#rejectQueue(error);
    else this.#restart();
    this.#postNext();
  }

  /** Puts a start ahead of the queued calls, if there are any. */
  #restart(): void {
    if (this.#queue.length === 0) return;
    const queued = this.#queue;
    this.#queue = [];
    void this.start().catch(() => undefined);
    this.#queue.push(...queued);
  }

  #rejectQueue(error: OodError): void {
    for (const call of this.#queue.splice(0)) call.reject(error);
  }

  #terminate(): void {
    this.#port?.terminate();
    this.#port = undefined;
  }
}

const WORKER_ADVICE =
  "Is it deployed beside the package's other files, on the page's own origin, and allowed by worker-src and Trusted Types? Otherwise pass `worker: () => new Worker(...)`, or `worker: false`.";

function postError(cause: unknown): OodError {
  if (cause instanceof OodError) return cause;
  return (Object(cause) as Error).name === "DataCloneError"
    ? new OodError(
        "image",
        `The image can't be posted to the worker: ${messageOf(cause)} Images from other origins need CORS, and what was transferred or closed is gone.`,
        { cause },
      )
    : new OodError("engine", `The worker could not be started: ${messageOf(cause)} ${WORKER_ADVICE}`, { cause });
}
