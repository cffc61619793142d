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
    await page.locator("#own .status", { hasText: /photos\.itp\.safetensors was not made for digits\.onnx/ }).waitFor();
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

test("one failed pair of files does not spoil the next, and each failure says what is wrong", { skip }, async () => {
  await onPage(up, { hash: "#measure", fresh: true }, async (page) => {
    await verdictLoaded(page);
    const own = "#own input[accept]";
    const says = (text) => page.locator("#own .status", { hasText: text }).waitFor();
    const [onnx, stats] = ["digits.onnx", "digits.itp.safetensors"].map((name) => readFileSync(at("www/models", name)));
    const file = (name, buffer) => ({ name, mimeType: "", buffer });
    const good = [file("digits.onnx", onnx), file("digits.itp.safetensors", stats)];
    for (const [pair, text] of [
      // Cut off, so that it is another file by its hash, too.
      [[file("broken.onnx", onnx.subarray(0, 5000)), good[1]], /broken\.onnx can't be used as a network: /],
      [[file("text.onnx", Buffer.from("no network")), good[1]], /text\.onnx can't be used as a network: /],
      [[good[0], file("broken.itp.safetensors", stats.subarray(0, 5000))], /broken\.itp\.safetensors can't be used: /],
      [
        [good[0], file("photos.itp.safetensors", readFileSync(at("www/models/photos.itp.safetensors")))],
        /photos\.itp\.safetensors was not made for digits\.onnx/,
      ],
    ]) {
      await page.setInputFiles(own, pair);
      await says(text);
      const words = await page.locator("#own .status").textContent();
      assert.doesNotMatch(words, /itp calibrate|[0-9a-f]{32}/, "no command line, no hashes");
      assert.match(words, /Then choose both files again/);
      // The next ONNX file alone does not meet the stats file of the pair that failed.
      await page.setInputFiles(own, [good[0]]);
      await says(/^digits\.onnx is here\. Now choose its stats file/);
      await page.setInputFiles(own, [good[1]]);
      await says(/^digits\.onnx is in use: 10 classes/);
    }
    assert.equal(await page.locator("#model").inputValue(), "own");
  });
});

test("the threshold can be dragged: counts, faces and the worst mistakes follow", { skip }, async () => {
  await onPage(up, { hash: "#measure?model=photos", fresh: true }, async (page) => {
    await verdictLoaded(page);
    await page.locator("#measure-gallery").click();
    await page.locator("#measure-results").waitFor();
    const csv = (await saved(page, "#csv")).text
      .trim()
      .split("\r\n")
      .map((line) => line.split(","));
    const column = csv[0].indexOf("itp");
    const of = (side) => csv.filter(([set]) => set === side).map((line) => Number(line[column]));
    const counts = async () => {
      const text = (await page.locator("#measure-counts").textContent()).replaceAll("−", "-");
      return /At (\S+): (\d+) of (\d+) ID .* and (\d+) of (\d+) OOD/.exec(text).slice(1).map(Number);
    };
    const check = async () => {
      const threshold = Number(await page.locator("#measure-threshold").inputValue());
      const above = (side) => of(side).filter((score) => score >= threshold - 1e-9).length;
      const [shown, id, allId, ood, allOod] = await counts();
      assert.ok(Math.abs(shown - threshold) < 0.006);
      assert.deepEqual([id, ood], [above("id"), above("ood")]);
      assert.deepEqual([allId, allOod], [of("id").length, of("ood").length]);
      const wrong = of("id").length - id + ood;
      const worst = await page.locator(".worst .face").count();
      assert.equal(worst, Math.min(6, of("id").length - id) + Math.min(6, ood), `${wrong} mistakes`);
      return { id, ood };
    };
    // At first the page's own threshold, whose acceptance stands in the table, too.
    const own = await check();
    const row = page.locator("#measure-table tr", { has: page.locator("th", { hasText: /^ITP$/ }) });
    const [, , oodShare, idShare] = (await row.locator("td").allTextContents()).map(number);
    assert.ok(Math.abs(oodShare - (100 * own.ood) / of("ood").length) < 0.06);
    assert.ok(Math.abs(idShare - (100 * own.id) / of("id").length) < 0.06);
    // By keys.
    await page.locator("#measure-threshold").focus();
    await page.keyboard.press("Home");
    const all = await check();
    assert.deepEqual([all.id, all.ood], [of("id").length, of("ood").length]);
    // On the chart.
    await page.locator("#measure-histogram").scrollIntoViewIfNeeded();
    const box = await page.locator("#measure-histogram").boundingBox();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 110, { steps: 4 });
    await page.mouse.up();
    const dragged = await check();
    assert.ok(dragged.ood < all.ood);
    await page.locator("#measure-reset").click();
    assert.deepEqual(await check(), own);
    // Faces along the axis, from low to high.
    for (const name of ["ID images by score", "OOD images by score"]) {
      const places = await page
        .getByRole("group", { name })
        .locator(".face")
        .evaluateAll((all) => all.map((face) => face.getBoundingClientRect().left));
      assert.ok(places.length > 3);
      assert.deepEqual(
        places,
        [...places].sort((a, b) => a - b),
      );
    }
    // The worst mistake is one click from its reasons.
    const face = page.locator("#measure-worst-ood .face").first();
    const name = (await face.getAttribute("aria-label")).split(",")[0];
    await face.click();
    await page.locator("#view-why").waitFor();
    await page.locator("#map-legend li").first().waitFor();
    await open(page, "try");
    assert.equal((await verdict(page, name)).kind, "in");
  });
});

// ITP_BLESS=1 writes the file anew.
test("how well each score separates the gallery is as the page says", { skip }, async () => {
  const path = at("www/models/gallery/separation.json");
  const measured = {};
  for (const model of ["photos", "digits", "things"]) {
    await onPage(up, { hash: `#measure?model=${model}`, fresh: true }, async (page) => {
      await verdictLoaded(page);
      await page.locator("#measure-gallery").click();
      await page.locator("#measure-results").waitFor();
      const { results } = JSON.parse((await saved(page, "#json")).text);
      measured[model] = Object.fromEntries(results.map(({ detector, auroc }) => [detector, Math.round(auroc * 10) / 1000]));
    });
  }
  if (process.env.ITP_BLESS) writeFileSync(path, `${JSON.stringify(measured, null, 2)}\n`);
  const known = JSON.parse(readFileSync(path, "utf8"));
  assert.deepEqual(Object.keys(known), Object.keys(measured));
  for (const [model, scores] of Object.entries(measured)) {
    assert.deepEqual(Object.keys(known[model]).sort(), Object.keys(scores).sort());
    for (const [score, auroc] of Object.entries(scores))
      assert.ok(Math.abs(known[model][score] - auroc) < 0.01, `${model}, ${score}: ${auroc}`);
  }
});

const verdictLoaded = (page) => page.waitForFunction(() => document.querySelector("#verdict")?.dataset.kind);
