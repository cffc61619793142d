// The worker's end of the protocol, in browsers and in Node.

import { toPlainError } from "./errors.js";
import { buffersOf, type ReadBeside, type Reply, type Request } from "./protocol.js";
import { Session } from "./session.js";

/** Handles requests one after the other. */
export function serve(
  listen: (onRequest: (request: Request) => void) => void,
  post: (reply: Reply, transfer: ArrayBuffer[]) => void,
  readBeside?: ReadBeside,
): void {
  const session = new Session(() => true, readBeside);
  listen(({ id, name, args }) => {
    void session.run(name, args).then(
      (value) => post({ id, value }, buffersOf(value)),
      (error: unknown) => post({ id, error: toPlainError(error) }, []),
    );
  });
}
