// Shared by the browser tests: the built site on a server, a Chromium, and images.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { launchBrowser, noBrowser, watchErrors } from "../../scripts/lib/browser.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { toPng } from "../js/support.mjs";

/** Below a sub-path, as most static hosts serve it. */
const BASE = "/some/where/";

/** For node:test's `skip`. */
export const skip = noBrowser || (existsSync(at("target/site/index.html")) ? false : "the page is not built: npm run build");

/** A browser and a server for the tests of a file. */
export function setUp(launchOptions = {}) {
  const up = {};
  before(async () => {
    if (skip) return;
    up.server = await startServer({ directory: at("target/site"), base: BASE });
    up.browser = await launchBrowser(launchOptions);
  });
  after(async () => {
    await up.browser?.close();
    await up.server?.close();
  });
  return up;
}

/**
 * Runs `work` on a page; afterwards nothing must have gone wrong unseen. Tests of a file share one
 * page, as compiling the engine takes a while, unless they ask for a context of their own or for
 * something to be prepared. By default the address asks for the small model: without an address the page
 * goes on to the larger one by itself.
 */
export async function onPage(up, { hash = "#try?model=photos", context: options, prepare, fresh = false } = {}, work) {
  const own = fresh || options !== undefined || prepare !== undefined;
  if (own || !up.page) {
    const context = await up.browser.newContext({ viewport: { width: 1280, height: 900 }, serviceWorkers: "block", ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    const errors = watchErrors(page);
    await prepare?.(page);
    await page.goto(up.server.url + hash);
    if (!own) [up.page, up.errors] = [page, errors];
    try {
      await work(page);
      assert.deepEqual(errors, []);
    } finally {
      if (own) await context.close();
    }
    return;
  }
  await up.page.evaluate((address) => (location.hash = address), hash);
  up.errors.length = 0;
  await work(up.page);
  assert.deepEqual(up.errors, []);
}

/** How long a step may take, in milliseconds: the machine may be busy. */
export const PATIENCE = 60_000;

/** How much longer things take than on an idle machine: wall time over processor time. */
export function busyness() {
  const cpu = process.cpuUsage();
  const start = performance.now();
  let sum = 0;
  while (process.cpuUsage(cpu).user < 150_000) for (let i = 0; i < 1e5; i++) sum += Math.sqrt(i);
  const used = process.cpuUsage(cpu);
  assert.ok(sum > 0);
  return Math.max(1, (performance.now() - start) / ((used.user + used.system) / 1000));
}

/** Waits for the verdict on an image with this caption (by default, any); returns its texts. */
export async function verdict(page, caption) {
  await page.waitForFunction((wanted) => {
    const card = document.querySelector("#verdict");
    const text = document.querySelector("#caption")?.textContent ?? "";
    return card?.getAttribute("aria-busy") === "false" && card.dataset.kind && (!wanted || text.startsWith(wanted));
  }, caption);
  return page.evaluate(() => {
    const text = (selector) => document.querySelector(selector)?.textContent ?? "";
    return {
      kind: document.querySelector("#verdict")?.dataset.kind,
      words: text("#verdict-words"),
      says: text("#verdict-says"),
      advice: text("#verdict-advice"),
      score: Number(text("#score").replace("−", "-")),
      threshold: Number(text("#threshold").replace("−", "-")),
      pValue: Number(text("#p-value")),
      answer: text("#top .top-label"),
    };
  });
}

/** Goes to a section by its link. */
export async function open(page, view) {
  await page.locator(`nav a[href="#${view}"]`).click();
  await page.locator(`#view-${view}`).waitFor();
}

/** Draws a stroke on the pad with the mouse, through points relative to its side. */
export async function draw(page, points) {
  await page.locator("#pad").waitFor();
  const box = await page.locator("#pad").boundingBox();
  for (const [i, [x, y]] of points.entries()) {
    await page.mouse.move(box.x + x * box.width, box.y + y * box.height, { steps: 8 });
    if (i === 0) await page.mouse.down();
  }
  await page.mouse.up();
}

/** Gives files to the page as a visitor does who drops or pastes them on an element. */
export async function give(page, kind, selector, files) {
  await page.evaluate(
    ([type, where, all]) => {
      const transfer = new DataTransfer();
      for (const { name, mimeType, bytes } of all) transfer.items.add(new File([new Uint8Array(bytes)], name, { type: mimeType }));
      const event =
        type === "paste"
          ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
          : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
      document.querySelector(where).dispatchEvent(event);
    },
    [kind, selector, files.map(({ name, mimeType, buffer }) => ({ name, mimeType, bytes: [...buffer] }))],
  );
}

/** Numbers as the page writes them. */
export const number = (text) => Number(text.replaceAll(",", "").replaceAll("−", "-").replace("+", "").replace("%", "").trim());

/** A grey PNG file, of `grey(x, y)` in 0..255. */
export function png(width, height, grey) {
  const data = Uint8Array.from({ length: width * height }, (_, i) => grey(i % width, Math.floor(i / width)));
  return toPng({ data, width, height, channels: 1 });
}

/** A folder with `count` images per class, of bars whose position depends on the class. */
export function classFolder(classes, count) {
  const folder = mkdtempSync(join(tmpdir(), "itp-classes-"));
  classes.forEach((name, k) => {
    mkdirSync(join(folder, name));
    for (let i = 0; i < count; i++) {
      const bar = (x, y) => (Math.abs(y - 4 - 2 * k) < 2 + (i % 3) && x > 3 + i && x < 25 ? 255 : 0);
      writeFileSync(join(folder, name, `${i}.png`), png(28, 28, bar));
    }
  });
  return folder;
}

/** Keeps what a person would see, for review. */
export async function screenshot(page, name) {
  mkdirSync(at("target/screenshots"), { recursive: true });
  await page.screenshot({ path: at("target/screenshots", `${name}.png`), fullPage: true });
}

/** Keeps what the workers answer, in `answers` of the page, which rounds what it shows. */
export const listen = (page) =>
  page.addInitScript(() => {
    globalThis.answers = [];
    const { postMessage } = Worker.prototype;
    const known = new WeakSet();
    Worker.prototype.postMessage = function (...message) {
      if (!known.has(this)) this.addEventListener("message", ({ data }) => data.value?.topK && globalThis.answers.push(data.value));
      known.add(this);
      return postMessage.apply(this, message);
    };
  });
