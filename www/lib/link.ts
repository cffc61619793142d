// How a detector reaches its session: through a worker, or directly.

import { abortedError, throwIfAborted, withAbort } from "./abort.js";
import { OodError } from "./errors.js";
import type { Answer, Arguments, CallName, Reply, Request, Start } from "./protocol.js";
import type { Session } from "./session.js";
import type { DetectorInfo } from "./types.js";

/** A way to a session. */
export interface Link {
  start(signal?: AbortSignal): Promise<DetectorInfo>;
  call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Answer<Name>>;
  dispose(): void;
}

/** A worker of the platform. */
export interface Port {
  post(request: Request, transfer: Transferable[]): void;
  /** `onFailure` gets the message of an error that no request answers for, if there is one. */
  listen(onReply: (reply: Reply) => void, onFailure: (message: string | undefined) => void): void;
  /** Whether work is under way: only then a worker keeps a Node process alive. */
  hold(busy: boolean): void;
  terminate(): void;
}

const DISPOSED = "The detector was disposed of.";

interface Job {
  request: Request;
  signal: AbortSignal | undefined;
  resolve(value: unknown): void;
  reject(error: OodError): void;
}

/**
 * A session in a worker. Requests are posted one by one, so that one that is aborted while it waits
 * costs nothing. A crash fails the request under way; the next one starts a new worker.
 */
export class WorkerLink implements Link {
  readonly #open: () => Port;
  readonly #start: Start;
  #port: Port | undefined;
  #answered = false;
  #queue: Job[] = [];
  #current: Job | undefined;
  #nextId = 0;
  #disposed = false;

  constructor(open: () => Port, start: Start) {
    this.#open = open;
    this.#start = start;
  }

  start(signal?: AbortSignal): Promise<DetectorInfo> {
    return this.#enqueue("start", [this.#start], signal) as Promise<DetectorInfo>;
  }

  async call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Answer<Name>> {
    if (!this.#port && !this.#disposed) void this.start().catch(() => undefined);
    return (await this.#enqueue(name, args, signal)) as Answer<Name>;
  }

  dispose(): void {
    this.#disposed = true;
    this.#drop();
    const waiting = this.#current ? [this.#current, ...this.#queue] : this.#queue;
    this.#current = undefined;
    this.#queue = [];
    for (const job of waiting) job.reject(new OodError("disposed", DISPOSED));
  }

  async #enqueue(name: CallName, args: unknown[], signal: AbortSignal | undefined): Promise<unknown> {
    throwIfAborted(signal);
    if (this.#disposed) throw new OodError("disposed", DISPOSED);
    let leave: (() => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const job: Job = { request: { id: this.#nextId++, name, args }, signal, resolve, reject };
        leave = () => {
          this.#queue = this.#queue.filter((other) => other !== job);
          if (signal) reject(abortedError(signal));
        };
        signal?.addEventListener("abort", leave);
        this.#queue.push(job);
        this.#next();
      });
    } finally {
      if (leave) signal?.removeEventListener("abort", leave);
    }
  }

  #next(): void {
    if (this.#current) return;
    this.#current = this.#queue.shift();
    const job = this.#current;
    if (!job) {
      this.#port?.hold(false);
      return;
    }
    try {
      const port = this.#connect();
      port.hold(true);
      port.post(job.request, transferablesOf(job.request.args));
    } catch (cause) {
      this.#current = undefined;
      const error = postError(cause);
      job.reject(error);
      if (job.request.name === "start") this.#rejectWaiting(error);
      this.#next();
    }
  }

  #connect(): Port {
    if (this.#port) return this.#port;
    const port = this.#open();
    port.listen(
      (reply) => this.#receive(reply),
      (message) => {
        if (port === this.#port) this.#fail(message);
      },
    );
    this.#answered = false;
    return (this.#port = port);
  }

  #receive(reply: Reply): void {
    const job = this.#current;
    if (job?.request.id !== reply.id) return;
    this.#answered = true;
    this.#current = undefined;
    if (!("error" in reply)) {
      job.resolve(reply.value);
    } else {
      // A session that did not start has nothing to go on with, nor has one that crashed.
      if (reply.error.code === "crashed" || job.request.name === "start") this.#drop();
      const error = new OodError(reply.error.code, reply.error.message);
      job.reject(error);
      if (job.request.name === "start") this.#rejectWaiting(error);
      else if (!this.#port) this.#restart();
    }
    this.#next();
  }

  #fail(message: string | undefined): void {
    const error = this.#answered || message !== undefined
      ? new OodError("crashed", `The worker crashed (${message ?? "no message"}). It is replaced: the next call works.`)
      : new OodError(
          "engine",
          "The worker's script could not be started. Is it deployed beside the package's other files, from the page's own origin, and allowed by worker-src? Otherwise pass `worker: () => new Worker(...)`, or `worker: false`.",
        );
    this.#drop();
    const job = this.#current;
    this.#current = undefined;
    job?.reject(error);
    if (job?.request.name === "start") this.#rejectWaiting(error);
    else this.#restart();
    this.#next();
  }

  /** Puts a start before the calls that wait, if there are any. */
  #restart(): void {
    if (this.#queue.length === 0) return;
    const waiting = this.#queue;
    this.#queue = [];
    void this.start().catch(() => undefined);
    this.#queue.push(...waiting);
  }

  #rejectWaiting(error: OodError): void {
    for (const job of this.#queue.splice(0)) job.reject(error);
  }

  #drop(): void {
    this.#port?.terminate();
    this.#port = undefined;
  }
}

/** A session on this thread. */
export class LocalLink implements Link {
  readonly #start: Start;
  #session: Session | undefined;
  #disposed = false;

  constructor(start: Start) {
    this.#start = start;
  }

  async start(signal?: AbortSignal): Promise<DetectorInfo> {
    const { Session } = await import("./session.js");
    const session = (this.#session ??= new Session());
    const info = await withAbort(session.run("start", [this.#start]), signal);
    this.#check();
    return info;
  }

  async call<Name extends CallName>(name: Name, args: Arguments<Name>, signal?: AbortSignal): Promise<Answer<Name>> {
    throwIfAborted(signal);
    this.#check();
    if (this.#session?.lost) await this.start();
    const answer = await withAbort(this.#session?.run(name, args) as Promise<Answer<Name>>, signal);
    this.#check();
    return answer;
  }

  dispose(): void {
    this.#disposed = true;
    this.#session?.dispose();
  }

  #check(): void {
    if (!this.#disposed) return;
    this.#session?.dispose();
    throw new OodError("disposed", DISPOSED);
  }
}

/** Bitmaps that were made for the call are moved; a caller's own image is copied. */
function transferablesOf(args: unknown[]): Transferable[] {
  return args.filter((arg): arg is ImageBitmap => owned.delete(arg as ImageBitmap));
}

const owned = new WeakSet<ImageBitmap>();

/** Marks a bitmap as made by the package. */
export function own(bitmap: ImageBitmap): ImageBitmap {
  owned.add(bitmap);
  return bitmap;
}

function postError(cause: unknown): OodError {
  if (cause instanceof OodError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return cause instanceof DOMException && cause.name === "DataCloneError"
    ? new OodError("image", `The image can't be handed to the worker: ${message} Pictures of other origins need CORS.`, { cause })
    : new OodError("engine", `The worker could not be started: ${message} Pass \`worker: () => new Worker(...)\`, or \`worker: false\`.`, { cause });
}
