// The gallery: its groups, the model's mistakes, and guessing before seeing.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { onPage, open, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));

test("the groups are true, and the model's mistakes are marked", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    for (const model of ["photos", "digits", "things"]) {
      const groups = await page.locator(`#gallery section[data-model="${model}"] .group`).evaluateAll((all) =>
        all.map((group) => ({
          title: group.querySelector("h4").textContent,
          files: [...group.querySelectorAll(".thumb")].map(({ dataset }) => dataset.file),
          marked: [...group.querySelectorAll(".thumb")]
            .filter((t) => t.querySelector(".badge").textContent)
            .map(({ dataset }) => dataset.file),
        })),
      );
      assert.deepEqual(
        groups.map(({ title }) => title),
        ["It knows these", "It doesn't know these", "Tricky"],
      );
      const of = (name) => gallery.find((image) => image.file === name && image.model === model);
      assert.ok(groups[0].files.every((file) => of(file).truth !== null));
      assert.ok(groups[1].files.every((file) => of(file).truth === null));
      const mistakes = gallery
        .filter((image) => image.model === model)
        .filter(({ truth, expected }) => (truth !== null) !== expected.inDistribution || (truth !== null && truth !== expected.label));
      assert.deepEqual(groups.flatMap(({ marked }) => marked).sort(), mistakes.map(({ file }) => file).sort());
      assert.deepEqual(groups[2].marked.length, mistakes.length, "mistakes are tricky");
      assert.ok(groups[2].files.length > mistakes.length, "so that not all that is tricky is a mistake");
    }
  });
});

test("in the game the verdict waits for the guess", { skip }, async () => {
  await onPage(up, { fresh: true }, async (page) => {
    await verdict(page);
    await page.locator("#game").click();
    assert.equal(await page.locator("#game").getAttribute("aria-pressed"), "true");
    let right = 0;
    for (const [i, file] of ["horse.webp", "noise.webp", "plate.webp"].entries()) {
      const { title, expected } = gallery.find((image) => image.file === file);
      await page.locator(`.thumb[data-file="${file}"]`).evaluate((thumb) => thumb.click());
      await page.locator("#verdict-words", { hasText: "Does the model know this?" }).waitFor();
      await page.locator("#guess-in").waitFor();
      assert.equal(await page.locator("#score").textContent(), "–");
      assert.equal(await page.locator("#top li").count(), 0);
      assert.equal(await page.locator("#verdict").getAttribute("data-kind"), "");
      assert.doesNotMatch(await page.locator("#subject").textContent(), /threshold|[Uu]?n?familiar/);
      // The first and the last guess are "familiar".
      await page.locator(i === 1 ? "#guess-out" : "#guess-in").click();
      await verdict(page, title);
      const isRight = expected.inDistribution === (i !== 1);
      right += isRight;
      assert.equal(await page.locator("#guessed").textContent(), isRight ? "You guessed right." : "You guessed otherwise.");
      await page.locator("#tally", { hasText: `You foresaw ${right} of ${i + 1} verdict` }).waitFor();
    }
    // Nothing is hidden from who goes on to Why, and the visitor's own images are no riddles.
    await open(page, "why");
    assert.match(await page.locator("#subject-text").textContent(), /threshold/);
    await open(page, "try");
    await page.locator("#game").click();
    await page.locator('.thumb[data-file="gravel.webp"]').evaluate((thumb) => thumb.click());
    await verdict(page, "Gravel");
    assert.equal(await page.locator("#tally").textContent(), "");
  });
});
