// Calibrate: from the same images and hyperparameters, the page and the command line make the same
// stats file.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { at } from "../../scripts/lib/tools.mjs";
import { pixelModel } from "../js/onnx.mjs";
import { testImage, toPng } from "../js/support.mjs";
import { onPage, setUp, skip } from "./support.mjs";

const up = setUp();
const itp = at("target/release/itp");
const noItp = existsSync(itp) ? false : "the native command is not built";

/** A folder with `count` images for each class, of many sizes: enlarged, reduced, cropped, grey, with alpha. */
function folderOf(classes, count, seed) {
  const folder = mkdtempSync(join(tmpdir(), "itp-same-stats-"));
  classes.forEach((name, k) => {
    mkdirSync(join(folder, name));
    for (let i = 0; i < count; i++) {
      const n = seed + k * count + i;
      // Ten and more files: sorted as text, 10 comes before 2.
      writeFileSync(join(folder, name, `${i}.png`), toPng(testImage(n, 12 + ((n * 13) % 90), 12 + ((n * 29) % 70), [3, 3, 4, 1][n % 4])));
    }
  });
  return folder;
}

/** The tensors of a safetensors file, and its metadata. */
function contentsOf(bytes) {
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.subarray(8, end).toString());
  const values = ({ dtype, data_offsets: [from, to] }) => {
    const data = Uint8Array.prototype.slice.call(bytes, end + from, end + to).buffer;
    if (dtype === "F32") return Array.from(new Float32Array(data));
    return dtype === "I64" ? Array.from(new BigInt64Array(data), Number) : Array.from(new Uint16Array(data), half);
  };
  const layout = Object.entries(tensors).map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`);
  return { metadata, layout, tensors: Object.fromEntries(Object.entries(tensors).map(([name, entry]) => [name, values(entry)])) };
}

function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  return (bits >> 15 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** Both stats files for a model, from the same images and settings. */
async function make(name, onnx, preset, labels) {
  const [training, holdout] = [folderOf(labels, 12, 0), folderOf(["a", "b"], 20, 1000)];
  const [model, output] = [join(training, `${name}.onnx`), join(training, "native.itp.safetensors")];
  writeFileSync(model, onnx);
  const settings = ["--p", "20", "--lambda", "1.6", "--score", "itp", "--tpr", "0.9"];
  const { status, stderr } = spawnSync(
    itp,
    ["calibrate", model, training, "--holdout", holdout, "--preset", preset, ...settings, "-o", output],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stderr);
  let page;
  await onPage(up, { hash: "#calibrate", fresh: true }, async (open) => {
    await open.setInputFiles('#calibrate input[aria-label="ONNX file"]', model);
    await open.locator("#calibrate select").first().selectOption(preset);
    await open.setInputFiles("#calibrate-training input[webkitdirectory]", training);
    await open.locator("#calibrate-training .status", { hasText: "120 images in 10 classes." }).waitFor();
    await open.setInputFiles("#calibrate-holdout input[webkitdirectory]", holdout);
    await open.locator("#calibrate-holdout .status", { hasText: "40 held-out images." }).waitFor();
    for (const [label, value] of [
      ["CRP: p, in percent", "20"],
      ["FTP: λ", "1.6"],
      ["ID images accepted, in percent", "90"],
    ])
      await open.getByLabel(label).fill(value);
    await open.getByRole("button", { name: "Make the stats file" }).click();
    const save = open.getByRole("button", { name: `Download ${name}.itp.safetensors` });
    await save.waitFor();
    const [download] = await Promise.all([open.waitForEvent("download"), save.click()]);
    page = readFileSync(await download.path());
  });
  return { page, native: readFileSync(output) };
}

const DIGITS = Array.from("0123456789");

test("the page's stats file is the command line's, byte by byte", { skip: skip || noItp }, async () => {
  // The features are the pixels: order, decoding, resizing, moments, scores and layout are put to
  // the test, and the file's bytes are all that counts.
  const { page, native } = await make("pixels", pixelModel(10), "cifar", DIGITS);
  assert.deepEqual(contentsOf(page).metadata, contentsOf(native).metadata);
  assert.ok(page.equals(native));
});

// The command line multiplies with fused instructions, which WebAssembly does not have: behind a
// network, features differ in their last digits, and with them what is computed from them.
for (const [name, preset] of [
  ["digits", "digits"],
  ["photos", "cifar"],
]) {
  test(`behind the network ${name} the two differ by rounding only`, { skip: skip || noItp }, async () => {
    const { page, native } = await make(name, readFileSync(at(`www/models/${name}.onnx`)), preset, DIGITS);
    const [ours, theirs] = [contentsOf(page), contentsOf(native)];
    assert.deepEqual(ours.layout, theirs.layout);
    const { heldA, ...settings } = JSON.parse(ours.metadata.settings);
    const { heldA: nativeHeldA, ...nativeSettings } = JSON.parse(theirs.metadata.settings);
    assert.deepEqual({ ...ours.metadata, settings }, { ...theirs.metadata, settings: nativeSettings });
    assert.ok(Math.abs(heldA - nativeHeldA) <= 1e-4 * Math.abs(nativeHeldA), `heldA ${heldA}, not ${nativeHeldA}`);
    for (const [tensor, values] of Object.entries(ours.tensors)) {
      // Half precision has three digits.
      const tolerance = tensor.endsWith(".f16") ? 1e-3 : 1e-4;
      values.forEach((value, i) => {
        const expected = theirs.tensors[tensor][i];
        assert.ok(
          Math.abs(value - expected) <= tolerance * Math.max(1, Math.abs(expected)),
          `${tensor}[${i}] is ${value}, not ${expected}`,
        );
      });
    }
  });
}
