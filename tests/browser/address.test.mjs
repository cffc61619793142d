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
