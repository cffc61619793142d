// The single file opened from a disk, and the site below any path, both work offline.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { bundle } from "../../scripts/lib/bundle.mjs";
import { watchErrors } from "../../scripts/lib/browser.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { open, screenshot, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
before(async () => {
  if (!skip) await bundle({ single: true });
});

test("one HTML file works from a disk with the network off", { skip }, async () => {
  const context = await up.browser.newContext({ offline: true, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const errors = watchErrors(page);
  const requests = [];
  page.on("request", (request) => requests.push(request.url().split(":")[0]));
  await page.goto(pathToFileURL(at("target/single/itp.html")).href);
  const { words } = await verdict(page);
  assert.match(words, /amiliar/);
  assert.deepEqual(await page.locator("#model option").allTextContents(), ["Photos", "Digits"], "the large model is not in the file");
  assert.ok(page.workers().length > 0, "the engine runs in a worker, so that the page stays free");
  await page.locator(".thumb", { hasText: "A 4" }).click();
  assert.equal((await verdict(page, "A 4")).answer, "4");
  await open(page, "why");
  await page.locator("#map-legend li").first().waitFor();
  await open(page, "play");
  await page.locator("#p").fill("40");
  await page.locator("#changed").waitFor();
  await screenshot(page, "single-file");
  assert.deepEqual(
    [...new Set(requests)].filter((kind) => kind !== "file" && kind !== "data" && kind !== "blob"),
    [],
  );
  assert.equal(requests.filter((kind) => kind === "file").length, 1, "nothing beside the file is read");
  assert.deepEqual(errors, []);
  await context.close();
});

test("the file works where a browser starts no workers from a disk", { skip }, async () => {
  const page = await up.browser.newPage();
  const errors = watchErrors(page);
  await page.addInitScript(() => {
    globalThis.Worker = class {
      constructor() {
        throw new DOMException("No workers here.", "SecurityError");
      }
    };
  });
  await page.goto(pathToFileURL(at("target/single/itp.html")).href);
  await page.locator(".thumb", { hasText: "A 4" }).click();
  assert.equal((await verdict(page, "A 4")).answer, "4");
  assert.deepEqual(errors, []);
  await page.close();
});

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
  // The larger model was not needed for that; it is kept once it was loaded.
  await page.waitForFunction(() => document.querySelector("#model").value === "things");
  await page.waitForFunction(async () => {
    const kept = (await (await caches.open((await caches.keys())[0])).keys()).filter(({ url }) => url.includes("/models/things."));
    return kept.length === 2;
  });
  await verdict(page);
  // What was still on its way would be counted below.
  await page.waitForLoadState("networkidle");
  await context.setOffline(true);
  // Chromium looks by itself whether the service worker has changed, sometimes past `setOffline`.
  const asked = () => up.server.requests.filter((path) => !path.endsWith("service-worker.js"));
  const seen = asked();
  await page.reload();
  const { words } = await verdict(page);
  assert.match(words, /amiliar/);
  assert.equal(await page.locator("#model").inputValue(), "things");
  await page.locator(".thumb", { hasText: "A 7" }).click();
  assert.equal((await verdict(page, "A 7")).answer, "7");
  assert.deepEqual(asked(), seen, "the server is not asked again");
  assert.deepEqual(errors, []);
  await context.close();
});
