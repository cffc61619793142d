// `npm test`: every test there is, natively, in Node, in browsers and in other people's bundlers.
//
//   --release                                 with the engine that ships instead of the one that compiles faster
//   rust, js, browser, engines, consumers, python     only these parts

import { parseArgs } from "node:util";
import { buildLib, buildSite } from "./build.mjs";
import { nodeTests } from "./lib/node-tests.mjs";
import { Tally } from "./lib/tally.mjs";
import { environment, findPython, installWheel, pytest } from "./lib/python.mjs";
import { CommandFailed, ensurePackages, ensureRust, main, run, stage } from "./lib/tools.mjs";

const PARTS = ["rust", "js", "browser", "engines", "consumers", "python"];
const ALL_BUT_XTASK = ["--workspace", "--exclude", "xtask"];
const tally = new Tally();

/** Runs Rust's tests; a failure lets the others run. */
const cargoTests = (name, which) =>
  stage(name, async () => {
    const args = ["test", "--release", ...which, "--", "--show-output"];
    const { output, code } = await run("cargo", args, { capture: true, allowFailure: true });
    tally.addCargo(output, code);
  });

await main(async () => {
  const { values, positionals: parts } = parseArgs({ allowPositionals: true, options: { release: { type: "boolean" } } });
  const unknown = parts.find((part) => !PARTS.includes(part));
  if (unknown) throw new CommandFailed(`there is no part ${unknown} of the tests, only ${PARTS.join(", ")}`);
  const wanted = (...some) => parts.length === 0 || some.some((part) => parts.includes(part));

  await ensureRust();
  await ensurePackages();
  const needsLib = wanted("js", "browser", "engines", "consumers");
  if (wanted("rust") && needsLib)
    await stage("cargo test, compiling", () => run("cargo", ["test", "--release", "--no-run", ...ALL_BUT_XTASK], { allowFailure: true }));
  // Beside Rust's tests: most of an engine's build is one long link on one core.
  const lib = needsLib ? buildLib({ release: values.release }) : undefined;
  lib?.catch(() => {});
  if (wanted("rust")) {
    await cargoTests("cargo test", ALL_BUT_XTASK);
    // By itself: together, both would be built with each other's features.
    await cargoTests("cargo test, xtask", ["--package", "xtask"]);
  }
  // Beside the others: Ray mostly waits.
  const python = wanted("python") ? pythonTests() : undefined;
  try {
    await lib;
    if (wanted("browser", "engines", "consumers")) {
      await buildSite();
      await ensureBrowsers(wanted("engines"));
    }
    if (wanted("js")) await stage("package, in Node", () => nodeTests("js", tally, { concurrency: 2 }));
    if (wanted("browser")) await stage("page, in a browser", () => nodeTests("browser", tally, { concurrency: 2, again: true }));
    if (wanted("engines"))
      await stage("package and page, in Chromium, Firefox and WebKit", () => nodeTests("engines", tally, { concurrency: 2, again: true }));
    if (wanted("consumers")) await stage("consumers", () => nodeTests("consumers", tally, { again: true }));
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    console.error(error.message);
    tally.fail(error.message);
  }
  if (python) await stage("Python package (what it printed beside the others)", async () => console.log(await python));
  tally.save("tests");
  tally.print();
  if (tally.failed > 0) process.exitCode = 1;
});

/** The Python package, where there is a Python; gives what is to be printed. */
async function pythonTests() {
  const python = findPython();
  if (!python) {
    tally.skipped.push("Python package: there is no Python 3.10 or newer with venv (ITP_PYTHON may name one)");
    return "";
  }
  try {
    const own = await environment(python);
    if (!own) {
      tally.skipped.push("Python package: pytest and its like can't be installed; see whether pip can reach the Python registry");
      return "";
    }
    await installWheel(own);
    return await pytest(own, tally);
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    tally.fail("Python package");
    return error.message;
  }
}

/** Tests skip themselves, and are counted and named as skipped, where their browser is missing and can't be installed. */
async function ensureBrowsers(all) {
  const { ENGINES, installBrowsers, kind, whyNot } = await import("./lib/browser.mjs");
  const names = all ? ENGINES : [kind];
  if (names.some(whyNot)) await stage("browsers", () => installBrowsers(names));
}
