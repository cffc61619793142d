// Try: the page says of every gallery picture what the command line said of it when the
// gallery was made.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { listen, onPage, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const TOLERANCE = 1e-3;
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));
const itp = at("target/release/itp");

/** The page's verdicts on a model's pictures. */
async function verdictsOf(page, model, pictures) {
  // A model's pictures stand together, in the order of the list.
  const thumbs = page.locator(
    `#gallery section[aria-label$=" ${await page.locator(`#model option[value="${model}"]`).textContent()}"] .thumb`,
  );
  assert.equal(await thumbs.count(), pictures.length);
  const found = [];
  for (const [i, { title, truth }] of pictures.entries()) {
    await page.evaluate(() => (globalThis.answers.length = 0));
    await thumbs.nth(i).evaluate((thumb) => thumb.click());
    await page.waitForFunction(() => globalThis.answers.length > 0);
    const shown = await verdict(page, title);
    const [{ label, inDistribution, score, threshold }] = await page.evaluate(() => globalThis.answers);
    assert.equal(shown.answer, label);
    assert.equal(shown.kind === "in", inDistribution);
    assert.ok(Math.abs(shown.score - score) <= 0.0051, `${title}: ${shown.score} is shown, not ${score}`);
    assert.equal(/mistake/.test(shown.advice), (truth !== null) !== inDistribution, `${title}: ${shown.advice}`);
    found.push({ label, inDistribution, score, threshold });
  }
  return found;
}

/** The scores that the list has, or else those of the native command, if it is built. */
function scoresOf(model, pictures) {
  const listed = pictures.map(({ expected }) => expected.score);
  if (!listed.includes(undefined)) return listed;
  if (!existsSync(itp)) return undefined;
  const files = pictures.map(({ file }) => at("www/models/gallery", file));
  const { status, stdout, stderr } = spawnSync(
    itp,
    ["score", at(`www/models/${model}.onnx`), at(`www/models/${model}.itp.safetensors`), ...files, "--json"],
    { encoding: "utf8", maxBuffer: 1 << 26 },
  );
  assert.equal(status, 0, stderr);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).score);
}

for (const model of new Set(gallery.map((picture) => picture.model))) {
  const pictures = gallery.filter((picture) => picture.model === model);
  test(`the gallery of ${model}: verdict, class and score as expected`, { skip }, async (t) => {
    await onPage(up, { prepare: listen }, async (page) => {
      await verdict(page);
      const found = await verdictsOf(page, model, pictures);
      const scores = scoresOf(model, pictures);
      const wrong = pictures.flatMap(({ file, expected }, i) => {
        const { label, inDistribution, score, threshold } = found[i];
        const wanted = scores?.[i] ?? score;
        const asExpected =
          label === expected.label &&
          Math.abs(score - wanted) <= TOLERANCE &&
          // On the very edge, the verdict may fall to either side.
          (inDistribution === expected.inDistribution || Math.abs(wanted - threshold) <= TOLERANCE);
        return asExpected ? [] : [{ file, expected: { ...expected, score: wanted }, found: found[i] }];
      });
      assert.deepEqual(wrong, []);
      if (scores)
        t.diagnostic(
          `${pictures.length} pictures; the scores differ by ${Math.max(...scores.map((score, i) => Math.abs(score - found[i].score))).toExponential(1)} at most`,
        );
      await t.test("the scores", { skip: scores ? false : "gallery.json has none, and the native command is not built" }, () => undefined);
    });
  });
}
