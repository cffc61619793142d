// Files: dropped and pasted anywhere, several at once, and those that can't be read.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { give, onPage, open, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const image = (name, i = 0) => ({ name, mimeType: "image/png", buffer: png(40, 30, (x, y) => (x * (5 + i) + y * 3) % 256) });
const file = (name, mimeType, text = "x") => ({ name, mimeType, buffer: Buffer.from(text) });

for (const view of ["try", "why", "play", "measure", "calibrate", "explain"]) {
  test(`an image that is dropped or pasted in ${view} is judged`, { skip }, async () => {
    await onPage(up, { hash: `#${view}?model=photos` }, async (page) => {
      await page.locator(`#view-${view}`).waitFor();
      for (const kind of ["drop", "paste"]) {
        await give(page, kind, `#${view}-title`, [image(`${kind}-${view}.png`)]);
        await verdict(page, `${kind}-${view}.png`);
        const stays = ["try", "why", "play"].includes(view);
        await page.locator(`#view-${stays ? view : "try"}`).waitFor();
        assert.ok(await page.locator("#subject-verdict").textContent());
        if (!stays) await open(page, view);
      }
    });
  });
}

test("files that are dropped on a card of their own stay there", { skip }, async () => {
  await onPage(up, { hash: "#measure" }, async (page) => {
    await give(page, "drop", "#measure-id", [image("id.png")]);
    await page.locator("#measure-id .status", { hasText: "1 images." }).waitFor();
    assert.ok(await page.locator("#view-measure").isVisible());
  });
});

test("a network and its stats file may be dropped anywhere", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    const files = ["digits.onnx", "digits.itp.safetensors"].map((name) => ({
      name,
      mimeType: "",
      buffer: readFileSync(at("www/models", name)),
    }));
    await give(page, "drop", "#try-title", files);
    await page.locator("#own .status", { hasText: "digits.onnx is in use" }).waitFor();
  });
});

test("of several images each gets its verdict, and the first one is shown", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.setInputFiles("#file", [image("a.png", 1), image("b.png", 2), image("c.png", 3), file("d.png", "image/png", "broken")]);
    const first = await verdict(page, "a.png");
    await page.locator("#own-summary", { hasText: /^4 images: .*Can't be read: d\.png\.$/ }).waitFor();
    const thumbs = page.locator("#own-thumbs .thumb");
    assert.equal(await thumbs.count(), 4);
    const badges = await page.locator("#own-thumbs .badge").allTextContents();
    assert.equal(badges[0], first.kind === "in" ? "familiar" : "unfamiliar");
    assert.equal(badges[3], "can't be read");
    await thumbs.nth(1).click();
    const second = await verdict(page, "b.png");
    assert.equal(badges[1], second.kind === "in" ? "familiar" : "unfamiliar");
    // Another model judges all of them anew.
    await page.selectOption("#model", "digits");
    assert.match((await verdict(page, "b.png")).answer, /^\d$/);
    await page.waitForFunction(() => [...document.querySelectorAll("#own-thumbs .badge")].every(({ textContent }) => textContent !== "…"));
  });
});

test("what can't be shown is named, with the reason and the way out", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await verdict(page);
    for (const [given, says] of [
      [file("IMG_1.HEIC", ""), /“IMG_1\.HEIC” can't be shown.*HEIC.*JPEG/],
      [file("IMG_2.heic", "image/heic"), /“IMG_2\.heic” can't be shown.*HEIC.*JPEG/],
      [file("plan.svg", "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"), /“plan\.svg” can't be shown.*SVG.*PNG/],
      [file("scan.tiff", "image/tiff"), /“scan\.tiff” can't be shown.*JPEG or PNG/],
      [file("broken.png", "image/png"), /“broken\.png” can't be shown.*damaged/],
      [file("notes.txt", "text/plain"), /“notes\.txt” is not an image/],
    ]) {
      await give(page, "drop", "#drop", [given]);
      await page.locator("#notice", { hasText: says }).waitFor();
    }
    await page.locator(".thumb").first().click();
    await page.locator("#notice").waitFor({ state: "hidden" });
  });
});

test("images among other files are shown, and the others are named", { skip }, async () => {
  await onPage(up, {}, async (page) => {
    await give(page, "drop", "#drop", [file("notes.txt", "text/plain"), image("good.png")]);
    await verdict(page, "good.png");
    await page.locator("#notice", { hasText: "“notes.txt” is not an image" }).waitFor();
  });
});
