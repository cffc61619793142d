// `npm test`: every test there is, natively, in Node, in a browser and in other people's bundlers.
//
//   --release     with the engine that ships instead of the one that compiles faster

import { buildLib, buildSite } from "./build.mjs";
import { nodeTests } from "./lib/node-tests.mjs";
import { Tally } from "./lib/tally.mjs";
import { CommandFailed, ensurePackages, ensureRust, main, run, stage } from "./lib/tools.mjs";

const release = process.argv.includes("--release");
const tally = new Tally();

/** Runs Rust's tests; a failure lets the others run. */
const cargoTests = (name, which) =>
  stage(name, async () => {
    const args = ["test", "--release", ...which, "--", "--show-output"];
    const { output, code } = await run("cargo", args, { capture: true, allowFailure: true });
    tally.addCargo(output, code);
  });

await main(async () => {
  await ensureRust();
  await ensurePackages();
  await cargoTests("cargo test", ["--workspace", "--exclude", "xtask"]);
  // By itself: together, both would be built with each other's features.
  await cargoTests("cargo test, xtask", ["--package", "xtask"]);
  try {
    await buildLib({ release });
    await buildSite();
    await browser();
    await stage("package, in Node", () => nodeTests("js", tally));
    await stage("page, in Chromium", () => nodeTests("browser", tally));
    await stage("consumers", () => nodeTests("consumers", tally));
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    console.error(error.message);
    tally.failed++;
  }
  tally.save("tests");
  tally.print();
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
