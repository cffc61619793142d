// Shared by the tests that run in every browser engine: a server, a browser, a page.

import { after, before, describe, test } from "node:test";
import { ENGINES, launchBrowser, whyNot } from "../../scripts/lib/browser.mjs";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";

/** How long a test may take, in milliseconds: the machine may be busy. */
const PATIENCE = 300_000;

/** `ITP_ENGINES=firefox,webkit` runs these only. */
const wanted = process.env.ITP_ENGINES?.split(",") ?? ENGINES;

/**
 * Defines tests once for each engine: `define(check, up)` calls `check(name, work)`, whose `work` gets a
 * page that stays open for the tests of this file, on an address of the repository. They are skipped,
 * with the engine's name, where it is not installed.
 * @param {(check: Function, up: object) => void} define
 * @param {object} [options]
 * @param {object} [options.server] of the server, by default for the repository
 * @param {string} [options.path] of the page, an empty one by default
 * @param {string | false} [options.skip] why no engine can run them
 */
export function inEveryEngine(define, { server = { directory: at(".") }, path = "tests/engines/empty.html", skip = false } = {}) {
  for (const engine of wanted) {
    const reason = skip || whyNot(engine);
    const up = { engine };
    describe(engine, () => {
      before(async () => {
        if (reason) return;
        up.server = await startServer(server);
        up.browser = await launchBrowser({}, engine);
        up.page = await up.browser.newPage();
        await up.page.goto(up.server.url + path);
      });
      after(async () => {
        await up.browser?.close();
        await up.server?.close();
      });
      define((name, work) => test(`${engine}: ${name}`, { skip: reason, timeout: PATIENCE }, (t) => work(up.page, t)), up);
    });
  }
}

/** Waits until a function in the page returns something true, and returns that. */
export async function waitFor(page, work, argument) {
  const found = await page.waitForFunction(work, argument, { timeout: PATIENCE });
  // Playwright returns a handle.
  return typeof found?.jsonValue === "function" ? found.jsonValue() : found;
}
