// Calibrate: hyperparameters are selected from held-out ID images alone.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { classFolder, number, onPage, png, screenshot, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const DIGITS = Array.from("0123456789");
const ONNX = at("www/models/digits.onnx");
const axe = readFileSync(at("node_modules/axe-core/axe.min.js"), "utf8");

/** Starts tuning with few images per kind. */
async function choose(page, perKind = 4) {
  await page.locator("#tuning").getByLabel("Images per kind").fill(String(perKind));
  await page.getByRole("button", { name: "Select hyperparameters" }).click();
}

const says = (page, text) => page.locator("#tuning > .status", { hasText: text }).waitFor();

async function saved(page, name) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

for (const [width, height, colorScheme] of [
  [1280, 900, "light"],
  [390, 844, "dark"],
]) {
  test(`held-out images give hyperparameters, a heat map and files, ${width} wide, ${colorScheme}`, { skip }, async () => {
    await onPage(
      up,
      { hash: "#calibrate?model=digits", context: { viewport: { width, height }, colorScheme, reducedMotion: "reduce" } },
      async (page) => {
        await page.locator("#tuning label", { hasText: "The model in use, Digits" }).waitFor();
        await page.setInputFiles("#tuning input[webkitdirectory]", classFolder(DIGITS, 3));
        await page.locator(".tune-intake .status", { hasText: "30 held-out images." }).waitFor();
        await choose(page);
        await says(page, "Done: 30 held-out images, 64 pseudo-OOD images.");

        // The sixteen kinds, each with a description and a different image.
        const kinds = page.locator(".kinds canvas");
        assert.equal(await kinds.count(), 16);
        assert.match(await page.locator(".kind").first().textContent(), /jigsaw2four tiles, shuffled/);
        const looks = await kinds.evaluateAll((all) => all.map((canvas) => canvas.toDataURL()));
        assert.equal(new Set(looks).size, 16);

        // Warnings, and the selected hyperparameters in words.
        assert.match(await page.getByRole("list", { name: "Tuning warnings" }).textContent(), /Only 30 held-out images/);
        const picks = await page.getByRole("list", { name: "Selected hyperparameters" }).locator("li").allTextContents();
        assert.deepEqual(
          picks.map((text) => text.split(/[: ]/)[0]),
          ["Energy", "ITP", "ReAct", "HELD", "HELD+T"],
        );

        // The heat map by keys and by pointer; the table agrees.
        const map = page.locator("#tuning .heat");
        assert.equal(await map.locator(".heat-cell").count(), 77);
        assert.equal(await map.locator(".heat-r1").count(), 1);
        assert.equal(await map.locator(".heat-rstar").count(), 1);
        const cell = page.locator("#tune-cell");
        const picked = await cell.textContent();
        assert.match(picks[1], new RegExp(`p = ${/p (\d+)/.exec(picked)[1]}`));
        await map.focus();
        await page.keyboard.press("Home");
        await page.keyboard.press("PageUp");
        assert.equal(await cell.textContent(), "p 0, λ ∞");
        await page.keyboard.press("ArrowRight");
        assert.equal(await cell.textContent(), width > 1000 ? "p 0, λ 3" : "p 5, λ ∞");
        assert.match(await page.locator("#tune-cell-text").textContent(), /AUROC \d/);
        const box = await map.locator(".heat-cell").last().boundingBox();
        await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        assert.equal(await cell.textContent(), "p 50, λ 0.8");
        await page.locator("#tuning summary").click();
        const last = page.getByRole("region", { name: "AUROC by p and λ, as a table" }).locator("tbody tr").last().locator("td").last();
        assert.equal(parseFloat(await last.textContent()), number(await page.locator(".cell-table td").first().textContent()));
        await page.getByLabel("Against").selectOption("noise");
        assert.equal(await map.locator(".heat-cell").count(), 77);

        await page.addScriptTag({ content: axe });
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        assert.deepEqual(
          violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`),
          [],
        );
        const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(beyond <= 0, `${beyond} pixels too wide`);
        await screenshot(page, `tune-${width}x${height}-${colorScheme}`);

        // The files, and the page using them.
        const json = await saved(page, "Report as JSON");
        const report = JSON.parse(json.bytes.toString());
        assert.equal(json.name, "digits.tuning.json");
        assert.equal(report.holdout, 30);
        assert.equal(report.families[1].tried.length, 77);
        const markdown = await saved(page, "Report as Markdown");
        assert.equal(markdown.name, "digits.tuning.md");
        assert.match(markdown.bytes.toString(), /^# Settings from in-distribution images alone/);
        const stats = await saved(page, "Download digits.tuned.itp.safetensors");
        const detector = await loadDetector({ model: readFileSync(ONNX), stats: stats.bytes, worker: false });
        const { p, lambda } = report.families[1].tried[report.families[1].r1].setting;
        assert.equal(detector.info.settings.p, p);
        assert.equal(detector.info.settings.lambda, lambda === "inf" ? Infinity : lambda);
        assert.equal(detector.info.idImages, 30);
        detector.dispose();
        await page.locator("#tuning").getByRole("button", { name: "Use it on this page" }).click();
        await page.waitForFunction(() => document.querySelector("#model").value === "own");
        assert.equal(await page.locator("#model option:checked").textContent(), "digits (tuned)");
        await page.setInputFiles("#file", {
          name: "bar.png",
          mimeType: "image/png",
          buffer: png(28, 28, (x, y) => (Math.abs(y - 14) < 3 ? 255 : 0)),
        });
        await verdict(page, "bar.png");
      },
    );
  });
}

test("missing input is reported; tuning can be cancelled and started again", { skip }, async () => {
  await onPage(up, { hash: "#calibrate?model=digits", fresh: true }, async (page) => {
    await page.locator("#tuning label", { hasText: "The model in use, Digits" }).waitFor();
    await choose(page);
    await says(page, "Choose held-out images first.");
    await page.setInputFiles("#tuning input[webkitdirectory]", classFolder(["0"], 4));
    await page.locator(".tune-intake .status", { hasText: "4 held-out images." }).waitFor();
    await choose(page);
    await says(page, /at least two/);
    await page.setInputFiles("#tuning input[webkitdirectory]", classFolder(DIGITS, 20));
    await page.locator(".tune-intake .status", { hasText: "200 held-out images." }).waitFor();
    await choose(page, 200);
    await says(page, "steps");
    await page.locator("#tuning > .actions").getByRole("button", { name: "Cancel" }).click();
    await says(page, "Cancelled.");
    assert.equal(await page.locator("#tuning .heat").count(), 0);
    await choose(page, 1);
    await says(page, "Done: 200 held-out images, 16 pseudo-OOD images.");
  });
});

test("a stats file that was just made is tuned on its held-out images", { skip }, async () => {
  await onPage(up, { hash: "#calibrate", fresh: true }, async (page) => {
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', ONNX);
    await page.locator("#calibrate select").first().selectOption("digits");
    await page.setInputFiles("#calibrate-training input[webkitdirectory]", classFolder(DIGITS, 20));
    await page.locator("#calibrate-training .status", { hasText: "200 images in 10 classes." }).waitFor();
    await page.getByRole("button", { name: "Make the stats file" }).click();
    await page.getByRole("button", { name: "Download digits.itp.safetensors" }).waitFor();
    assert.ok(await page.getByLabel("The stats file made above").isChecked());
    await choose(page, 2);
    await says(page, "Done: 20 held-out images, 32 pseudo-OOD images.");
    assert.doesNotMatch(await page.getByRole("list", { name: "Tuning warnings" }).textContent(), /without a class/);
    const { bytes } = await saved(page, "Download digits.tuned.itp.safetensors");
    const detector = await loadDetector({ model: readFileSync(ONNX), stats: bytes, worker: false });
    assert.deepEqual(detector.info.counts, Array(10).fill(18));
    assert.equal(detector.info.idImages, 20);
    detector.dispose();
  });
});

test("Play and Measure list HELD, HELD+T and CADRef beside ITP and Energy", { skip }, async () => {
  await onPage(up, { hash: "#play?model=digits", fresh: true }, async (page) => {
    await verdict(page);
    const play = await page.locator("#score-choice option").allTextContents();
    assert.deepEqual(play.slice(0, 5), ["ITP", "Energy", "HELD", "HELD+T", "CADRef"]);
    await page.goto(`${up.server.url}#measure`);
    await page.locator("#measure-gallery").click();
    await page.locator("#measure-table tr").first().waitFor();
    assert.deepEqual((await page.locator("#measure-table th").allTextContents()).slice(0, 5), [
      "ITP",
      "Energy",
      "HELD",
      "HELD+T",
      "CADRef",
    ]);
  });
});

test("Explain shows what is pruned near to and far from the training data", { skip }, async () => {
  await onPage(up, { hash: "#explain", fresh: true }, async (page) => {
    assert.equal(await page.locator("#near-far tbody tr").count(), 5);
    await page.waitForFunction(() => {
      const canvas = document.querySelector("#near-far canvas");
      return canvas.getContext("2d").getImageData(44, 44, 1, 1).data[3] > 0;
    });
    assert.match(await page.locator("#near-far-words").textContent(), /shrinks from 8.2 to 5.6, .* grows from 7.7 to 8.5/);
  });
});
