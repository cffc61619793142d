// The package in Node: results, errors, aborting, batches.

import assert from "node:assert/strict";
import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadDetector, OodError, Reason } from "itp-ood";
import { startServer } from "../../scripts/lib/server.mjs";
import { at } from "../../scripts/lib/tools.mjs";
import { fails } from "./fails.mjs";
import { makeStats, model, modelPath, testImage, preprocess, toPng } from "./support.mjs";

let stats;
let detector;

before(async () => {
  stats = await makeStats(loadDetector);
  detector = await loadDetector({ model: modelPath, stats });
});

after(() => detector?.dispose());

test("info describes network and stats file", () => {
  const { info } = detector;
  assert.equal(info.labels.length, info.classes);
  assert.deepEqual(info.inputShape, [1, 3, 8, 8]);
  assert.equal(info.settings.score, "itp");
  assert.match(info.modelSha256, /^[0-9a-f]{64}$/);
  assert.ok(info.scores.includes("itp") && info.scores.includes("energy"));
  assert.equal(info.idImages, 40);
  assert.deepEqual(info.counts, Array(info.classes).fill(12));
});

test("a verdict is a plain object that can be cloned", async () => {
  const result = await detector.detect(testImage(1));
  assert.deepEqual(structuredClone(result), result);
  assert.equal(result.label, detector.info.labels[result.classIndex]);
  assert.equal(result.inDistribution, result.score >= result.threshold);
  assert.ok(result.pValue > 0 && result.pValue <= 1);
  assert.equal(result.logits.length, detector.info.classes);
  assert.equal(result.features.length, detector.info.features);
  const { counts } = result;
  assert.equal(counts.kept + counts.redundant + counts.overconfident + counts.both, counts.total);
  assert.equal(counts.total, detector.info.classes * detector.info.features);
});

test("a worker and the calling thread give the same result", async () => {
  const here = await loadDetector({ model: model(), stats, worker: false });
  assert.deepEqual(await here.detect(testImage(2)), await detector.detect(testImage(2)));
  here.dispose();
});

test("grey, RGB and RGBA pixels of the same image agree", async () => {
  const grey = testImage(3, 24, 20, 1);
  const spread = (channels) => {
    const data = new Uint8ClampedArray(24 * 20 * channels).fill(255);
    grey.data.forEach((value, i) => data.fill(value, i * channels, i * channels + 3));
    return { data, width: 24, height: 20 };
  };
  const scores = await Promise.all([grey, spread(3), spread(4)].map(async (image) => (await detector.detect(image)).score));
  assert.equal(scores[0], scores[1]);
  assert.equal(scores[0], scores[2]);
});

test("rescore with the stored settings gives the same verdict, with others another", async () => {
  const result = await detector.detect(testImage(4));
  assert.deepEqual(await detector.rescore(result), result);
  const plain = await detector.rescore(result.features, { p: 0, lambda: Infinity });
  assert.equal(plain.counts.overconfident, 0);
  const { score } = await detector.rescore(result, { score: "energy" });
  assert.ok(Math.abs(score - result.unprunedScore) < 1e-6);
});

test("an explanation adds up to the logit, and agrees with the weight map", async () => {
  const result = await detector.detect(testImage(5));
  const map = await detector.weightMap(result);
  const { features } = detector.info;
  const tally = [0, 0, 0, 0];
  for (const reason of map) tally[reason]++;
  const { counts } = result;
  assert.deepEqual(tally, [counts.kept, counts.redundant, counts.overconfident, counts.both]);
  for (const [k, label] of detector.info.labels.entries()) {
    const why = await detector.explain(result, { class: label });
    assert.equal(why.classIndex, k);
    assert.deepEqual(why.reason, map.slice(k * features, (k + 1) * features));
    const size = why.contribution.reduce((sum, c) => sum + Math.abs(c), 0);
    const sum = why.keptSum + why.redundantSum + why.overconfidentSum + why.bothSum + why.bias;
    assert.ok(Math.abs(sum - result.logits[k]) <= 1e-5 * size);
    assert.ok(Math.abs(why.keptSum + why.bias - result.prunedLogits[k]) <= 1e-5 * size);
    for (let j = 0; j < features; j++) {
      if (why.reason[j] & Reason.Overconfident) assert.ok(why.z[j] > result.settings.lambda - 1e-3);
    }
  }
  assert.equal((await detector.explain(result.features)).classIndex, result.classIndex);
});

test("scores of many rows are those of single images", async () => {
  const results = [await detector.detect(testImage(6)), await detector.detect(testImage(7))];
  const expected = Float64Array.from(results, ({ score }) => score);
  assert.deepEqual(await detector.scores(results.map(({ features }) => features)), expected);
});

test("ID scores and metrics", async () => {
  const ids = await detector.idScores("itp");
  assert.equal(ids.length, 40);
  assert.deepEqual(ids, ids.slice().sort());
  assert.equal(await detector.idScores("nonsense"), undefined);
  const separated = await detector.metrics([3, 4, 5], [0, 1, 2]);
  assert.equal(separated.auroc, 1);
  assert.equal(separated.fpr95, 0);
  assert.equal((await detector.metrics([1, 2], [1, 2])).auroc, 0.5);
});

test("a batch comes in input order, with errors as values", async () => {
  const broken = { data: new Uint8Array(5), width: 2, height: 2 };
  const images = Array.from({ length: 20 }, (_, i) => (i === 7 ? broken : testImage(i, 8 + 3 * (i % 5), 9)));
  const progress = [];
  const results = [];
  for await (const result of detector.detectAll(images, { concurrency: 2, onProgress: (step) => progress.push(step) })) {
    results.push(result);
  }
  assert.deepEqual(
    results.map(({ index }) => index),
    images.map((_, i) => i),
  );
  for (const { index, detection, error } of results) {
    if (index === 7) fails("image", /2 x 2/)(error);
    else assert.equal(detection.score, (await detector.detect(images[index])).score);
  }
  assert.deepEqual(progress.at(-1), { done: 20, total: 20 });
});

test("a batch reads a slow source as it comes, and stops when its reader does", async () => {
  let closed = false;
  async function* camera() {
    try {
      for (let i = 0; ; i++) yield testImage(i);
    } finally {
      closed = true;
    }
  }
  let seen = 0;
  for await (const { detection } of detector.detectAll(camera(), { concurrency: 2 })) {
    assert.ok(detection);
    if (++seen === 5) break;
  }
  assert.ok(closed);

  let release;
  const gate = new Promise((resolve) => (release = resolve));
  async function* stalling() {
    yield testImage(1);
    await gate;
    yield testImage(2);
  }
  const batch = detector.detectAll(stalling(), { concurrency: 1 });
  assert.equal((await batch.next()).value.index, 0);
  release();
  assert.equal((await batch.next()).value.index, 1);
  assert.equal((await batch.next()).done, true);
});

test("aborting a batch ends it", async () => {
  const controller = new AbortController();
  const images = Array.from({ length: 50 }, (_, i) => testImage(i));
  await assert.rejects(async () => {
    for await (const { index } of detector.detectAll(images, { signal: controller.signal, concurrency: 1 })) {
      if (index === 3) controller.abort("enough");
    }
  }, fails("aborted"));
  await assert.rejects(detector.detectAll(images, { concurrency: 0 }).next(), fails("options", /concurrency/));
});

test("aborting a call", async () => {
  await assert.rejects(detector.detect(testImage(1), { signal: AbortSignal.abort() }), fails("aborted"));
  const controller = new AbortController();
  const running = detector.detect(testImage(1), { signal: controller.signal });
  const waiting = detector.detect(testImage(2), { signal: controller.signal });
  const other = detector.detect(testImage(3));
  controller.abort();
  await assert.rejects(running, fails("aborted"));
  await assert.rejects(waiting, fails("aborted"));
  assert.ok((await other).label);
  await assert.rejects(loadDetector({ model: modelPath, stats, signal: AbortSignal.abort() }), fails("aborted"));
});

test("progress of loading", async () => {
  const steps = [];
  const loaded = await loadDetector({ model: modelPath, stats, onProgress: (step) => steps.push(step) });
  loaded.dispose();
  assert.equal(steps.filter(({ part }) => part === "model").at(-1).loaded, model().length);
  assert.deepEqual(steps.at(-1), { part: "prepare", loaded: 1, total: 1 });
});

test("wrong inputs are refused with a code, and the next image works", async () => {
  const cases = [
    [{ data: new Uint8Array(0), width: 0, height: 0 }, "image"],
    [{ data: new Uint8Array(12), width: 2, height: 2, channels: 4 }, "image"],
    [{ data: new Uint8Array(12), width: -2, height: -2 }, "image"],
    [{ data: new Uint8Array(12), width: 1.5, height: 2 }, "image"],
    [{}, "image"],
    [null, "image"],
    [undefined, "image"],
    [7, "image"],
    [new Blob([toPng(testImage(1))]), "image", /sharp/],
    ["/nowhere/image.png", "fetch", /nowhere/],
  ];
  for (const [image, code, ...words] of cases) await assert.rejects(detector.detect(image), fails(code, ...words));
  const result = await detector.detect(testImage(1));
  for (const options of [{ p: -1 }, { p: 101 }, { lambda: -1 }, { lambda: NaN }, { score: "nonsense" }, { temperature: 0 }, { p: "x" }]) {
    await assert.rejects(detector.rescore(result, options), fails("options"), JSON.stringify(options));
  }
  await assert.rejects(detector.rescore(new Float32Array(3)), fails("features", /3/));
  await assert.rejects(detector.rescore(result.features.map(() => NaN)), fails("features"));
  await assert.rejects(detector.rescore({}), fails("features"));
  await assert.rejects(detector.scores(new Float32Array(5)), fails("features"));
  await assert.rejects(detector.explain(result, { class: "no such class" }), fails("options", /no such class/));
  await assert.rejects(detector.explain(result, { class: 99 }), fails("options", /99/));
  assert.deepEqual(await detector.detect(testImage(1)), result);
});

test("wrong files are refused with a code", async () => {
  const good = model();
  const random = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251);
  const damaged = stats.slice(0, stats.length - 100);
  const read = async (name) => new Uint8Array((await import("node:fs")).readFileSync(at("tests/models", name)));
  const other = await makeStats(loadDetector, await read("matmul.onnx"));
  const cases = [
    [{ model: new Uint8Array(1), stats }, "model", "mismatch"],
    [{ model: random, stats }, "model", "mismatch"],
    [{ model: random, preprocess }, "model"],
    [{ model: good.slice(0, good.length / 2), preprocess }, "model"],
    // An operator whose code is left out of the engine.
    [{ model: await read("bad_fourier.onnx"), preprocess }, "model"],
    [{ model: good, stats: random }, "stats"],
    [{ model: good, stats: damaged }, "stats"],
    [{ model: good, stats: new Uint8Array(3) }, "stats"],
    [{ model: good, stats: other }, "mismatch"],
    [{ model: good }, "options"],
    [{ stats }, "model"],
    [{ model: "/nowhere/model.onnx", stats }, "fetch"],
    [{ model: 42, stats }, "fetch"],
    [{ model: good, stats, engine: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 9]) }, "engine"],
    [{ model: good, stats, engine: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) }, "engine"],
  ];
  for (const [options, ...codes] of cases) {
    await assert.rejects(loadDetector(options), (error) => {
      assert.ok(error instanceof OodError, error.stack);
      assert.ok(codes.includes(error.code), `${error.code}: ${error.message}, not ${codes}`);
      return true;
    });
  }
});

test("downloads that fail name address and status", async () => {
  const directory = mkdtempSync(join(tmpdir(), "itp-"));
  writeFileSync(join(directory, "index.html"), "<!doctype html><title>An app</title>");
  writeFileSync(join(directory, "empty.onnx"), "");
  const strict = await startServer({ directory });
  const lenient = await startServer({ directory, fallback: true });
  try {
    await assert.rejects(loadDetector({ model: `${strict.url}model.onnx`, stats }), fails("fetch", /localhost:\d+\/model\.onnx/, /404/));
    await assert.rejects(loadDetector({ model: new URL("model.onnx", lenient.url), stats }), fails("fetch", /model\.onnx/, /HTML page/));
    await assert.rejects(loadDetector({ model: new Request(`${strict.url}empty.onnx`), stats }), fails("fetch", /empty\.onnx/, /empty/));
    await assert.rejects(loadDetector({ model: await fetch(`${strict.url}gone`), stats }), fails("fetch", /gone/, /404/));
    await assert.rejects(loadDetector({ model: "http://localhost:1/model.onnx", stats }), fails("fetch", /localhost:1/));
    await assert.rejects(
      loadDetector({ model: modelPath, stats, engine: `${lenient.url}engine.wasm` }),
      fails("fetch", /engine/, /HTML page/),
    );
  } finally {
    await strict.close();
    await lenient.close();
    rmSync(directory, { recursive: true });
  }
});

test("calibration in the package", async () => {
  const maker = await loadDetector({ model: model(), preprocess });
  assert.deepEqual(maker.info.labels, []);
  await assert.rejects(maker.detect(testImage(1)), fails("stats"));
  assert.equal((await maker.features(testImage(1))).length, maker.info.features);
  await assert.rejects(maker.calibrate(["only one"]));
  const labels = detector.info.labels;
  const calibrator = await maker.calibrate(labels);
  await assert.rejects(calibrator.add(testImage(1), "unknown"), fails("options", /unknown/));
  for (let i = 0; i < 6 * labels.length; i++) await calibrator.add(await maker.features(testImage(i)), labels[i % labels.length]);
  assert.deepEqual(
    await calibrator.counts(),
    Uint32Array.from(labels, () => 6),
  );
  assert.ok((await calibrator.warnings()).length > 0);
  const bytes = await calibrator.finish({ p: 20, lambda: 1.6 });
  const made = await loadDetector({ model: model(), stats: bytes });
  assert.equal(made.info.settings.p, 20);
  assert.equal((await made.detect(testImage(1))).inDistribution, undefined);
  made.dispose();
  calibrator.dispose();
  calibrator.dispose();
  maker.dispose();
});

test("dispose may be repeated; calls afterwards say so", async () => {
  for (const worker of [true, false]) {
    const short = await loadDetector({ model: model(), stats, worker });
    const running = short.detect(testImage(1));
    short.dispose();
    short.dispose();
    short[Symbol.dispose]();
    await assert.rejects(running, fails("disposed"));
    await assert.rejects(short.detect(testImage(1)), fails("disposed"));
    await assert.rejects(short.idScores("itp"), fails("disposed"));
    await assert.rejects(short.detectAll([testImage(1)]).next(), fails("disposed"));
  }
});
