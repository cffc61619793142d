// Accessibility: axe on each section in light and dark, keyboard, phone width, 200% zoom; and
// screenshots for review.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { onPage, open, screenshot, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const VIEWS = ["try", "why", "play", "measure", "calibrate", "explain"];
const axe = readFileSync(at("node_modules/axe-core/axe.min.js"), "utf8");

/** Waits until a section shows what it has to show. */
async function settle(page, view) {
  const sign = { why: "#list tr", play: "#play-waterfall .step", try: "#top li" }[view];
  if (sign) await page.locator(sign).first().waitFor();
}

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [
    [1280, 900],
    [390, 844],
  ]) {
    test(`every section is accessible, ${colorScheme}, ${width} wide`, { skip }, async () => {
      await onPage(up, { context: { viewport: { width, height }, colorScheme, reducedMotion: "reduce" } }, async (page) => {
        await verdict(page);
        await page.addScriptTag({ content: axe });
        for (const view of VIEWS) {
          await open(page, view);
          if (view === "measure" && width > 1000 === (colorScheme === "light")) {
            await page.locator("#measure-gallery").click();
            await page.locator("#measure-table tr").first().waitFor();
          }
          await settle(page, view);
          const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
          assert.deepEqual(
            violations.map(({ id, nodes }) => `${view}: ${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`),
            [],
          );
          const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(beyond <= 0, `${view} is ${beyond} pixels too wide`);
          await screenshot(page, `${view}-${width}x${height}-${colorScheme}`);
        }
      });
    });
  }
}

test("at 200% zoom nothing is cut off", { skip }, async () => {
  // A window of 1280 x 900 has half as many CSS pixels then.
  await onPage(up, { context: { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 } }, async (page) => {
    await verdict(page);
    for (const view of VIEWS) {
      await open(page, view);
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(beyond <= 0, `${view} is ${beyond} pixels too wide`);
    }
  });
});

test("the keyboard alone reaches a verdict and its reasons, with the focus seen", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    const tabTo = async (selector) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if (await page.evaluate((wanted) => document.activeElement.matches(wanted), selector)) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, "none", `${selector} shows its focus`);
          return;
        }
      }
      assert.fail(`${selector} can't be reached by Tab`);
    };
    await tabTo(".thumb:nth-child(3)");
    await page.keyboard.press("Enter");
    await page.locator('.thumb:nth-child(3)[aria-pressed="true"]').first().waitFor();
    await verdict(page);
    await page.evaluate(() => document.querySelector(".brand").focus());
    await tabTo('nav a[href="#why"]');
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "why-title");
    await tabTo("#map");
    await page.keyboard.press("ArrowRight");
    await page.locator("#weight tr").first().waitFor();
    assert.equal(await page.locator("#verdict [aria-live]").getAttribute("aria-live"), "polite");
  });
});
