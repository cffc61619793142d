// Runs a folder of tests by node:test: its report in the terminal, a JUnit file in target/reports.

import { createWriteStream, mkdirSync, readdirSync } from "node:fs";
import { run } from "node:test";
import { junit, spec } from "node:test/reporters";
import { finished } from "node:stream/promises";
import { at } from "./tools.mjs";

/** Runs tests/FOLDER/*.test.mjs, `concurrency` files at a time, and adds their results to the tally. */
export async function nodeTests(folder, tally, { concurrency = 1 } = {}) {
  const files = readdirSync(at("tests", folder))
    .filter((name) => name.endsWith(".test.mjs"))
    .sort()
    .map((name) => at("tests", folder, name));
  const events = run({ files, concurrency });
  events.on("test:pass", (event) => tally.addEvent(true, event));
  events.on("test:fail", (event) => tally.addEvent(false, event));
  events.compose(new spec()).pipe(process.stdout);
  mkdirSync(at("target/reports"), { recursive: true });
  await finished(events.compose(junit).pipe(createWriteStream(at("target/reports", `${folder}.xml`))));
}
