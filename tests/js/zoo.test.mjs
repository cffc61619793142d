// The classifiers of tests/zoo in WebAssembly: ONNX Runtime's logits for each.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { Calibrator, Engine, initSync, start } from "../../dist/engine.js";
import { at } from "../../scripts/lib/tools.mjs";

/** The largest difference of a logit, as a part of the largest logit. */
const TOLERANCE = 1e-3;
/** The same of a quantised model; crates/backbone/tests/zoo.rs says why. */
const ROUNDED = 0.035;
const LARGE = ["levit", "visformer", "cvt", "mobilevit", "hf_pvt_", "hf_efficientnet", "tv_shuffle"];

/** The pixels of `images` in tests/zoo/make.py, with channels last. */
function image(side, seed) {
  let state = (Math.imul(seed, 2654435761) + 1) >>> 0;
  const pixels = new Uint8Array(3 * side * side);
  for (let channel = 0; channel < 3; channel++) {
    for (let pixel = 0; pixel < side * side; pixel++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      pixels[pixel * 3 + channel] = state >>> 24;
    }
  }
  return pixels;
}

/** Logits by model, one row an image. */
const expected = new Map();
for (const line of readFileSync(at("tests/zoo/expected.txt"), "utf8").trim().split("\n")) {
  const [name, , ...logits] = line.split(" ");
  expected.set(name, [...(expected.get(name) ?? []), logits.map(Number)]);
}

/** The logits of both images. Only an engine with a stats file gives them, so one is made up. */
function run(name) {
  const bytes = new Uint8Array(readFileSync(at(`tests/zoo/models/${name}.onnx`)));
  const side = LARGE.some((word) => name.includes(word)) ? 64 : 32;
  const preprocess = { crop: [side, side], interpolation: "bilinear", channels: "rgb", mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  const plain = new Engine(bytes, undefined, preprocess);
  const features = [0, 1].map((seed) => plain.features(image(side, seed), side, side, 3));
  const classes = plain.info.classes;
  const calibrator = new Calibrator(
    plain,
    Array.from({ length: classes }, (_, k) => `class ${k}`),
  );
  for (let i = 0; i < 2 * classes; i++)
    calibrator.add(
      features[i % 2].map((value, at) => value + ((i * 7 + at * 3) % 5) * 0.1),
      i % classes,
    );
  const detector = new Engine(bytes, calibrator.finish(undefined), undefined);
  const logits = features.map((values) => [...detector.detect(values, {}).logits]);
  for (const used of [plain, calibrator, detector]) used.free();
  return logits;
}

function distance(left, right) {
  assert.equal(left.length, right.length);
  const largest = Math.max(...right.map(Math.abs));
  return Math.max(...left.map((value, i) => Math.abs(value - right[i]))) / largest;
}

before(() => {
  initSync({ module: readFileSync(at("dist/engine.wasm")) });
  start();
});

for (const [name, rows] of expected) {
  if (name.endsWith(".quantized")) continue;
  test(name, () => {
    const rounded = expected.get(`${name}.quantized`);
    run(name).forEach((logits, i) => {
      const [reference, allowed] = rounded ? [rounded[i], ROUNDED] : [rows[i], TOLERANCE];
      const error = distance(logits, reference);
      assert.ok(error <= allowed, `image ${i} differs by ${error.toExponential(1)}, allowed ${allowed.toExponential(1)}`);
    });
  });
}
