// Consumers of the package: a folder with the installed package, the model, and an app.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadDetector } from "itp-ood";
import { launchBrowser, watchErrors } from "../../scripts/lib/browser.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at, run } from "../../scripts/lib/tools.mjs";
import { makeStats, model, testImage, toPng } from "../js/support.mjs";

const quiet = ["--loglevel=error", "--no-audit", "--no-fund"];

// Inside the repository, so that the bundlers of its node_modules are found; the package is not
// there, only in the consumer's own node_modules.
const place = at("target/consumers");

/** The image of every consumer, as pixels. */
export const image = testImage(5, 30, 26);

let packed;

/** Packs the package, installs it, and makes the files that every consumer serves, once. */
async function prepare() {
  rmSync(place, { recursive: true, force: true });
  const files = join(place, "files");
  mkdirSync(files, { recursive: true });
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", place, ...quiet], { capture: true });
  const stats = await makeStats(loadDetector);
  writeFileSync(join(files, "model.onnx"), model());
  writeFileSync(join(files, "model.itp.safetensors"), stats);
  writeFileSync(join(files, "image.png"), toPng(image));
  const detector = await loadDetector({ model: model(), stats });
  const result = await detector.detect(image);
  detector.dispose();
  const installed = join(place, "installed");
  mkdirSync(installed);
  writeFileSync(join(installed, "package.json"), "{}");
  const tarball = join(
    place,
    readdirSync(place).find((name) => name.endsWith(".tgz")),
  );
  await run("npm", ["install", tarball, "--offline", "--no-package-lock", ...quiet], { cwd: installed, capture: true });
  return { files, modules: join(installed, "node_modules"), result, tarball };
}

/**
 * A new consumer.
 * @param {string} name
 * @param {object} [options]
 * @param {Record<string, string>} [options.files] text by name
 * @param {object} [options.manifest] more of its package.json
 */
export async function consumer(name, { files = {}, manifest = {} } = {}) {
  packed ??= prepare();
  const { modules, files: shared, result, tarball } = await packed;
  const directory = join(place, name);
  mkdirSync(directory, { recursive: true });
  const text = { "package.json": JSON.stringify({ name, private: true, type: "module", ...manifest }), ...files };
  for (const [file, content] of Object.entries(text)) {
    mkdirSync(join(directory, file, ".."), { recursive: true });
    writeFileSync(join(directory, file), content);
  }
  cpSync(modules, join(directory, "node_modules"), { recursive: true });
  return { directory, tarball, expected: result, addFiles: (to) => cpSync(shared, to, { recursive: true }) };
}

/** A file of the app that every consumer shares. */
export const app = (file) => readFileSync(at("tests/consumers/app", file), "utf8");

/** The app's page with its script's address filled in. */
export const html = (script) => app("index.html").replace("SCRIPT", script);

/** Whether a folder holds both engines, each of them once: bundlers may add a hash to their names. */
export function assertBothEngines(directory) {
  const names = readdirSync(directory, { recursive: true }).filter((name) => name.endsWith(".wasm"));
  const sizes = names.map((name) => statSync(join(directory, name)).size);
  assert.equal(names.length, 2, String(names));
  assert.notEqual(sizes[0], sizes[1], "they are two different files");
}

/** Opens an address in Chromium and returns the app's verdict; errors on the console fail, but for expected ones. */
export async function verdictAt(url, { inPage, expectedErrors } = {}) {
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const errors = watchErrors(page);
    await page.goto(url);
    await page
      .waitForFunction(() => globalThis.verdict, undefined, { timeout: 60_000 })
      .catch((error) => {
        throw new Error(`no verdict: ${error.message}\n${errors.join("\n")}`);
      });
    const verdict = await page.evaluate(() => globalThis.verdict);
    await inPage?.(page);
    assert.deepEqual(
      errors.filter((error) => !expectedErrors?.test(error)),
      [],
    );
    return verdict;
  } finally {
    await browser.close();
  }
}

/** The verdict of a folder that is served as it is, on any path. */
export async function verdictOf(directory, { headers, base = "/some/path/", inPage, expectedErrors } = {}) {
  const server = await startServer({ directory, base, headers });
  try {
    return await verdictAt(server.url, { inPage: (page) => inPage?.(page, server), expectedErrors });
  } finally {
    await server.close();
  }
}

/** The browser decodes and computes what Node computed from the same pixels. */
export function assertVerdict(verdict, expected) {
  assert.equal(verdict.error, undefined);
  assert.equal(verdict.label, expected.label);
  assert.equal(verdict.inDistribution, expected.inDistribution);
  assert.ok(Math.abs(verdict.score - expected.score) <= 1e-4 * Math.abs(expected.score), `${verdict.score}, not ${expected.score}`);
  assert.equal(verdict.reasons, expected.features.length);
  assert.equal(verdict.rescored, 20);
}
