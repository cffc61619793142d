// The address says what the page shows, and the page shows what the address says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, open, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const IMAGE = { name: "mine.png", mimeType: "image/png", buffer: png(48, 48, (x, y) => (x * 5 + y * 3) % 256) };
const hash = (page) => page.evaluate(() => location.hash);
const slide = (page, id, value) =>
  page.locator(`#${id}`).evaluate((input, to) => {
    input.value = to;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(value));
const hashHas = (page, part) => page.waitForFunction((text) => location.hash.includes(text), part);

test("reloading shows the same section, model, image and hyperparameters", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.locator('.thumb[data-file="horse.webp"]').click();
    await verdict(page, "A horse");
    await open(page, "play");
    await slide(page, "p", 35);
    await page.selectOption("#score-choice", "held");
    await page.locator("#subject-text", { hasText: /^HELD / }).waitFor();
    await hashHas(page, "score=held");
    const [address, said] = [await hash(page), await page.locator("#subject-text").textContent()];
    assert.equal(address, "#play?model=photos&image=horse.webp&p=35&score=held");
    await page.reload();
    await page.locator("#subject-text", { hasText: /^HELD / }).waitFor();
    assert.equal(await page.locator("#subject-text").textContent(), said);
    assert.equal(await page.locator("#p").inputValue(), "35");
    assert.equal(await hash(page), address);
    assert.ok(await page.locator("#view-play").isVisible());
  });
});

test("Reset leaves nothing of the hyperparameters in the address", { skip }, async () => {
  await onPage(up, { hash: "#play?model=digits&p=35&lambda=1.4", fresh: true }, async (page) => {
    await verdict(page);
    assert.equal(await page.locator("#p").inputValue(), "35");
    await page.locator("#reset").click();
    await page.waitForFunction(() => !/p=|lambda=/.test(location.hash));
    const own = await page.locator("#p").inputValue();
    assert.notEqual(own, "35");
    await page.reload();
    await verdict(page);
    assert.equal(await page.locator("#p").inputValue(), own);
    // The same link works again.
    await page.evaluate(() => (location.hash = "#play?p=35&lambda=1.4"));
    await page.waitForFunction(() => document.querySelector("#p").value === "35");
    assert.equal(await page.locator("#model").inputValue(), "digits");
  });
});

test("Back leads to the image before, and to the section before", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.locator('.thumb[data-file="horse.webp"]').click();
    await verdict(page, "A horse");
    await page.locator('.thumb[data-file="digit-3.png"]').click();
    await verdict(page, "A 3");
    await open(page, "play");
    await slide(page, "p", 35);
    await hashHas(page, "p=35");
    await page.goBack();
    await page.locator("#view-try").waitFor();
    await page.goBack();
    await verdict(page, "A horse");
    assert.equal(await page.locator("#model").inputValue(), "photos");
    await page.goForward();
    await verdict(page, "A 3");
    assert.equal(await page.locator("#model").inputValue(), "digits");
    await page.goForward();
    await page.waitForFunction(() => document.querySelector("#p").value === "35");
    assert.ok(await page.locator("#view-play").isVisible());
  });
});

test("a copied link does not promise what is the visitor's own", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await open(page, "play");
    await page.locator("#link").click();
    assert.match(await page.locator("#link-done").textContent(), /^(Copied|The link is in the address bar)\.$/);
    await open(page, "try");
    await page.setInputFiles("#file", IMAGE);
    await verdict(page, "mine.png");
    await page.waitForFunction(() => !location.hash.includes("image="));
    await open(page, "play");
    await page.locator("#link").click();
    await page.locator("#link-done", { hasText: /without your image: what is yours stays in this browser/ }).waitFor();
    // What is said of an earlier state goes with it.
    await slide(page, "p", 12);
    await page.waitForFunction(() => document.querySelector("#link-done").textContent === "");
  });
});

for (const [what, wrong, says, left] of [
  ["a score that there is not", "score=nonsense", /There is no score “nonsense”/, /^#play\?model=photos&image=[^&]+$/],
  [
    "a score that this stats file lacks",
    "score=vim",
    /The score vim can't be had from the stats file of Photos/,
    /^#play\?model=photos&image=[^&]+$/,
  ],
  ["a value out of range", "p=200&lambda=1", /asks for p = 200, which can't be/, /lambda=1$/],
  ["an unknown model", "model=nonsense", /no model “nonsense”/, /model=photos/],
  ["an unknown image", "image=nonsense.webp", /no image “nonsense.webp”/, /image=/],
]) {
  test(`${what} in the address is named, and does not stay there`, { skip }, async () => {
    await onPage(up, { hash: `#play?${wrong}`, fresh: true }, async (page) => {
      await page.locator("#notice", { hasText: says }).waitFor();
      await page.locator("#subject-text", { hasText: /^ITP / }).waitFor();
      const address = await hash(page);
      assert.ok(!address.includes("nonsense") && !address.includes("vim") && !address.includes("200"), address);
      assert.match(address, left);
    });
  });
}

test("what Measure shows of the gallery is in the address", { skip }, async () => {
  await onPage(up, { hash: "#measure?model=photos&sets=gallery&measured=energy&threshold=4.5", fresh: true }, async (page) => {
    const shown = async () => {
      await page.locator("#measure-counts", { hasText: /^At \S+: \d+ of \d+ ID/ }).waitFor();
      const [score, counts] = [page.locator("#measure-score").inputValue(), page.locator("#measure-counts").textContent()];
      return { score: await score, counts: await counts, hash: await hash(page) };
    };
    const before = await shown();
    assert.equal(before.score, "energy");
    assert.match(before.counts, /^At 4\.50: /);
    assert.match(before.hash, /&sets=gallery&measured=energy&threshold=4\.5$/);
    await slide(page, "measure-threshold", 6);
    await hashHas(page, "threshold=6");
    const moved = await shown();
    assert.notEqual(moved.counts, before.counts);
    await page.reload();
    assert.deepEqual(await shown(), moved);
    await page.locator("#measure-reset").click();
    await page.waitForFunction(() => !location.hash.includes("threshold="));
    // The stats file's own score needs no words.
    await page.selectOption("#measure-score", "itp");
    await page.waitForFunction(() => location.hash.endsWith("&sets=gallery"));
    // Another model's gallery follows; the visitor's own images have no address.
    await page.selectOption("#model", "digits");
    await page.locator("#measure-size", { hasText: /^From 1?\d ID/ }).waitFor();
    assert.match(await hash(page), /model=digits.*&sets=gallery$/);
    await page.setInputFiles("#measure-id input[accept]", IMAGE);
    await page.waitForFunction(() => !location.hash.includes("sets="));
    for (const [wrong, says] of [
      ["sets=mine", /asks to measure “mine”; there is gallery/],
      ["measured=nonsense", /The score nonsense can't be measured with Photos/],
      ["threshold=high", /asks for threshold = high, which can't be/],
    ]) {
      await page.evaluate((query) => (location.hash = `#measure?model=photos&${query}`), wrong);
      await page.locator("#notice", { hasText: says }).waitFor();
      await page.waitForFunction((query) => !location.hash.includes(query), wrong);
    }
  });
});

test("the game is in the address: a riddle stays one, and guesses stay made", { skip }, async () => {
  await onPage(up, { hash: "#try?model=photos&image=cat.webp", fresh: true }, async (page) => {
    await verdict(page, "Chelsea, a cat");
    await page.locator("#game").click();
    await hashHas(page, "game=photos%2Fcat.webp");
    const pick = (file) => page.locator(`.thumb[data-file="${file}"]`).evaluate((thumb) => thumb.click());
    const riddle = () => page.locator("#verdict-words", { hasText: "Does the model know this?" }).waitFor();
    for (const [file, guess] of [
      ["horse.webp", "in"],
      ["noise.webp", "in"],
      ["gravel.webp", "out"],
    ]) {
      await pick(file);
      await riddle();
      await page.locator(`#guess-${guess}`).click();
      await verdict(page);
    }
    await pick("plate.webp");
    await riddle();
    await hashHas(page, "image=plate.webp");
    const [address, tally] = [await hash(page), await page.locator("#tally").textContent()];
    assert.match(address, /&game=photos%2Fcat\.webp&familiar=photos%2Fhorse\.webp\+photos%2Fnoise\.webp&unfamiliar=photos%2Fgravel\.webp/);
    assert.match(tally, /^You foresaw [0-3] of 3 verdicts\.$/);
    const wrong = address.includes("&wrong=") ? /&wrong=(.*)$/.exec(address)[1].split("+").length : 0;
    assert.ok(tally.includes(`foresaw ${3 - wrong} of 3`));
    await page.reload();
    await riddle();
    await page.locator("#tally", { hasText: tally }).waitFor();
    assert.equal(await hash(page), address);
    // What was shown when the game began is none.
    await pick("cat.webp");
    await verdict(page, "Chelsea, a cat");
    await page.locator("#game").click();
    await page.waitForFunction(() => !/game|familiar|wrong/.test(location.hash));
    await page.evaluate(() => (location.hash = "#try?model=photos&game=on&familiar=unicorn.webp"));
    await page.locator("#notice", { hasText: "no image “unicorn.webp” to guess at" }).waitFor();
    await riddle();
  });
});

test("a slider that is dragged doesn't write more addresses than browsers take", { skip }, async () => {
  const prepare = (page) =>
    page.addInitScript(() => {
      globalThis.written = [];
      const { replaceState } = history;
      history.replaceState = function (...args) {
        globalThis.written.push(args[2]);
        return replaceState.apply(this, args);
      };
    });
  await onPage(up, { hash: "#play?model=photos", prepare }, async (page) => {
    await verdict(page);
    await page.evaluate(() => (globalThis.written.length = 0));
    const seconds = await page.evaluate(async () => {
      const start = performance.now();
      const slider = document.querySelector("#p");
      for (let step = 1; step <= 60; step++) {
        slider.value = String(step);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
      }
      return (performance.now() - start) / 1000;
    });
    await hashHas(page, "p=60");
    const written = await page.evaluate(() => globalThis.written);
    // Safari takes 100 in 30 seconds.
    assert.ok(written.length <= 2 + 3 * seconds, `${written.length} addresses in ${seconds} s`);
    assert.ok(written.at(-1).includes("p=60"));
  });
});

test("skipping the navigation stays in the section", { skip }, async () => {
  await onPage(up, { hash: "#why", fresh: true }, async (page) => {
    await verdict(page);
    await page.locator("#skip").focus();
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "main");
    assert.ok(await page.locator("#view-why").isVisible());
    assert.match(await hash(page), /^#why/);
  });
});
