// The package takes the engine with relaxed SIMD where it runs, and both engines say the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { listen, onPage, setUp, skip, verdict } from "./support.mjs";

const up = setUp();

/** Which engines a page asks for, and its first answer. */
async function firstAnswer(prepare = () => undefined) {
  const engines = [];
  let answer;
  const begin = async (page) => {
    page.on("request", (request) => {
      const name = /[^/]+\.wasm$/.exec(request.url())?.[0];
      if (name) engines.push(name.split(".")[0]);
    });
    await listen(page);
    await prepare(page);
  };
  await onPage(up, { prepare: begin }, async (page) => {
    await verdict(page);
    [answer] = await page.evaluate(() => globalThis.answers);
  });
  return { engines, answer };
}

test("with and without relaxed SIMD, the answer is the same", { skip }, async () => {
  // Chromium has it on every processor.
  const fast = await firstAnswer();
  assert.deepEqual(fast.engines, ["engine-relaxed"]);
  const plain = await firstAnswer((page) => page.addInitScript(() => (WebAssembly.validate = () => false)));
  assert.deepEqual(plain.engines, ["engine"]);
  assert.equal(fast.answer.label, plain.answer.label);
  assert.equal(fast.answer.inDistribution, plain.answer.inDistribution);
  const difference = Math.abs(fast.answer.score - plain.answer.score);
  assert.ok(difference <= 1e-4 * Math.abs(plain.answer.score), `${fast.answer.score} and ${plain.answer.score}`);
  assert.notEqual(difference, 0, "one rounding less leaves its mark, or else the engines are one and the same");
});
