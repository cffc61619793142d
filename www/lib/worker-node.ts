// The worker script for Node.

import { parentPort } from "node:worker_threads";
import { readBeside } from "./beside-node.js";
import { serve } from "./serve.js";

serve(
  (onRequest) => parentPort?.on("message", onRequest),
  (reply, transfer) => parentPort?.postMessage(reply, transfer),
  readBeside,
);
