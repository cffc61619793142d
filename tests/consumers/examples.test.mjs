// The examples, run as a reader would, with the packed package and our own models.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { launchBrowser, noBrowser, watchErrors } from "../../scripts/lib/browser.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at, run } from "../../scripts/lib/tools.mjs";
import { consumer } from "./support.mjs";

const models = (file) => at("www/models", file);
const gallery = JSON.parse(readFileSync(models("gallery/gallery.json"), "utf8"));
/** Images that no decoder's rounding moves across the threshold, in and out of distribution. */
const IMAGES = ["digit-3.png", "house.png"];

const example = (name, files) =>
  consumer(`example-${name}`, { files: Object.fromEntries(files.map((file) => [file, readFileSync(at("examples", name, file), "utf8")])) });

/** The example's words on an image of the gallery. */
function assertWords(words, file) {
  const { expected } = gallery.find((entry) => entry.file === file);
  const [, label, verdict, score] = /(\S+), (in|out-of)-distribution \(score (\S+), threshold \S+\)$/.exec(words) ?? assert.fail(words);
  assert.equal(label, expected.label, words);
  assert.equal(verdict === "in", expected.inDistribution, words);
  assert.ok(Math.abs(score - expected.score) <= 0.01, `${words}, not ${expected.score}`);
}

test("examples/node: images by their paths; wrong use and wrong files are said", async () => {
  const { directory } = await example("node", ["package.json", "classify.mjs"]);
  const classify = (...args) => run(process.execPath, ["classify.mjs", ...args], { cwd: directory, capture: true, allowFailure: true });
  const [model, stats] = [models("digits.onnx"), models("digits.itp.safetensors")];
  const { output, code } = await classify(model, stats, ...IMAGES.map((file) => models(`gallery/${file}`)));
  assert.equal(code, 0, output);
  output
    .trim()
    .split("\n")
    .forEach((line, i) => assertWords(line, IMAGES[i]));

  assert.deepEqual(await classify(), { output: "usage: node classify.mjs MODEL.onnx MODEL.itp.safetensors IMAGE...\n", code: 2 });
  const wrong = await classify(models("photos.onnx"), stats, models("gallery/kitten.webp"));
  assert.equal(wrong.code, 1);
  assert.match(wrong.output, /^mismatch: /);
});

test("examples/browser: a model, its stats file and images by hand", { skip: noBrowser }, async () => {
  const { directory } = await example("browser", ["index.html", "app.js"]);
  const server = await startServer({ directory });
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const errors = watchErrors(page);
    await page.goto(server.url);
    const says = async (pattern) => {
      await page.waitForFunction((source) => new RegExp(source).test(document.querySelector("output").textContent), pattern.source);
      return page.locator("output").textContent();
    };
    await page.setInputFiles("#model", models("digits.onnx"));
    await page.setInputFiles("#stats", models("digits.itp.safetensors"));
    for (const [file, verdict] of [
      [IMAGES[0], /, in-/],
      [IMAGES[1], /, out-of-/],
    ]) {
      await page.setInputFiles("#image", models(`gallery/${file}`));
      assertWords(await says(verdict), file);
    }
    await page.setInputFiles("#model", models("photos.onnx"));
    await says(/^mismatch: /);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await server.close();
  }
});
