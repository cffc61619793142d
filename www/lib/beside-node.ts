// Files beside a model, in Node.

import { readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** The engine asks only for names that don't lead out of the folder. */
export function readBeside(path: string, name: string): Uint8Array | undefined {
  const file = join(dirname(path), name);
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? new Uint8Array(readFileSync(file)) : undefined;
}
