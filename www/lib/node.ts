// The package in Node: files from the file system, workers of node:worker_threads.

import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { load, type Platform } from "./client.js";
import type { Port } from "./link.js";
import type { Reply } from "./protocol.js";
import { hasRelaxedSimd } from "./source.js";
import type { Detector, LoadOptions } from "./types.js";

export { OodError, type OodErrorCode } from "./errors.js";
export * from "./types.js";

/** As in browsers; a string that is no address is a path. */
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

async function open(address: string | URL | Request, signal?: AbortSignal): Promise<Response> {
  if (address instanceof Request) return fetch(address, signal ? { signal } : {});
  // "C:\\model.onnx" would parse as an address, too.
  const isPath = typeof address === "string" && (/^[a-z]:[\\/]/i.test(address) || !URL.canParse(address));
  const url = isPath ? undefined : new URL(address);
  if (url && url.protocol !== "file:") return fetch(url, signal ? { signal } : {});
  return new Response(await readFile(url ?? address, { signal }));
}

function connect(worker: Worker): Port {
  return {
    post: (request, transfer) => worker.postMessage(request, transfer as never[]),
    listen: (onReply, onFailure) => {
      worker.on("message", (reply: Reply) => onReply(reply));
      worker.on("error", (error) => onFailure(error.message));
      worker.on("exit", () => onFailure("it ended"));
    },
    hold: (busy) => (busy ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}
