// Measure: metrics from files, and the visitor's own model.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { classFolder, number, onPage, open, png, setUp, skip, verdict } from "./support.mjs";

const up = setUp();
const choose = (page, side, files) => page.setInputFiles(`#measure-${side} input[accept]`, files);
const files = (count, grey) =>
  Array.from({ length: count }, (_, i) => ({ name: `${i}.png`, mimeType: "image/png", buffer: png(28, 28, (x, y) => grey(x, y, i)) }));
const bars = (x, y, i) => (Math.abs(x - 13 - (i % 3)) < 2 && y > 4 && y < 24 ? 255 : 0);
const noise = (x, y, i) => (x * 37 + y * 101 + i * 53 + ((x * y * 7) % 91)) % 256;

async function saved(page, button) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(button).click()]);
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
}

/** Share of pairs that are in order, ties half. */
const aurocOf = (id, ood) =>
  id.flatMap((a) => ood.map((b) => (a > b ? 1 : a === b ? 0.5 : 0))).reduce((sum, value) => sum + value) / (id.length * ood.length);

test("the metrics of two sets follow from their scores", { skip }, async () => {
  await onPage(up, { hash: "#measure?model=digits" }, async (page) => {
    await page.waitForFunction(() => document.querySelector("#model").value === "digits");
    await choose(page, "id", files(12, bars));
    await page.locator("#measure-id .status", { hasText: /^12 images/ }).waitFor();
    await choose(page, "ood", [...files(9, noise), { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no") }]);
    await page.locator("#measure-ood .status", { hasText: /^9 images; 1 can't be read, such as broken.png/ }).waitFor();
    await page.locator("#measure-results").waitFor();
    const csv = await saved(page, "#csv");
    assert.equal(csv.name, "itp-scores.csv");
    const [head, ...lines] = csv.text
      .trim()
      .split("\r\n")
      .map((line) => line.split(","));
    assert.equal(lines.length, 21);
    const column = head.indexOf("itp");
    const of = (side) => lines.filter(([set]) => set === side).map((line) => Number(line[column]));
    const auroc = aurocOf(of("id"), of("ood"));
    const row = page.locator("#measure-table tr", { has: page.locator("th", { hasText: /^ITP$/ }) });
    assert.equal((await row.locator("td").first().textContent()).trim(), `${(auroc * 100).toFixed(1)}%`);
    const json = JSON.parse((await saved(page, "#json")).text);
    const itp = json.results.find(({ detector }) => detector === "itp");
    assert.ok(Math.abs(itp.auroc - auroc * 100) < 1e-6);
    assert.equal(json.id.images, 12);
    assert.equal(itp.images, 9);
    assert.equal(json.broken.length, 1);
    assert.equal(await page.locator("#measure-table tr").count(), json.results.length);
    assert.ok((await page.locator("#measure-histogram .bar-id").count()) > 0);
    assert.ok((await page.locator("#measure-roc .roc").count()) === 1);
    assert.match(await page.locator("#measure-roc svg").getAttribute("aria-label"), /^ROC of .*AUROC/);
  });
});

test("folders are accepted, and inference can be cancelled", { skip }, async () => {
  await onPage(up, { hash: "#measure" }, async (page) => {
    await verdictLoaded(page);
    const folder = classFolder(["a", "b", "c"], 40);
    writeFileSync(join(folder, "notes.txt"), "not an image");
    await page.setInputFiles("#measure-id input[webkitdirectory]", folder);
    await page.locator("#measure-id button", { hasText: "Cancel" }).click();
    await page.locator("#measure-id .status", { hasText: /^(Cancelled\.|120 images)/ }).waitFor();
    await page.setInputFiles("#measure-id input[webkitdirectory]", folder);
    await page.locator("#measure-id .status", { hasText: "120 images; 1 file is not an image." }).waitFor();
  });
});

test("the gallery can be measured", { skip }, async () => {
  await onPage(up, { hash: "#measure" }, async (page) => {
    await verdictLoaded(page);
    await page.locator("#measure-gallery").click();
    await page.locator("#measure-results").waitFor();
    assert.ok((await page.locator("#measure-table tr").count()) >= 6);
    // Split by what the images show, not by the model's verdicts.
    const gallery = JSON.parse(readFileSync(at("www/models/gallery/gallery.json"), "utf8"));
    const model = await page.locator("#model").inputValue();
    const id = gallery.filter((image) => image.model === model && image.truth !== null).length;
    const ood = gallery.filter((image) => image.model === model && image.truth === null).length;
    await page.locator("#measure-size", { hasText: `From ${id} ID and ${ood} OOD` }).waitFor();
  });
});

test("the visitor's own model works on the whole page; a model with another's stats file is refused", { skip }, async () => {
  await onPage(up, { hash: "#measure" }, async (page) => {
    await verdictLoaded(page);
    const own = "#own input[accept]";
    await page.setInputFiles(own, [at("www/models/digits.onnx")]);
    await page.locator("#own .status", { hasText: /choose its stats file/ }).waitFor();
    await page.setInputFiles(own, [at("www/models/photos.itp.safetensors")]);
    await page.locator("#own .status", { hasText: /made for another model|hash|mismatch/i }).waitFor();
    await page.setInputFiles(own, [at("www/models/digits.onnx"), at("www/models/digits.itp.safetensors")]);
    await page.locator("#own .status", { hasText: /digits\.onnx is in use: 10 classes/ }).waitFor();
    assert.equal(await page.locator("#model").inputValue(), "own");
    await open(page, "try");
    await page.setInputFiles("#file", { name: "one.png", mimeType: "image/png", buffer: png(28, 28, (x, y) => bars(x, y, 0)) });
    const { answer } = await verdict(page, "one.png");
    assert.match(answer, /^\d$/);
    await open(page, "why");
    await page.waitForFunction(() => document.querySelector("#map-legend b"));
    const total = (await page.locator("#map-legend b").allTextContents()).map(number).reduce((sum, value) => sum + value);
    assert.equal(total, 10 * number(await page.locator("#why-features").textContent()));
  });
});

const verdictLoaded = (page) => page.waitForFunction(() => document.querySelector("#verdict")?.dataset.kind);
