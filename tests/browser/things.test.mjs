// The larger model: it takes over from the one that the page opens with, unless that could cost or disturb anyone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { busyness, onPage, PATIENCE, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));
const opening = (model) => gallery.find((image) => image.model === model && image.opening);
const model = (page) => page.locator("#model").inputValue();
const becomes = (page, id) => page.waitForFunction((value) => document.querySelector("#model").value === value, id, { timeout: PATIENCE });
const fetched = () => up.server.requests.filter((path) => path.includes("things."));
/** In the page: what the browser says of the connection. */
const connection = (page, value) =>
  page.addInitScript((says) => Object.defineProperty(navigator, "connection", { value: says ?? undefined }), value);

test("the small model's verdict comes first, the larger one's then", { skip }, async (t) => {
  for (let i = 0; i < 2; i++) {
    const busy = busyness();
    await onPage(up, { hash: "#try", fresh: true }, async (page) => {
      await verdict(page);
      const history = await page.evaluate(() => globalThis.history.length);
      await becomes(page, "things");
      assert.match((await verdict(page, opening("things").title)).words, /^(Familiar|Unfamiliar)$/);
      const took = await page.evaluate(() => performance.now());
      t.diagnostic(
        `verdict of the larger model after ${Math.round(took)} ms on a machine that is ${busy.toFixed(1)} times as slow as when idle`,
      );
      await page.waitForFunction(() => location.hash.startsWith("#try?model=things&image="));
      assert.equal(await page.evaluate(() => globalThis.history.length), history, "Back does not lead to what nobody chose");
    });
  }
});

for (const [what, says] of [
  ["that asks to save data", { saveData: true, effectiveType: "4g" }],
  ["that is slow", { saveData: false, effectiveType: "3g" }],
  ["of a mobile network", { saveData: false, effectiveType: "4g", type: "cellular" }],
]) {
  test(`over a connection ${what} the larger model is loaded when it is chosen only`, { skip }, async () => {
    const before = fetched().length;
    await onPage(up, { hash: "#try", prepare: (page) => connection(page, says) }, async (page) => {
      await verdict(page);
      await page.waitForTimeout(1500);
      assert.equal(await model(page), "photos");
      assert.equal(fetched().length, before);
      await page.selectOption("#model", "things");
      await verdict(page, opening("things").title);
      assert.equal(fetched().length, before + 2);
    });
  });
}

test("where the browser says nothing of the connection, a phone is spared and a desk is not", { skip }, async () => {
  const context = (touch) => ({ hasTouch: touch, isMobile: touch });
  await onPage(up, { hash: "#try", prepare: (page) => connection(page), context: context(true) }, async (page) => {
    await verdict(page);
    await page.waitForTimeout(1500);
    assert.equal(await model(page), "photos");
  });
  await onPage(up, { hash: "#try", prepare: (page) => connection(page), context: context(false) }, async (page) => {
    await verdict(page);
    await becomes(page, "things");
  });
});

test("who has begun is not disturbed", { skip }, async () => {
  let letGo;
  const held = new Promise((resolve) => (letGo = resolve));
  const prepare = (page) => page.route("**/things.onnx", (route) => held.then(() => route.continue()));
  await onPage(up, { hash: "#try", prepare }, async (page) => {
    await verdict(page);
    await page.locator('#gallery section[data-model="photos"] .thumb[data-file="horse.webp"]').click();
    await verdict(page, "A horse");
    const loaded = page.waitForResponse("**/things.onnx");
    letGo();
    await (await loaded).finished();
    await page.waitForTimeout(2000);
    assert.equal((await verdict(page, "A horse")).kind, "in");
    assert.equal(await model(page), "photos");
  });
});

test("without the larger model the page works on", { skip }, async () => {
  const prepare = (page) => page.route("**/things.onnx", (route) => route.fulfill({ status: 404, body: "" }));
  const expected = opening("photos").title;
  // Not by `onPage`: Chromium itself reports the 404 as an error of the page.
  const context = await up.browser.newContext({ serviceWorkers: "block" });
  context.setDefaultTimeout(PATIENCE);
  try {
    const page = await context.newPage();
    await prepare(page);
    const asked = page.waitForResponse("**/things.onnx");
    await page.goto(up.server.url);
    await asked;
    await verdict(page, expected);
    await page.waitForTimeout(500);
    assert.equal(await model(page), "photos");
    assert.ok(await page.locator("#notice").isHidden());
    // A link to it says what is wrong.
    const second = await context.newPage();
    await prepare(second);
    await second.goto(`${up.server.url}#try?model=things`);
    await second.locator("#notice", { hasText: /404/ }).waitFor();
    await verdict(second, expected);
    assert.equal(await model(second), "photos");
  } finally {
    await context.close();
  }
});

test("the larger model's classes are listed, all when asked for, with what to do", { skip }, async () => {
  await onPage(up, { hash: "#try?model=things", fresh: true }, async (page) => {
    await verdict(page);
    assert.equal(await page.locator("#knows-title").textContent(), "Things knows 64 classes, and nothing else");
    assert.match(await page.locator("#knows-hint").textContent(), /before your webcam/);
    assert.equal(await page.locator("#classes li").count(), 25);
    await page.locator("#classes button", { hasText: "and 40 more" }).click();
    const names = await page.locator("#classes li").allTextContents();
    assert.equal(new Set(names).size, 64);
    assert.ok(names.includes("lemon or lime") && names.includes("wrench"));
    await page.selectOption("#model", "digits");
    await page.waitForFunction(() => document.querySelectorAll("#classes li").length === 10);
    assert.equal(await page.locator("#knows-hint").textContent(), "");
  });
});
