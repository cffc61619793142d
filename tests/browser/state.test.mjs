// What the page shows belongs together: image, model, score and verdict, however they were changed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { classFolder, draw, onPage, open, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp({ args: ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] });
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));
const IMAGE = { name: "mine.png", mimeType: "image/png", buffer: png(48, 48, (x, y) => (x * 5 + y * 3) % 256) };
const digitFiles = [at("www/models/digits.onnx"), at("www/models/digits.itp.safetensors")];

/** Classes of the digits are digits, those of the photos are words. */
const ofDigits = ({ answer }) => /^\d$/.test(answer);
const model = (page) => page.locator("#model").inputValue();
const wanted = (page, id) => page.waitForFunction((value) => document.querySelector("#model").value === value, id);
/** A number for what the canvas shows. */
const looks = (page, id) =>
  page.locator(id).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, value, i) => (sum * 31 + value + i) % 1_000_003, 7);
  });

test("a model that is given under Measure judges the image that is shown", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    assert.ok(!ofDigits(await verdict(page)));
    await open(page, "measure");
    await page.setInputFiles("#own input[accept]", digitFiles);
    await page.locator("#own .status", { hasText: "is in use" }).waitFor();
    await open(page, "try");
    assert.ok(ofDigits(await verdict(page)), "the verdict is the new model's");
    assert.equal(await page.locator("#classes li").first().textContent(), "0");
  });
});

test("a stats file that was made under Calibrate judges the image that is shown", { skip }, async () => {
  await onPage(up, { hash: "#calibrate", fresh: true }, async (page) => {
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', digitFiles[0]);
    await page.locator("#calibrate select").first().selectOption("digits");
    await page.setInputFiles("#calibrate-training input[webkitdirectory]", classFolder(Array.from("0123456789"), 5));
    await page.locator("#calibrate-training .status", { hasText: "50 images" }).waitFor();
    await page.getByRole("button", { name: "Make the stats file" }).click();
    await page.getByRole("button", { name: "Use it on this page" }).click();
    await wanted(page, "own");
    assert.ok(ofDigits(await verdict(page)));
  });
});

test("the model menu keeps the visitor's image, drawing and webcam, and judges them anew", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.setInputFiles("#file", IMAGE);
    assert.ok(!ofDigits(await verdict(page, "mine.png")));
    await page.selectOption("#model", "digits");
    assert.ok(ofDigits(await verdict(page, "mine.png")));
    await page.selectOption("#model", "photos");
    assert.ok(!ofDigits(await verdict(page, "mine.png")));

    await page.locator("#draw").click();
    await wanted(page, "digits");
    await draw(page, [
      [0.5, 0.2],
      [0.5, 0.8],
    ]);
    assert.ok(ofDigits(await verdict(page)));
    await page.selectOption("#model", "photos");
    await wanted(page, "photos");
    assert.ok(!ofDigits(await verdict(page, "Draw")));
    assert.ok(await page.locator("#pad").isVisible());

    await page.locator("#camera").click();
    await page.locator("#fps", { hasText: /^[\d.]+ frames/ }).waitFor();
    await page.selectOption("#model", "digits");
    await page.waitForFunction(() => /^\d$/.test(document.querySelector("#top .top-label")?.textContent ?? ""));
    assert.equal(await page.locator("#camera").getAttribute("aria-pressed"), "true");
    await page.locator("#camera").click();
  });
});

test("the drawing keeps its verdict while another image is shown", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.locator("#draw").click();
    await wanted(page, "digits");
    await draw(page, [
      [0.5, 0.2],
      [0.5, 0.8],
    ]);
    const drawn = await verdict(page, "Draw");
    const strokes = await looks(page, "#pad");
    await page.locator('.thumb[data-file="horse.webp"]').click();
    await verdict(page, "A horse");
    assert.equal(await model(page), "photos");
    await page.locator("#draw").click();
    await wanted(page, "digits");
    const again = await verdict(page, "Draw");
    assert.equal(await looks(page, "#pad"), strokes);
    assert.deepEqual(again, drawn);
    // Leaving the pad leads back to the image before, on its own model.
    await page.locator("#draw").click();
    assert.ok(!ofDigits(await verdict(page, "A horse")));
  });
});

for (const [how, leave] of [
  ["switched off", (page) => page.locator("#camera").click()],
  ["left by another section", (page) => open(page, "why").then(() => open(page, "try"))],
]) {
  test(`the webcam's last frame stays with its verdict when it is ${how}`, { skip }, async () => {
    await onPage(up, { fresh: true }, async (page) => {
      await verdict(page);
      const before = await looks(page, "#image");
      await page.locator("#camera").click();
      await page.locator("#fps", { hasText: /^[\d.]+ frames/ }).waitFor();
      await leave(page);
      await page.locator("#camera[aria-pressed=false]").waitFor();
      const { score } = await verdict(page, "The last frame");
      assert.notEqual(await looks(page, "#image"), before, "the image is the webcam's");
      assert.ok(Number.isFinite(score));
      assert.equal(await page.locator('.thumb[aria-pressed="true"]').count(), 0);
    });
  });
}

test("the score that decided is named in Try and explained in Why", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    const { answer } = await verdict(page);
    assert.equal(await page.locator("#score-name").textContent(), "ITP score");
    assert.match(await page.locator("#verdict-advice").textContent(), /^ITP says: /);
    assert.match(await page.locator("#verdict-says").textContent(), new RegExp(`^The model says: ${answer}, `));
    assert.match(await page.locator("#verdict-other").textContent(), /^Energy alone would (believe|doubt) it/);
    await open(page, "play");
    await page.selectOption("#score-choice", "held");
    await page.locator("#subject-text", { hasText: /^HELD / }).waitFor();
    await open(page, "why");
    assert.match(await page.locator("#why-decided").textContent(), /^HELD decided: .* What follows below is how ITP sees the same image: /);
    assert.match(await page.locator("#why-score").textContent(), /Formula/);
    await open(page, "try");
    assert.equal(await page.locator("#score-name").textContent(), "HELD score");
    await open(page, "play");
    await page.selectOption("#score-choice", "energy");
    await page.locator("#subject-text", { hasText: /^Energy / }).waitFor();
    await open(page, "try");
    assert.match(await page.locator("#verdict-other").textContent(), /^ITP would (believe|doubt) it/);
  });
});

test("a score that is worse than chance on this model is offered with a warning", { skip }, async () => {
  const separation = JSON.parse(readFileSync(at("www/models/gallery/separation.json"), "utf8"));
  const [name, auroc] = Object.entries(separation.digits).find(([score, value]) => value < 0.5 && !score.includes("react")) ?? [];
  assert.ok(name, "one of the digits' scores is worse than chance");
  await onPage(up, { hash: "#play?model=digits", fresh: true }, async (page) => {
    await verdict(page);
    assert.match(await page.locator(`#score-choice option[value="${name}"]`).textContent(), /worse than chance here/);
    assert.equal(await page.locator("#score-warning").textContent(), "");
    await page.selectOption("#score-choice", name);
    await page.locator("#score-warning", { hasText: new RegExp(`worse than chance: .* ${Math.round(auroc * 100)}%`) }).waitFor();
    for (const [view, id] of [
      ["try", "verdict-warning"],
      ["why", "why-warning"],
    ]) {
      await open(page, view);
      await page.locator(`#${id}`, { hasText: "worse than chance" }).waitFor();
    }
  });
});

test("the page opens on an image that Energy believes and ITP does not", { skip }, async () => {
  const image = gallery.find(({ opening, model: of }) => opening && of === "photos");
  await onPage(up, { fresh: true }, async (page) => {
    const { words, advice, says } = await verdict(page, image.title);
    assert.equal(words, "Unfamiliar");
    assert.equal(advice, "ITP says: don't believe it.");
    assert.match(says, /^The model says: /);
    assert.match(await page.locator("#verdict-other").textContent(), /^Energy alone would believe it \(/);
    assert.match(await page.locator("#verdict-term").textContent(), /^Out-of-distribution/);
  });
});

test("the classes that a model knows stand beside the image", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    assert.match(await page.locator("#knows-title").textContent(), /^Photos knows 10 classes/);
    assert.equal(await page.locator("#classes li").count(), 10);
    assert.equal(await page.locator("#classes svg").count(), 10, "each has its icon");
  });
});
