// A site of files from any sub-path, without a network after the first visit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { watchErrors } from "../../scripts/lib/chromium.mjs";
import { setUp, skip, verdict } from "./support.mjs";

const up = setUp();

test("the site works below a sub-path, and offline after the first visit", { skip }, async () => {
  const context = await up.browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const errors = watchErrors(page);
  await page.goto(up.server.url);
  await verdict(page);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    // The worker is active once every file is kept.
    const names = await caches.keys();
    if (names.length !== 1) throw new Error(`caches: ${names.join()}`);
  });
  await context.setOffline(true);
  const seen = up.server.requests.length;
  await page.reload();
  const { words } = await verdict(page);
  assert.match(words, /distribution/);
  await page.locator(".thumb", { hasText: "A 7" }).click();
  assert.equal((await verdict(page, "A 7")).answer, "7");
  assert.equal(up.server.requests.length, seen, "the server is not asked again");
  assert.deepEqual(errors, []);
  await context.close();
});
