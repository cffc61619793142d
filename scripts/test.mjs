// `npm test`: every test there is, natively, in Node, in a browser and in other people's bundlers.

import { existsSync, readdirSync } from "node:fs";
import { buildLib, buildSite } from "./build.mjs";
import { at, CommandFailed, ensurePackages, ensureRust, main, run, stage, Tally } from "./lib/tools.mjs";

const tally = new Tally();

/** Runs a stage whose output says how many tests passed; a failure lets the others run. */
const test = (name, command, args) =>
  stage(name, async () => {
    const { output, code } = await run(command, args, { capture: true, allowFailure: true });
    tally.addOutput(output, code);
  });

/** The test files of a folder below tests/. */
const testsIn = (folder) =>
  existsSync(at("tests", folder))
    ? readdirSync(at("tests", folder))
        .filter((name) => name.endsWith(".test.mjs"))
        .map((name) => `tests/${folder}/${name}`)
    : [];

const nodeTests = (name, folder) => {
  const files = testsIn(folder);
  if (files.length === 0) return undefined;
  return test(name, process.execPath, ["--test", "--test-reporter=spec", "--test-concurrency=1", ...files]);
};

await main(async () => {
  await ensureRust();
  await ensurePackages();
  await test("cargo test", "cargo", ["test", "--release", "--workspace", "--exclude", "xtask"]);
  // By itself: together, both would be built with each other's features.
  await test("cargo test, xtask", "cargo", ["test", "--release", "--package", "xtask"]);
  try {
    await buildLib();
    await buildSite();
    await browser();
    await nodeTests("package, in Node", "js");
    await nodeTests("page, in Chromium", "browser");
    await nodeTests("consumers", "consumers");
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    console.error(error.message);
    tally.add(0, 1);
  }
  console.log(`\nTests: ${tally}`);
  tally.save("tests");
  if (tally.failed > 0) process.exitCode = 1;
});

/** The browser tests skip themselves, and are counted as skipped, where there is no Chromium. */
async function browser() {
  const { findChromium, installChromium } = await import("./lib/chromium.mjs");
  if (findChromium()) return;
  await stage("Chromium", async () => {
    if (!installChromium() || !findChromium()) {
      console.log("No Chromium was found and none could be installed: the browser tests are skipped. Install it, or set CHROMIUM_PATH.");
    }
  });
}
