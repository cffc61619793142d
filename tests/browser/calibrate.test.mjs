// Calibrate: a stats file made in the browser works on the page, in the package and on the command line.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { classFolder, onPage, png, screenshot, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const DIGITS = Array.from("0123456789");
const ONNX = at("www/models/digits.onnx");
const axe = readFileSync(at("node_modules/axe-core/axe.min.js"), "utf8");

test("a folder of class folders becomes a stats file", { skip }, async () => {
  await onPage(up, { hash: "#calibrate" }, async (page) => {
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', ONNX);
    await page.locator("#calibrate select").first().selectOption("digits");
    await page.setInputFiles("#calibrate-training input[webkitdirectory]", classFolder(DIGITS, 5));
    await page.locator("#calibrate-training .status", { hasText: "50 images in 10 classes." }).waitFor();
    assert.deepEqual(await page.locator("#calibrate-training tbody th").allTextContents(), DIGITS);
    await page.locator("#calibrate-training .warn", { hasText: /10 of 10 classes have fewer than 30 images/ }).waitFor();
    await page.setInputFiles("#calibrate-holdout input[webkitdirectory]", classFolder(["x"], 12));
    await page.locator("#calibrate-holdout .status", { hasText: "12 held-out images." }).waitFor();
    await page.getByRole("button", { name: "Make the stats file" }).click();
    const save = page.getByRole("button", { name: "Download digits.itp.safetensors" });
    await save.waitFor();
    assert.match(await page.getByRole("list", { name: "Warnings" }).textContent(), /fewer than/);
    const [download] = await Promise.all([page.waitForEvent("download"), save.click()]);
    assert.equal(download.suggestedFilename(), "digits.itp.safetensors");
    const bytes = readFileSync(await download.path());

    // The same layout as the file that comes with the page.
    const shipped = layoutOf(readFileSync(at("www/models/digits.itp.safetensors"))).metadata;
    // These images are no digits, which stands in the notes.
    assert.deepEqual(layoutOf(bytes).metadata, [...shipped, "notes"].sort());
    const detector = await loadDetector({ model: readFileSync(ONNX), stats: bytes, worker: false });
    assert.deepEqual(detector.info.counts, Array(10).fill(5));
    assert.deepEqual(detector.info.labels, DIGITS);
    assert.equal(detector.info.idImages, 12);
    assert.equal(typeof detector.info.threshold, "number");
    detector.dispose();
    const cli = at("target/release/itp");
    if (existsSync(cli)) {
      const path = join(mkdtempSync(join(tmpdir(), "itp-stats-")), "digits.itp.safetensors");
      writeFileSync(path, bytes);
      const { status, stderr } = spawnSync(cli, ["inspect", path], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    }

    await page.getByRole("button", { name: "Use it on this page" }).click();
    await page.waitForFunction(() => document.querySelector("#model").value === "own");
    await page.setInputFiles("#file", {
      name: "bar.png",
      mimeType: "image/png",
      buffer: png(28, 28, (x, y) => (Math.abs(y - 14) < 3 ? 255 : 0)),
    });
    const { words } = await verdict(page, "bar.png");
    assert.match(words, /amiliar/);
  });
});

test("training images alone give a threshold and chosen hyperparameters", { skip }, async () => {
  await onPage(up, { hash: "#calibrate", fresh: true }, async (page) => {
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', ONNX);
    await page.locator("#calibrate select").first().selectOption("digits");
    await page.setInputFiles("#calibrate-training input[webkitdirectory]", classFolder(DIGITS, 50));
    await page.locator("#calibrate-training .status", { hasText: "500 images in 10 classes." }).waitFor();
    await page.getByRole("button", { name: "Make the stats file" }).click();
    await page.locator("#calibrate-work .status", { hasText: /of 1,351 pseudo-OOD images/ }).waitFor();
    const save = page.getByRole("button", { name: "Download digits.itp.safetensors" });
    await save.waitFor();
    const warnings = page.getByRole("list", { name: "Warnings", exact: true });
    assert.match(await warnings.textContent(), /hold out images that the model was not trained on/);
    const [download] = await Promise.all([page.waitForEvent("download"), save.click()]);
    const detector = await loadDetector({ model: readFileSync(ONNX), stats: readFileSync(await download.path()), worker: false });
    const { info } = detector;
    assert.deepEqual(info.counts, Array(10).fill(45));
    assert.equal(info.idImages, 50);
    assert.equal(typeof info.threshold, "number");
    assert.notEqual(info.settings.heldA, null, "as tuning leaves it");
    assert.match(info.warnings.join(), /hold out images that the model was not trained on/);
    detector.dispose();
  });
});

test("calibrating and tuning are one flow: what is made and rated is shown, with the report", { skip }, async () => {
  await onPage(up, { hash: "#calibrate", fresh: true }, async (page) => {
    const card = page.locator("#calibrate-work");
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', ONNX);
    await page.locator("#calibrate select").first().selectOption("digits");
    await page.setInputFiles("#calibrate-training input[webkitdirectory]", classFolder(DIGITS, 12));
    await page.setInputFiles("#calibrate-holdout input[webkitdirectory]", classFolder(DIGITS, 6));
    await page.locator("#calibrate-holdout .status", { hasText: "60 held-out images." }).waitFor();
    await card.locator("summary", { hasText: "How they are selected" }).click();
    await card.getByLabel("Images per kind").fill("3");
    const make = page.getByRole("button", { name: "Make the stats file" });
    await make.click();
    await card.getByRole("list", { name: "Selected hyperparameters" }).waitFor();
    // 120 and 60 images, then 60 and 48 of them once more, and the rating.
    assert.equal(await card.locator(".kinds canvas").count(), 16);
    assert.equal(await card.locator(".heat-cell").count(), 77);
    await page.addScriptTag({ content: axe });
    const { violations } = await page.evaluate(() => globalThis.axe.run("#calibrate", { resultTypes: ["violations"] }));
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`),
      [],
    );
    await screenshot(page, "calibrate-flow-1280x900-light");
    const [download] = await Promise.all([page.waitForEvent("download"), card.getByRole("button", { name: "Report as JSON" }).click()]);
    const report = JSON.parse(readFileSync(await download.path(), "utf8"));
    assert.deepEqual([report.holdout, report.classes, report.rule, ...new Set(report.images)], [60, 10, "r1", 3]);
    const picked = report.families.find(({ score }) => score === "itp");
    const { p, lambda } = picked.tried[picked.r1].setting;
    const [stats] = await Promise.all([
      page.waitForEvent("download"),
      card.getByRole("button", { name: "Download digits.itp.safetensors" }).click(),
    ]);
    const detector = await loadDetector({ model: readFileSync(ONNX), stats: readFileSync(await stats.path()), worker: false });
    const { settings } = detector.info;
    // Never one that is rated below Energy, as on the command line.
    const energy = report.families.find(({ score }) => score === "energy").tried[0].mean;
    const isSafe = picked.tried[picked.r1].mean >= energy;
    assert.deepEqual([settings.p, settings.lambda], isSafe ? [p, lambda === "inf" ? Infinity : lambda] : [0, Infinity]);
    detector.dispose();
    // Without selecting, it is said what the published hyperparameters are worth.
    await card.getByLabel(/^Select p, λ/).uncheck();
    await make.click();
    await page.getByRole("list", { name: "Warnings", exact: true }).filter({ hasText: "published for another network" }).waitFor();
    assert.equal(await card.locator(".heat-cell").count(), 0);
    // Given by hand, nothing is selected either.
    await card.getByLabel(/^Select p, λ/).check();
    await card.getByLabel("CRP: p, in percent").fill("7");
    await make.click();
    await card.getByRole("button", { name: "Download digits.itp.safetensors" }).waitFor();
    assert.equal(await page.getByText("published for another network").count(), 0);
    assert.equal(await card.locator(".heat-cell").count(), 0);
  });
});

test("missing and inconsistent input is reported", { skip }, async () => {
  await onPage(up, { hash: "#calibrate", fresh: true }, async (page) => {
    const make = page.getByRole("button", { name: "Make the stats file" });
    const says = (text) => page.locator("#calibrate-work .status", { hasText: text }).waitFor();
    await make.click();
    await says("Choose your ONNX file first.");
    await page.setInputFiles('#calibrate input[aria-label="ONNX file"]', ONNX);
    await make.click();
    await says("Choose the training images first.");
    // Classes by hand.
    await page.locator("#calibrate-training summary").click();
    for (const name of ["cats", "dogs"]) {
      await page.getByRole("textbox", { name: "Class", exact: true }).fill(name);
      await page.setInputFiles(
        'input[aria-label="Images of this class"]',
        [0, 1].map((i) => ({ name: `${i}.png`, mimeType: "image/png", buffer: png(28, 28, (x) => x * i) })),
      );
      await page.getByRole("button", { name: "Add to the class" }).click();
    }
    assert.deepEqual(await page.locator("#calibrate-training tbody th").allTextContents(), ["cats", "dogs"]);
    await page.locator("#calibrate select").first().selectOption("digits");
    await make.click();
    await says(/10 outputs, but there are 2 classes/);
  });
});

/** Names of the tensors and of the metadata of a safetensors file. */
function layoutOf(bytes) {
  const { __metadata__, ...tensors } = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString());
  return { tensors: Object.keys(tensors).sort(), metadata: Object.keys(__metadata__).sort() };
}
