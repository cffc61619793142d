/**
 * The package's module worker. The package starts it by itself; with bundlers that can't follow
 * `new Worker(new URL(...))`, build it as a separate entry.
 *
 * @module
 */

import type { Request } from "./protocol.js";
import { serve } from "./serve.js";

const scope = globalThis as unknown as {
  onmessage: (event: { data: Request }) => void;
  postMessage(message: unknown, transfer: Transferable[]): void;
};

serve(
  (onRequest) => (scope.onmessage = ({ data }) => onRequest(data)),
  (reply, transfer) => scope.postMessage(reply, transfer),
);
