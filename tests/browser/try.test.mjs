// Try: images from all sources, and their verdicts.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { busyness, draw, give, onPage, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp({ args: ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] });
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));

test("the first image gets its verdict within two seconds of opening the page", { skip }, async (t) => {
  const times = [];
  for (let i = 0; i < 2; i++) {
    const busy = busyness();
    await onPage(up, { hash: "#try", fresh: true }, async (page) => {
      const { words, score, threshold, pValue } = await verdict(page);
      // Since the page was asked for.
      const took = await page.evaluate(() => performance.now());
      times.push(took / Math.max(busy, busyness()));
      t.diagnostic(`first verdict after ${Math.round(took)} ms on a machine that is ${busy.toFixed(1)} times as slow as when idle`);
      assert.match(words, /^(Familiar|Unfamiliar)$/);
      assert.equal(words === "Familiar", score >= threshold);
      assert.ok(pValue > 0 && pValue <= 1);
      assert.equal(await page.locator("#verdict-shape svg").count(), 1, "the verdict has a shape, too");
      assert.equal(await page.locator("#top li").count(), 5);
    });
  }
  assert.ok(Math.min(...times) < 2000, `${times.map(Math.round).join(", ")} ms`);
});

test("a gallery image of the other model switches to it", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    const digit = gallery.find(({ file }) => file === "digit-3.png");
    await page.locator(".thumb", { hasText: digit.title }).first().click();
    const { answer, words } = await verdict(page, digit.title);
    assert.equal(answer, "3");
    assert.equal(words, "Familiar");
    assert.equal(await page.locator("#model").inputValue(), "digits");
    assert.equal(await page.locator('.thumb[aria-pressed="true"]').count(), 1);
    // And back, through the model list.
    await page.selectOption("#model", "photos");
    await verdict(page, gallery.find(({ opening, model }) => opening && model === "photos").title);
  });
});

test("a gallery image chosen while the first model is loading is the one that is shown", { skip }, async () => {
  // Whichever of the two models loads first.
  for (const slow of ["photos", "digits"]) {
    const prepare = (page) => page.route(`**/${slow}.onnx`, (route) => setTimeout(() => void route.continue(), 1500));
    await onPage(up, { prepare }, async (page) => {
      const digit = gallery.find(({ file }) => file === "digit-3.png");
      await page.locator(".thumb", { hasText: digit.title }).first().click();
      assert.equal((await verdict(page, digit.title)).answer, "3");
      // Nor does the slow model replace it afterwards.
      await page.waitForTimeout(2000);
      assert.equal((await verdict(page, digit.title)).answer, "3");
      assert.equal(await page.locator("#model").inputValue(), "digits");
    });
  }
});

test("images can be chosen, dropped and pasted", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    const buffer = png(40, 30, (x, y) => (x * 5 + y * 3) % 256);
    await page.setInputFiles("#file", { name: "chosen.png", mimeType: "image/png", buffer });
    const chosen = await verdict(page, "chosen.png");
    const image = (name) => [{ name, mimeType: "image/png", buffer }];
    await give(page, "drop", "#drop", image("dropped.png"));
    assert.deepEqual((await verdict(page, "dropped.png")).score, chosen.score);
    await give(page, "paste", "body", image("pasted.png"));
    assert.deepEqual((await verdict(page, "pasted.png")).score, chosen.score);
  });
});

test("a file that is not an image is refused, and the next image works", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await page.setInputFiles("#file", { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("not an image") });
    await page.locator("#notice", { hasText: /can't be shown as an image/ }).waitFor();
    const other = gallery.filter(({ model }) => model === "photos")[1];
    await page.locator(`.thumb[data-file="${other.file}"]`).click();
    await verdict(page, other.title);
    assert.ok(await page.locator("#notice").isHidden());
  });
});

test("the webcam shows its rate, and stops when the page is hidden", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await page.locator("#camera").click();
    await page.locator("#fps", { hasText: /^[\d.]+ frames per second$/ }).waitFor();
    assert.equal(await page.locator("#camera").getAttribute("aria-pressed"), "true");
    assert.equal(await page.evaluate(() => document.querySelector("#video").srcObject.getTracks()[0].readyState), "live");
    const track = await page.evaluateHandle(() => document.querySelector("#video").srcObject.getTracks()[0]);
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    assert.equal(await track.evaluate(({ readyState }) => readyState), "ended");
    assert.equal(await page.locator("#camera").getAttribute("aria-pressed"), "false");
    assert.ok(await page.locator("#fps").isHidden());
  });
});

test("digits are drawn with mouse, finger and pen", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    await page.locator("#draw").click();
    await page.locator("#pad").waitFor();
    await page.waitForFunction(() => document.querySelector("#model").value === "digits");
    // A seven, with the mouse.
    await draw(page, [
      [0.3, 0.25],
      [0.5, 0.25],
      [0.7, 0.25],
      [0.6, 0.5],
      [0.5, 0.65],
      [0.42, 0.85],
    ]);
    assert.equal((await verdict(page)).answer, "7");
    await page.locator("#clear").click();
    await page.locator("#verdict-words", { hasText: "No image yet" }).waitFor();
    // A one, with finger and pen.
    for (const pointerType of ["touch", "pen"]) {
      await page.locator("#pad").evaluate((pad, type) => {
        const { left, top, width, height } = pad.getBoundingClientRect();
        pad.setPointerCapture = () => undefined;
        const send = (name, x, y) =>
          pad.dispatchEvent(
            new PointerEvent(name, {
              pointerId: 7,
              pointerType: type,
              clientX: left + x * width,
              clientY: top + y * height,
              bubbles: true,
              cancelable: true,
            }),
          );
        send("pointerdown", 0.5, 0.2);
        for (let i = 1; i <= 20; i++) send("pointermove", 0.5 + 0.001 * i, 0.2 + 0.03 * i);
        send("pointerup", 0.52, 0.8);
      }, pointerType);
      assert.equal((await verdict(page)).answer, "1", pointerType);
      await page.locator("#pad").press("Delete");
      await page.locator("#verdict-words", { hasText: "No image yet" }).waitFor();
    }
  });
});
