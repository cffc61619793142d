/**
 * Out-of-distribution detection for image classifiers by Instance-Aware Test Pruning (ITP).
 *
 * ```ts
 * import { loadDetector } from "itp-ood";
 *
 * const detector = await loadDetector({ model: "/model.onnx", stats: "/model.itp.safetensors" });
 * const result = await detector.detect(file);
 * console.log(result.label, result.inDistribution, result.score, result.threshold);
 * detector.dispose();
 * ```
 *
 * @module
 */

import { load, type Platform } from "./client.js";
import type { Port } from "./link.js";
import type { Reply } from "./protocol.js";
import { hasRelaxedSimd } from "./source.js";
import type { Detector, LoadOptions } from "./types.js";

export { OodError, type OodErrorCode } from "./errors.js";
export * from "./types.js";

/**
 * Loads the engine (once per page), a model and its stats file.
 *
 * @throws {@link OodError} with the codes `fetch`, `engine`, `model`, `stats`, `mismatch`, `aborted`, `crashed`.
 */
export function loadDetector(options: LoadOptions): Promise<Detector> {
  return load(options, platform);
}

const platform: Platform = {
  // Bundlers recognise exactly these forms.
  get engine() {
    return hasRelaxedSimd() ? new URL("./engine-relaxed.wasm", import.meta.url) : new URL("./engine.wasm", import.meta.url);
  },
  startWorker: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "itp-ood" }),
  open: (url, signal) => fetch(url, signal ? { signal } : {}),
  connect: (worker) => connect(worker as Worker),
};

function connect(worker: Worker): Port {
  return {
    post: (request, transfer) => worker.postMessage(request, transfer),
    listen: (onReply, onFailure) => {
      worker.onmessage = ({ data }: MessageEvent<Reply>) => onReply(data);
      worker.onerror = (event) => {
        event.preventDefault();
        onFailure(event.message);
      };
      worker.onmessageerror = () => onFailure("a message could not be read");
    },
    setBusy: () => undefined,
    terminate: () => worker.terminate(),
  };
}
