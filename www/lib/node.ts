// The package in Node: files come from the file system, workers from node:worker_threads.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { readBeside } from "./beside-node.js";
import { tagOf } from "./check.js";
import { load, type Platform } from "./client.js";
import type { Port } from "./link.js";
import type { Reply } from "./protocol.js";
import { hasRelaxedSimd } from "./source.js";
import type { Detector, LoadOptions, Source } from "./types.js";

export { OodError, type OodErrorCode } from "./errors.js";
export * from "./types.js";

/** As in browsers; a string that is not a URL is a path. */
export function loadDetector(options: LoadOptions): Promise<Detector> {
  return load(options, platform);
}

const platform: Platform = {
  get engine() {
    return new URL(hasRelaxedSimd() ? "./engine-relaxed.wasm" : "./engine.wasm", import.meta.url);
  },
  pathOf,
  readBeside,
  startWorker: () => new Worker(new URL("./worker-node.js", import.meta.url)),
  open,
  connect: (worker) => connect(worker as Worker),
};

async function open(source: string | URL | Request, signal?: AbortSignal): Promise<Response> {
  if (isRequest(source)) return fetch(source, signal ? { signal } : {});
  if (isPath(source)) return new Response(await readFile(source, { signal }));
  const url = new URL(source);
  if (url.protocol !== "file:") return fetch(url, signal ? { signal } : {});
  return new Response(await readFile(url, { signal }));
}

/** By its tag, since a request may come from another realm. */
function isRequest(source: unknown): source is Request {
  return tagOf(source) === "Request";
}

/** "C:\\model.onnx" would parse as a URL, too. */
function isPath(source: unknown): source is string {
  return typeof source === "string" && (/^[a-z]:[\\/]/i.test(source) || !URL.canParse(source));
}

function pathOf(model: Source): string | undefined {
  if (isPath(model)) return model;
  const url = typeof model === "string" || model instanceof URL ? new URL(model) : undefined;
  return url?.protocol === "file:" ? fileURLToPath(url) : undefined;
}

function connect(worker: Worker): Port {
  return {
    post: (request, transfer) => worker.postMessage(request, transfer as never[]),
    listen: (onReply, onFailure) => {
      worker.on("message", (reply: Reply) => onReply(reply));
      worker.on("error", (error) => onFailure(error.message));
      worker.on("exit", () => onFailure("it exited"));
    },
    setBusy: (busy) => (busy ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}
