// Models of other kinds: several classifiers, weights in a second file, a last layer that isn't linear,
// and preprocessing as Hugging Face describes it.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { fails } from "./fails.mjs";
import { makeStats, model, preprocess, testImage } from "./support.mjs";

const refused = (promise, code, ...words) => assert.rejects(promise, fails(code, ...words));
const path = (name) => at(`tests/models/heads/${name}`);
const head = (name) => new Uint8Array(readFileSync(path(`${name}.onnx`)));

for (const worker of [true, false]) {
  test(`weights in a second file are given by name (worker: ${worker})`, async () => {
    const bytes = new Uint8Array(readFileSync(path("external.data")));
    const reference = await loadDetector({ model: path("external.onnx"), preprocess, worker });
    const expected = await reference.features(testImage(1));
    reference.dispose();
    const sources = [
      bytes,
      bytes.buffer,
      new Blob([bytes]),
      new Response(bytes),
      pathToFileURL(path("external.data")),
      path("external.data"),
    ];
    for (const source of sources) {
      const externalData = { "external.data": source };
      const detector = await loadDetector({ model: head("external"), preprocess, externalData, worker });
      assert.deepEqual(await detector.features(testImage(1)), expected);
      detector.dispose();
    }
    assert.equal(bytes.length, readFileSync(path("external.data")).length, "the caller's bytes stay");
  });

  test(`a second file that is missing or wrong is named (worker: ${worker})`, async () => {
    const load = (externalData, name = "external") => loadDetector({ model: head(name), preprocess, externalData, worker });
    await refused(load(undefined), "model", /`external\.data`.*externalData/);
    await refused(load({ "other.data": new Uint8Array(8) }), "model", /`external\.data`/);
    await refused(load({ "external.data": new Uint8Array(8) }), "model", /has 8 bytes/);
    await refused(load({ "external.data": 3 }), "fetch", /weights can't be read/);
    for (const wrong of ["external.data", 3, [], new Map()]) await refused(load(wrong), "options", /externalData/);
  });
}

test("files beside the model only are read in Node", async () => {
  const folder = mkdtempSync(join(tmpdir(), "itp-ood-"));
  try {
    writeFileSync(join(folder, "model.onnx"), head("external"));
    const load = () => loadDetector({ model: join(folder, "model.onnx"), preprocess });
    await refused(load(), "model", /`external\.data`/);
    writeFileSync(join(folder, "external.data"), readFileSync(path("external.data")));
    (await load()).dispose();
    (await loadDetector({ model: pathToFileURL(join(folder, "model.onnx")), preprocess })).dispose();
    // A name that leads out of the folder, of the same length.
    const outside = Buffer.from(head("external"));
    for (let at = outside.indexOf("external.data"); at >= 0; at = outside.indexOf("external.data")) outside.write("../ernal.data", at);
    writeFileSync(join(folder, "model.onnx"), outside);
    await refused(load(), "model", /isn't beside the model/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("of several classifiers one is asked for, and the stats file remembers it", async () => {
  const load = (more) => loadDetector({ model: head("two_heads"), preprocess, worker: false, ...more });
  await refused(load({}), "model", /`output`.*`colour`, `kind`/);
  await refused(load({ output: "shape" }), "model", /no output `shape`/);
  for (const output of [3, ""]) await refused(load({ output }), "options", /output/);
  const features = {};
  for (const output of ["colour", "kind"]) {
    const detector = await load({ output });
    assert.equal(detector.info.output, output);
    const calibrator = await detector.calibrate(["a", "b", "c", "d"].slice(0, detector.info.classes));
    for (let i = 0; i < 12 * detector.info.classes; i++) await calibrator.add(testImage(i), i % detector.info.classes);
    const stats = await calibrator.finish();
    const again = await load({ stats });
    assert.equal(again.info.output, output);
    features[output] = (await again.detect(testImage(1))).logits;
    await refused(load({ stats, output: output === "kind" ? "colour" : "kind" }), "mismatch", /output/);
    for (const one of [detector, again]) one.dispose();
  }
  assert.notDeepEqual(features.colour, features.kind);
});

test("without a linear last layer, scores of logits and features work", async () => {
  const bytes = head("squeeze");
  const bare = await loadDetector({ model: bytes, preprocess, worker: false });
  assert.equal(bare.info.penultimate, 6);
  assert.match(bare.info.opaque, /Relu/);
  assert.ok(bare.info.warnings.some((warning) => warning.includes("isn't linear")));
  const missing = Object.fromEntries(bare.info.unavailable.map(({ name, reason }) => [name, reason]));
  assert.match(missing.itp, /weights of a linear last layer/);
  assert.equal(missing.knn, undefined);
  const calibrator = await bare.calibrate(["a", "b", "c", "d"], { detectors: ["all"] });
  for (let i = 0; i < 48; i++) await calibrator.add(testImage(i), i % 4);
  for (let i = 0; i < 40; i++) await calibrator.addHoldout(testImage(1000 + i));
  await refused(calibrator.finish({ score: "itp" }), "options", /linear last layer/);
  const stats = await calibrator.finish();
  bare.dispose();

  const detector = await loadDetector({ model: bytes, stats });
  const { info } = detector;
  assert.equal(info.settings.score, "energy");
  for (const name of ["msp", "mls", "energy", "gen", "klm", "knn", "mahalanobis", "joint_energy"]) {
    assert.ok(info.scores.includes(name), name);
    const result = await detector.detect(testImage(1), { score: name });
    assert.ok(Number.isFinite(result.score) && result.threshold !== undefined, name);
    assert.equal(result.counts, undefined);
    assert.equal(result.energies, undefined);
    assert.equal(result.prunedLogits.length, 0);
  }
  const result = await detector.detect(testImage(1));
  assert.equal(result.features.length, info.features);
  assert.deepEqual(result.features.slice(6), result.logits);
  const energy = Math.log(result.logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  assert.ok(Math.abs(result.unprunedScore - energy) < 1e-6);
  assert.deepEqual(await detector.rescore(result), result);
  await refused(detector.detect(testImage(1), { score: "itp" }), "options", /linear last layer/);
  await refused(detector.explain(result), "options", /linear last layer/);
  await refused(detector.counterfactual(result, { score: "itp" }), "options", /linear last layer/);
  await refused(detector.weightMap(result), "options", /linear last layer/);
  detector.dispose();
});

test("a model with a sigmoid says that its labels don't exclude each other", async () => {
  const detector = await loadDetector({ model: head("sigmoid"), preprocess, worker: false });
  assert.ok(detector.info.multiLabel);
  assert.ok(detector.info.warnings.some((warning) => warning.includes("joint_energy")));
  detector.dispose();
  const plain = await loadDetector({ model: model(), stats: await makeStats(loadDetector), worker: false });
  assert.ok(!plain.info.multiLabel && !plain.info.warnings.some((warning) => warning.includes("joint_energy")));
  const result = await plain.detect(testImage(1), { score: "joint_energy" });
  const expected = result.logits.reduce((sum, logit) => sum + Math.log1p(Math.exp(logit)), 0);
  assert.ok(Math.abs(result.score - expected) < 1e-5);
  plain.dispose();
});

test("a preprocessor_config.json of Hugging Face is read as preprocessing", async () => {
  const config = {
    do_normalize: true,
    do_resize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.25, 0.25, 0.25],
    image_processor_type: "ViTImageProcessor",
    resample: 2,
    size: { height: 8, width: 8 },
  };
  const load = (given) => loadDetector({ model: model(), preprocess: given, worker: false });
  const detector = await load(config);
  const { resize, ...others } = preprocess;
  assert.equal(resize, 8);
  assert.deepEqual(detector.info.preprocess.stretch, [8, 8]);
  const own = await load({ ...others, stretch: [8, 8] });
  const kept = await load(preprocess);
  const features = await Promise.all([detector, own, kept].map((one) => one.features(testImage(1))));
  assert.deepEqual(features[0], features[1]);
  assert.notDeepEqual(features[0], features[2], "the aspect ratio isn't kept");
  for (const one of [detector, own, kept]) one.dispose();
  await refused(load({ ...config, resample: 0 }), "options", /resample/);
  await refused(load({ ...preprocess, stretch: [8, 8] }), "options", /exclude each other/);
});

test("a model may use as much memory as is said", async () => {
  const load = (memory) =>
    loadDetector({ model: at("www/models/photos.onnx"), preprocess: { ...preprocess, resize: 32, crop: [32, 32] }, worker: false, memory });
  await refused(load(1), "model", /limit of 1 MiB/);
  (await load(64)).dispose();
  for (const memory of [0, 1.5, "64", 2 ** 32]) await refused(load(memory), "options", /memory/);
});
