// The worker's end of the protocol, in browsers and in Node.

import type { OodError } from "./errors.js";
import { type Arguments, buffersOf, type CallName, type Reply, type Request } from "./protocol.js";
import { Session } from "./session.js";

/** Handles requests one after the other. */
export function serve(listen: (onRequest: (request: Request) => void) => void, post: (reply: Reply, transfer: ArrayBuffer[]) => void): void {
  const session = new Session();
  listen(({ id, name, args }) => {
    void session.run(name, args as Arguments<CallName>).then(
      (value) => post({ id, value }, buffersOf(value)),
      (error: unknown) => {
        const { code, message } = error as OodError;
        post({ id, error: { code, message } }, []);
      },
    );
  });
}
