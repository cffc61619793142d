// The package in Node: files come from the file system, workers from node:worker_threads.

import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { load, type Platform } from "./client.js";
import type { Port } from "./link.js";
import type { Reply } from "./protocol.js";
import { hasRelaxedSimd } from "./source.js";
import type { Detector, LoadOptions } from "./types.js";

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
  startWorker: () => new Worker(new URL("./worker-node.js", import.meta.url)),
  open,
  connect: (worker) => connect(worker as Worker),
};

async function open(source: string | URL | Request, signal?: AbortSignal): Promise<Response> {
  if (source instanceof Request) return fetch(source, signal ? { signal } : {});
  // "C:\\model.onnx" would parse as a URL, too.
  const isPath = typeof source === "string" && (/^[a-z]:[\\/]/i.test(source) || !URL.canParse(source));
  const url = isPath ? undefined : new URL(source);
  if (url && url.protocol !== "file:") return fetch(url, signal ? { signal } : {});
  return new Response(await readFile(url ?? source, { signal }));
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
