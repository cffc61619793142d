// One detector, many ways to run it: the native command, Node, every browser engine. The same images
// must get the same scores.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadDetector } from "itp-ood";
import { ENGINES, launchBrowser, whyNot } from "../../scripts/lib/browser.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { testImage, toPng } from "./support.mjs";

const itp = at("target/release/itp");
const [model, stats] = ["www/models/photos.onnx", "www/models/photos.itp.safetensors"];

/** A hundred images of many sizes: enlarged, reduced, cropped, grey, with alpha. */
const images = Array.from({ length: 100 }, (_, i) => testImage(i, 16 + ((i * 13) % 150), 16 + ((i * 29) % 110), [3, 3, 4, 1][i % 4]));
const folder = mkdtempSync(join(tmpdir(), "itp-same-"));
const files = images.map((image, i) => {
  const file = join(folder, `${String(i).padStart(3, "0")}.png`);
  writeFileSync(file, toPng(image));
  return file;
});

let native;

before(() => {
  const { status, stdout, stderr } = spawnSync(itp, ["score", at(model), at(stats), ...files, "--json"], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  assert.equal(status, 0, stderr);
  native = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(native.length, images.length);
});

after(() => rmSync(folder, { recursive: true }));

/** Scores within 1e-4, relative; the same class; the same verdict unless the score is on the edge. */
function compare(found) {
  assert.equal(found.length, native.length);
  found.forEach(({ score, label, inDistribution }, i) => {
    const expected = native[i];
    const tolerance = 1e-4 * Math.max(1, Math.abs(expected.score));
    assert.ok(Math.abs(score - expected.score) <= tolerance, `image ${i}: ${score} is not ${expected.score}`);
    if (Math.abs(score - expected.threshold) > tolerance) assert.equal(inDistribution, expected.inDistribution);
    if (expected.topK[0].probability - expected.topK[1].probability > 1e-3) assert.equal(label, expected.label);
  });
}

test("Node gives the native scores", { skip: !existsSync(itp) && "the native command is not built" }, async () => {
  const detector = await loadDetector({ model: at(model), stats: at(stats) });
  try {
    const found = [];
    for (const image of images) found.push(await detector.detect(image));
    compare(found);
  } finally {
    detector.dispose();
  }
});

for (const engine of ENGINES) {
  test(`${engine} gives the native scores, from files that it decodes itself`, { skip: whyNot(engine) }, async () => {
    const server = await startServer({ directory: at(".") });
    const browser = await launchBrowser({}, engine);
    try {
      const page = await browser.newPage();
      await page.goto(`${server.url}tests/engines/empty.html`);
      const found = await page.evaluate(
        async ({ base, model, stats, files }) => {
          const { loadDetector } = await import(`${base}dist/index.js`);
          const detector = await loadDetector({ model: base + model, stats: base + stats });
          const results = [];
          for (const file of files) {
            const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0));
            const { score, label, inDistribution } = await detector.detect(new Blob([bytes], { type: "image/png" }));
            results.push({ score, label, inDistribution });
          }
          detector.dispose();
          return results;
        },
        { base: server.url, model, stats, files: files.map((file) => readFileSync(file, "base64")) },
      );
      compare(found);
    } finally {
      await browser.close();
      await server.close();
    }
  });
}
