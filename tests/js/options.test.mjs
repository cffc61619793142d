// Options: every hyperparameter of the registry is one, and a name that is none is refused.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { loadDetector, OodError } from "itp-ood";
import { makeStats, model, preprocess, testImage } from "./support.mjs";

let stats;
let detector;

/** A stats file of the small model with what all detectors gather. */
async function makeFullStats(settings = {}) {
  const bare = await loadDetector({ model: model(), preprocess, worker: false });
  const labels = Array.from({ length: bare.info.classes }, (_, k) => `class ${k}`);
  const calibrator = await bare.calibrate(labels, { detectors: ["all"] });
  for (let i = 0; i < 20 * labels.length; i++) await calibrator.add(testImage(i), i % labels.length);
  for (let i = 0; i < 40; i++) await calibrator.addHoldout(testImage(1000 + i));
  const bytes = await calibrator.finish(settings);
  calibrator.dispose();
  bare.dispose();
  return bytes;
}

/** The names of the tensors in a stats file. */
function tensorsOf(bytes) {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return Object.keys(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))).filter((name) => name !== "__metadata__");
}

before(async () => {
  stats = await makeFullStats();
  detector = await loadDetector({ model: model(), stats, worker: false });
});

after(() => detector?.dispose());

test("the browser's calibrator fits every detector, covariances included", async () => {
  const tensors = tensorsOf(stats);
  const specified = detector.info.detectors.flatMap((of) => of.tensors);
  for (const name of ["vim.residual", "vim.alpha", "mahalanobis.whitening", "klm.templates", "opnp.sensitivity"]) {
    assert.ok(specified.includes(name), `the registry has no tensor ${name}`);
  }
  for (const name of specified)
    assert.ok(
      tensors.some((of) => of === name || of === `${name}.f16`),
      `${name} is not among ${tensors.join(", ")}`,
    );
  for (const { name, combinations } of detector.info.detectors) {
    // A choice among the others, which only tuning makes.
    if (name === "auto") continue;
    if (name !== "gradnorm_leaf") assert.ok(detector.info.scores.includes(name), `no score ${name}`);
    for (const combination of combinations) assert.ok(detector.info.scores.includes(combination), `no score ${combination}`);
  }
  const image = testImage(3);
  for (const score of ["vim", "mahalanobis", "knn"]) {
    const result = await detector.detect(image, { score });
    assert.equal(result.scoreName, score);
    assert.ok(Number.isFinite(result.score) && Number.isFinite(result.threshold));
  }
  // Without being told, it gathers for ITP alone.
  const plain = await makeStats(loadDetector);
  assert.ok(!tensorsOf(plain).some((name) => name.startsWith("vim.")));
});

test("an unknown detector to gather for is refused with the nearest known one", async () => {
  const bare = await loadDetector({ model: model(), preprocess, worker: false });
  await assert.rejects(bare.calibrate(["a", "b", "c", "d"], { detectors: ["mahalanobi"] }), {
    code: "options",
    message: /did you mean "mahalanobis"/,
  });
  bare.dispose();
});

test("a hyperparameter by its full name is one of the call, and equals the stored one", async () => {
  const image = testImage(5);
  const stored = await loadDetector({ model: model(), stats: await makeFullStats({ "dice.p": 30 }), worker: false });
  assert.deepEqual(stored.info.settings.hyperparameters, { "dice.p": 30 });
  const byDefault = await detector.detect(image, { score: "dice" });
  const given = await detector.detect(image, { score: "dice", "dice.p": 30 });
  assert.equal(given.score, (await stored.detect(image, { score: "dice" })).score);
  assert.notEqual(given.score, byDefault.score);
  // The same under its short and its full name.
  const [short, full] = [await detector.detect(image, { p: 40 }), await detector.detect(image, { "itp.p": 40 })];
  assert.equal(short.score, full.score);
  assert.equal(full.settings.p, 40);
  stored.dispose();
});

test("every hyperparameter that the registry lists is taken at its ends", async () => {
  const result = await detector.detect(testImage(2));
  for (const { name, hyperparameters } of detector.info.detectors) {
    for (const of of hyperparameters) {
      assert.ok(of.meaning.length > 10 && of.name.includes("."), of.name);
      for (const key of [of.name, ...(of.short ? [of.short] : [])]) {
        // ODIN's step needs the network, which isn't run again here.
        const value = key === "odin.epsilon" ? 0 : (of.default ?? 1);
        await detector.rescore(result, { [key]: value, ...(detector.info.scores.includes(name) && { score: name }) });
        const outside = of.high < 1e12 ? of.high + 1 : of.low > -1e12 ? of.low - 1 : NaN;
        await assert.rejects(detector.rescore(result, { [key]: outside }), { code: "options" }, `${key} ${outside}`);
      }
    }
  }
});

test("a name that no option has is refused with the nearest that one has, by every call", async () => {
  const image = testImage(4);
  const result = await detector.detect(image);
  const bare = await loadDetector({ model: model(), preprocess, worker: false });
  const calibrator = await bare.calibrate(["a", "b", "c", "d"]);
  for (let i = 0; i < 12; i++) await calibrator.add(testImage(i), i % 4);
  const calls = {
    detect: (options) => detector.detect(image, options),
    rescore: (options) => detector.rescore(result, options),
    explain: (options) => detector.explain(result, options),
    counterfactual: (options) => detector.counterfactual(result, options),
    weightMap: (options) => detector.weightMap(result, options),
    scores: (options) => detector.scores([result.features], options),
    idScores: (options) => detector.idScores("itp", options),
    finish: (options) => calibrator.finish(options),
  };
  const wrong = [
    [{ lamda: 2 }, /"lamda"; did you mean "lambda"/],
    [{ treshold: 2 }, /"treshold"; did you mean "threshold"/],
    [{ "dice.q": 2 }, /"dice.q"; did you mean "dice.p"/],
    [{ Temperature: 2 }, /did you mean "temperature"/],
    [{ "react.clp": "much" }, /did you mean "react.clip"/],
  ];
  for (const [name, call] of Object.entries(calls)) {
    for (const [options, message] of wrong) {
      // A stats file stores no threshold, so that finish() takes none.
      if (name === "finish" && "treshold" in options) continue;
      await assert.rejects(call(options), (error) => {
        assert.ok(error instanceof OodError, `${name}: ${error.stack}`);
        assert.equal(error.code, "options", `${name}: ${error.message}`);
        assert.match(error.message, message, name);
        return true;
      });
    }
  }
  await assert.rejects(detector.detect(image, { score: "enrgy" }), { code: "options", message: /did you mean "energy"/ });
  // The engine is as good as before.
  assert.deepEqual(await detector.detect(image), result);
  calibrator.dispose();
  bare.dispose();
});
