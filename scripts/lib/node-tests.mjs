// Runs a folder of tests by node:test: its report in the terminal, a JUnit file in target/reports.

import { createWriteStream, mkdirSync, readdirSync } from "node:fs";
import { run } from "node:test";
import { junit, spec } from "node:test/reporters";
import { finished } from "node:stream/promises";
import { isSuite, named } from "./tally.mjs";
import { at } from "./tools.mjs";

/**
 * Runs tests/FOLDER/*.test.mjs, `concurrency` files at a time, and adds their results to the tally.
 * With `again`, files with failures run once more by themselves: browsers lose connections and patience on a
 * machine that does much else. A test that passes then counts as passed, and is named as unsteady with what
 * it said first.
 */
export async function nodeTests(folder, tally, { concurrency = 1, again = false } = {}) {
  const files = readdirSync(at("tests", folder))
    .filter((name) => name.endsWith(".test.mjs"))
    .sort()
    .map((name) => at("tests", folder, name));
  const first = await eventsOf(files, concurrency, folder);
  const failed = first.filter(({ passed, event }) => !passed && !isSuite(event));
  const retried = again ? [...new Set(failed.map(({ event }) => event.file))].filter((file) => files.includes(file)) : [];
  for (const { passed, event } of first) if (!retried.includes(event.file)) tally.addEvent(passed, event);
  if (retried.length === 0) return;
  const second = await eventsOf(retried, 1, `${folder}-again`);
  for (const { passed, event } of second) tally.addEvent(passed, event);
  for (const { event } of failed) {
    const hasPassed = second.some(({ passed, event: { file, name } }) => passed && file === event.file && name === event.name);
    if (hasPassed) tally.unsteady.push(named(event));
  }
}

/** Every result of these files, in order. */
async function eventsOf(files, concurrency, report) {
  const results = [];
  const events = run({ files, concurrency });
  events.on("test:pass", (event) => results.push({ passed: true, event }));
  events.on("test:fail", (event) => results.push({ passed: false, event }));
  events.compose(new spec()).pipe(process.stdout);
  mkdirSync(at("target/reports"), { recursive: true });
  await finished(events.compose(junit).pipe(createWriteStream(at("target/reports", `${report}.xml`))));
  return results;
}
