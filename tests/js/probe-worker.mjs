// The package's worker, with a way to ask for the size of its engine's memory.

import { BroadcastChannel, parentPort } from "node:worker_threads";
import { initSync } from "../../dist/engine.js";
import "../../dist/worker-node.js";

const channel = new BroadcastChannel("itp-ood memory");
channel.unref();
parentPort.on("message", ({ name, args }) => {
  if (name === "idScores" && args[0] === "memory") channel.postMessage(initSync().memory.buffer.byteLength);
});
