// Prints the sum of what `npm test` and `npm run check` counted. A part that left no count failed.

import { readFileSync } from "node:fs";
import { at, Tally } from "./tools.mjs";

const total = new Tally();
for (const name of ["tests", "checks"]) {
  try {
    const { passed, failed, skipped } = JSON.parse(readFileSync(at("target", `${name}.json`), "utf8"));
    total.add(passed, failed, skipped);
  } catch {
    total.add(0, 1);
  }
}
console.log(`${total}`);
