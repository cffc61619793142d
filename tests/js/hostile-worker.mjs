// A worker that can be made to crash in the ways that real ones do.

import { parentPort } from "node:worker_threads";
import { initSync } from "../../dist/engine.js";
import "../../dist/worker-node.js";

parentPort.on("message", ({ name, args }) => {
  if (name !== "idScores") return;
  if (args[0] === "throw") throw new Error("hostile");
  if (args[0] === "exit") process.exit(1);
  // Overwrites the engine's memory, after which it traps.
  if (args[0] === "trap") new Uint8Array(initSync().memory.buffer).fill(255);
});
