// Play: hyperparameters take effect at once, on stored features.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { number, onPage, open, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));

/** Writes down which calls go to the worker. */
const spy = (page) =>
  page.addInitScript(() => {
    globalThis.calls = [];
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message, ...rest) {
      globalThis.calls.push({ name: message.name, options: message.args[1] });
      return postMessage.call(this, message, ...rest);
    };
  });
const slide = (page, id, value) =>
  page.locator(`#${id}`).evaluate((input, to) => {
    input.value = to;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(value));
const lastStep = async (page) => number((await page.locator("#play-waterfall .step-value").allTextContents()).at(-1));
const crpCount = async (page) => number(await page.locator("#play-counts b").nth(1).textContent());

test("sliders act without running the network, the last value wins, Reset restores", { skip }, async () => {
  await onPage(up, { prepare: spy }, async (page) => {
    await verdict(page);
    await open(page, "play");
    const stored = {
      p: await page.locator("#p").inputValue(),
      lambda: await page.locator("#lambda").inputValue(),
      score: await lastStep(page),
    };
    await page.evaluate(() => (globalThis.calls.length = 0));
    for (let p = 0; p <= 60; p += 2) await slide(page, "p", p);
    await page.waitForFunction(() => globalThis.calls.findLast(({ name }) => name === "rescore")?.options.p === 60);
    await slide(page, "lambda", 6);
    // With FTP off, the third step of the waterfall is nothing.
    await page.waitForFunction(() => document.querySelectorAll("#play-waterfall .step-value")[2].textContent === "0.00");
    assert.equal(await page.locator("#lambda-out").textContent(), "off");
    assert.ok((await crpCount(page)) > 0);
    await slide(page, "p", 0);
    // CRP still prunes what is not above the lowest mean contribution: at most one weight.
    await page.waitForFunction(() => Number(document.querySelectorAll("#play-counts b")[1].textContent) <= 1);
    const calls = await page.evaluate(() => globalThis.calls.map(({ name }) => name));
    assert.deepEqual(
      calls.filter((name) => name === "detect" || name === "features"),
      [],
    );
    await page.locator("#reset").click();
    await page.waitForFunction((wanted) => document.querySelector("#p").value === wanted, stored.p);
    await page.waitForFunction(
      (wanted) => [...document.querySelectorAll("#play-waterfall .step-value")].at(-1).textContent.replace("−", "-") === wanted,
      stored.score.toFixed(2),
    );
    assert.equal(await page.locator("#lambda").inputValue(), stored.lambda);
    assert.ok(await page.locator("#changed").isHidden());
  });
});

test("dragging a slider draws while it moves, and leaves no backlog", { skip }, async (t) => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await open(page, "play");
    const drawn = await page.evaluate(async () => {
      const slider = document.querySelector("#lambda");
      let count = 0;
      const watch = new MutationObserver(() => count++);
      watch.observe(document.querySelector("#play-waterfall svg"), { childList: true });
      for (let frame = 0; frame < 90; frame++) {
        slider.value = String(0.5 + (frame % 40) / 10);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
      }
      const moving = count;
      // Nothing is left to draw once half a second has brought nothing new.
      for (let before = -1; before !== count;) {
        before = count;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      watch.disconnect();
      return { moving, after: count - moving };
    });
    t.diagnostic(`${drawn.moving} drawings in 90 frames, ${drawn.after} after them`);
    assert.ok(drawn.moving >= 2, JSON.stringify(drawn));
    // One that was under way and the last value, each drawn again when its reference comes; a backlog has dozens.
    assert.ok(drawn.after <= 10, JSON.stringify(drawn));
    assert.equal(number(await page.locator("#lambda-out").textContent()), 1.4);
  });
});

test("scores and ReAct can be chosen; a link carries the hyperparameters", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await open(page, "play");
    await page.selectOption("#score-choice", "energy");
    await page.locator("#subject-text", { hasText: /^Energy / }).waitFor();
    const energy = number((await page.locator("#play-waterfall .step-value").allTextContents())[0]);
    assert.match(await page.locator("#subject-text").textContent(), new RegExp(`^Energy ${energy.toFixed(2).replace("-", "−")}`));
    if (await page.locator("#react").isEnabled()) {
      await page.locator("#react").check();
      await page.locator("#subject-text", { hasText: /^ReAct / }).waitFor();
      await slide(page, "clip", 0.5);
      await page.locator("#clip-out", { hasText: "0.50" }).waitFor();
    }
    await slide(page, "p", 35);
    await slide(page, "lambda", 1.4);
    await page.locator("#link").click();
    await page.locator("#link-done", { hasText: /./ }).waitFor();
    const link = page.url();
    for (const part of ["p=35", "lambda=1.4", "score=energy", "model=photos", "image="]) assert.ok(link.includes(part), link);
    const said = await page.locator("#subject-text").textContent();
    const second = await page.context().newPage();
    await second.goto(link);
    await second.locator("#subject-text", { hasText: /./ }).waitFor();
    assert.equal(await second.locator("#subject-text").textContent(), said);
    assert.equal(await second.locator("#p").inputValue(), "35");
    // Links made by earlier versions call the image `picture`.
    const third = await page.context().newPage();
    const other = gallery.filter(({ model }) => model === "photos")[2];
    await third.goto(link.replace(/image=[^&]+/, `picture=${other.file}`));
    await verdict(third, other.title);
    await Promise.all([second.close(), third.close()]);
  });
});
