// Why: the numbers agree with each other, and every weight can be reached.

import assert from "node:assert/strict";
import { test } from "node:test";
import { number, onPage, open, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const weightRow = (page, name) => page.locator("#weight tr", { hasText: name }).locator("td").textContent();

test("the waterfall adds up, and the axis and logits say the same", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    const { score, threshold } = await verdict(page);
    await open(page, "why");
    const steps = (await page.locator("#why-waterfall .step-value").allTextContents()).map(number);
    assert.equal(steps.length, 4);
    assert.equal((steps[0] + steps[1] + steps[2]).toFixed(2), steps[3].toFixed(2));
    assert.equal(steps[3], score);
    const axis = await page.locator("#why-axis svg").getAttribute("aria-label");
    assert.match(axis, new RegExp(`score is ${String(score.toFixed(2)).replace("-", "−")}`));
    assert.match(axis, new RegExp(`threshold is ${threshold.toFixed(2).replace("-", "−")}`));
    assert.match(axis, /held-out ID images/);
    assert.ok((await page.locator("#why-axis .bar-id").count()) > 5, "the histogram is drawn");
    assert.equal(await page.locator("#why-logits .mark-after").count(), 11, "ten classes and the legend");
  });
});

test("where a model's hyperparameters prune next to nothing, the paper's are one click away", { skip }, async () => {
  await onPage(up, { hash: "#why?p=0&lambda=off" }, async (page) => {
    await page.locator("#why-little a").click();
    await page.locator("#why-little").waitFor({ state: "hidden" });
    const counts = (await page.locator("#map-legend b").allTextContents()).map(number);
    assert.ok(counts[0] < 0.95 * counts.reduce((a, b) => a + b), `${counts[0]} weights are kept`);
  });
});

test("the map counts every weight, and each is reached by keys and by pointing", { skip }, async () => {
  await onPage(up, { hash: "#why" }, async (page) => {
    await page.locator("#map-legend li").first().waitFor();
    const counts = (await page.locator("#map-legend b").allTextContents()).map(number);
    const features = number(await page.locator("#why-features").textContent());
    assert.equal(
      counts.reduce((sum, value) => sum + value),
      10 * features,
    );
    const map = page.locator("#map");
    await map.focus();
    await page.keyboard.press("Home");
    const title = page.locator("#weight-title");
    await page.waitForFunction(() => document.querySelector("#weight-title").textContent.endsWith("feature 0"));
    const first = await title.textContent();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.querySelector("#weight-title").textContent.endsWith("feature 1"));
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction((old) => document.querySelector("#weight-title").textContent.split(",")[0] !== old.split(",")[0], first);
    await page.keyboard.press("End");
    await page.waitForFunction((last) => document.querySelector("#weight-title").textContent.endsWith(`feature ${last}`), features - 1);
    const [w, h, says, mu, sigma, z] = await Promise.all(
      ["Weight W", "Feature h", "Contribution", "Class mean", "Class std. deviation", "z ="].map(async (name) =>
        number(await weightRow(page, name)),
      ),
    );
    assert.ok(Math.abs(w * h - says) < 2e-4 * (1 + Math.abs(w) + Math.abs(h)));
    if (sigma > 0.01) assert.ok(Math.abs((says - mu) / sigma - z) < 0.05 + 0.02 * Math.abs(z));
    // Pointing, zooming and another order.
    await map.hover({ position: { x: 300, y: 30 } });
    await page.waitForFunction(
      (old) => document.querySelector("#weight-title").textContent !== old,
      await title.textContent().then(() => `feature ${features - 1}`),
    );
    await page.locator("#zoom-all").click();
    const before = await map.locator("canvas").screenshot();
    await page.locator("#zoom-in").click();
    await page.locator("#zoom-in").click();
    assert.notDeepEqual(await map.locator("canvas").screenshot(), before);
    await page.locator("#zoom-all").click();
    assert.deepEqual(await map.locator("canvas").screenshot(), before);
    await page.selectOption("#map-columns", "activation");
    await map.focus();
    await page.keyboard.press("Home");
    const largest = number(await weightRow(page, "Feature h"));
    await page.keyboard.press("End");
    await page.waitForFunction((old) => document.querySelector("#weight tr:nth-child(2) td").textContent !== old, String(largest));
    assert.ok(number(await weightRow(page, "Feature h")) <= largest);
  });
});

test("HELD and T add up", { skip }, async () => {
  // The digit model has a weight for T.
  await onPage(up, { hash: "#why?model=digits" }, async (page) => {
    await page.waitForFunction(() => /HELD\+T =/.test(document.querySelector("#held-note")?.textContent ?? ""));
    const note = (await page.locator("#held-note").textContent()).replaceAll("−", "-");
    const [back, before, after, score, t, , a, , total] = note.match(/-?\d+\.\d+/g).map(Number);
    assert.ok(Math.abs(before - back - after) < 0.002, note);
    assert.ok(Math.abs(score - a * t - total) < 0.01, note);
    assert.ok(number(await weightRow(page, "HELD excess")) >= 0);
    assert.ok(number(await weightRow(page, "Part of T")) >= 0);
  });
});

test("the list of overconfident weights leads to the map", { skip }, async () => {
  // The photo model's own lambda prunes nothing on many images. A fresh page has no list of earlier settings.
  await onPage(up, { hash: "#why?lambda=1", fresh: true }, async (page) => {
    const row = page.locator("#list tr").first();
    await row.locator("button").waitFor();
    const [w, value, limit] = (await row.locator("td").allTextContents()).map((text) => text.trim());
    // Overconfident: beyond the allowed interval.
    if (number(w) > 0) assert.ok(number(value) >= number(limit.slice(1)) - 1e-3);
    else assert.ok(number(value) <= number(limit.slice(1)) + 1e-3);
    const feature = await row.locator("button").textContent();
    await row.locator("button").click();
    await page.waitForFunction((wanted) => document.querySelector("#weight-title").textContent.endsWith(`feature ${wanted}`), feature);
    assert.match(await page.locator("#weight-words").textContent(), /overconfident|both/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "map");
  });
});

test("the waterfall stands before what is usual, with ITP's threshold", { skip }, async () => {
  await onPage(up, { hash: "#why", fresh: true }, async (page) => {
    const { threshold } = await verdict(page);
    await page.locator("#why-waterfall .ghost").first().waitFor();
    // Four steps, and the key.
    assert.equal(await page.locator("#why-waterfall .ghost").count(), 5);
    const says = (await page.locator("#why-waterfall svg").getAttribute("aria-label")).replaceAll("−", "-");
    const [, limit, energy, itp] = /ITP's threshold is (\S+)\. For the median familiar image: Energy is (\S+), .* ITP is (\S+)\.$/.exec(
      says,
    );
    assert.equal(Number(limit), threshold);
    assert.ok(Number(itp) > Number(limit), "the median familiar image is accepted");
    assert.ok(Number(energy) > 0);
    // Half of the held-out images score below the median.
    await page.evaluate(() => (location.hash = "#play"));
    await page.locator("#play-waterfall .ghost").first().waitFor();
  });
});

test("one sentence says how many weights shout, and how loud", { skip }, async () => {
  await onPage(up, { hash: "#why?lambda=1", fresh: true }, async (page) => {
    const { answer } = await verdict(page);
    const sentence = page.locator("#why-sentence");
    await page.waitForFunction(() => document.querySelector("#why-sentence").textContent);
    const row = page.locator("#list tr").first();
    await row.locator("button").waitFor();
    const said = (await sentence.textContent()).replaceAll("−", "-");
    const [, shouting, of, feature, contribution, usual] =
      /^([\d,]+) of .+'s ([\d,]+) weights shouts?: the loudest, of feature (\d+), says (\S+) where (\S+) is usual\.$/.exec(said);
    assert.ok(said.includes(`${answer}'s`));
    assert.ok(number(shouting) > 0 && number(shouting) <= number(of));
    assert.match(await page.locator("#list-note").textContent(), new RegExp(`^${shouting} of the ${of} `));
    assert.equal(await row.locator("button").textContent(), feature);
    const cells = await row.locator("td").allTextContents();
    assert.ok(Math.abs(number(cells[3]) - Number(contribution)) < 0.01);
    assert.ok(Math.abs(number(cells[4].split("±")[0]) - Number(usual)) < 0.01);
    // Without FTP nothing shouts.
    await page.evaluate(() => (location.hash = "#why?lambda=off"));
    await sentence.filter({ hasText: /^None of / }).waitFor();
  });
});

test("it is told what would turn the verdict", { skip }, async () => {
  await onPage(up, { hash: "#why", fresh: true }, async (page) => {
    const { kind } = await verdict(page);
    const other = kind === "in" ? "unfamiliar" : "familiar";
    const card = page.locator("#why-turn");
    await card.filter({ hasText: /./ }).waitFor();
    const words = await card.textContent();
    assert.match(
      words,
      new RegExp(
        `^([1-9][\\d,]* of the pruned weights, given back, would|Not even all pruned weights, given back, would) make it ${other} `,
      ),
    );
    assert.match(words, /The nearest hyperparameters that do: (p|λ) \S+ instead of \S+|No p and no λ would\./);
    // Without any pruning there is nothing to give back.
    await page.evaluate(() => (location.hash = "#why?p=0&lambda=off"));
    await card.filter({ hasText: /^Not even all/ }).waitFor();
  });
});

test("pointing at one view highlights the others", { skip }, async () => {
  await onPage(up, { hash: "#why?lambda=1", fresh: true }, async (page) => {
    await page.locator("#list tr button").first().waitFor();
    const pointedClass = () => page.locator("#why-logits .band.pointed").count();
    const map = page.locator("#map canvas");
    // A row of the list: its weight in the map and in words, its class among the logits.
    const second = page.locator("#list tr").nth(1);
    const feature = await second.locator("button").textContent();
    await second.evaluate((row) => row.scrollIntoView({ block: "center" }));
    await second.hover();
    await page.waitForFunction((wanted) => document.querySelector("#weight-title").textContent.endsWith(`feature ${wanted}`), feature);
    assert.match(await second.getAttribute("class"), /pointed/);
    assert.equal(await pointedClass(), 1);
    // A class of the logits: its row of the map.
    const before = await map.screenshot();
    const fifth = page.locator("#why-logits .band").nth(4);
    await fifth.evaluate((band) => band.scrollIntoView({ block: "center" }));
    await fifth.hover();
    await page.waitForFunction(
      () => [...document.querySelectorAll("#why-logits .band")].findIndex((band) => band.matches(".pointed")) === 4,
    );
    assert.notDeepEqual(await map.screenshot(), before);
    assert.equal(await page.locator("#list tr.pointed").count(), 0);
    // The map: its class among the logits.
    await page.locator("#map").focus();
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.querySelector("#weight-title").textContent.endsWith("feature 0"));
    assert.equal(await pointedClass(), 1);
  });
});
