// Tuning in the package: the native command's picks, what it refuses and warns of, aborting.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadDetector, OodError } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { fails } from "./fails.mjs";
import { makeStats, model, testImage, preprocess, seeded, toPng } from "./support.mjs";

const itp = at("target/release/itp");
const KINDS = "jigsaw2 jigsaw4 pixels mixup cutmix rot90 rot180 blur noise invert cutout contrast phase swap zoom tile".split(" ");

let stats;
let detector;

before(async () => {
  stats = await makeStats(loadDetector);
  detector = await loadDetector({ model: model(), stats });
});

after(() => detector?.dispose());

/** Held-out images, taken in turn from the first `classes` classes. */
const holdout = (count, classes) => Array.from({ length: count }, (_, i) => ({ image: testImage(2000 + i), classIndex: i % classes }));

/** Which of the seven strokes of a pocket calculator's digit are lit. */
const STROKES = [0b1110111, 0b0100100, 0b1011101, 0b1101101, 0b0101110, 0b1101011, 0b1111011, 0b0100101, 0b1111111, 0b1101111];

/** A digit in such strokes, somewhat out of place, in white on black; `channels` as in a file. */
function digit(which, seed, side, channels) {
  const random = seeded(seed);
  const [dx, dy, slant, width] = [4 * random() - 2, 4 * random() - 2, 0.3 * random() - 0.1, 1.2 + 0.8 * random()];
  const lines = [
    [0, 0, 1, 0],
    [0, 0, 0, 1],
    [1, 0, 1, 1],
    [0, 1, 1, 1],
    [0, 1, 0, 2],
    [1, 1, 1, 2],
    [0, 2, 1, 2],
  ];
  const lit = lines.filter((_, i) => (STROKES[which] >> i) & 1).map((line) => line.map((v, i) => (i % 2 ? 5.5 + 8.5 * v : 9.5 + 9 * v)));
  const data = new Uint8Array(side * side * channels);
  for (let i = 0; i < side * side; i++) {
    const y = (Math.floor(i / side) + 0.5) * (28 / side) + dy;
    const x = ((i % side) + 0.5) * (28 / side) + dx + slant * (y - 14);
    const distance = Math.min(
      ...lit.map(([x0, y0, x1, y1]) => Math.hypot(x - Math.min(x1, Math.max(x0, x)), y - Math.min(y1, Math.max(y0, y)))),
    );
    const grey = Math.max(0, Math.min(255, 255 * (width + 0.5 - distance))) * (0.9 + 0.1 * random());
    for (let c = 0; c < channels; c++) data[i * channels + c] = c === 3 ? 255 : grey;
  }
  return { data, width: side, height: side, channels };
}

/** Numbers within 1e-6, relative; anything else equal. */
function close(found, expected, where) {
  if (!Number.isFinite(expected)) assert.deepEqual(found, expected, where);
  else assert.ok(Math.abs(found - expected) <= 1e-6 * Math.max(1, Math.abs(expected)), `${where}: ${found} is not ${expected}`);
}

test("the same images and seed give the native picks", { skip: !existsSync(itp) && "the native command is not built" }, async () => {
  const [onnx, digits] = [at("www/models/digits.onnx"), at("www/models/digits.itp.safetensors")];
  const folder = mkdtempSync(join(tmpdir(), "itp-tune-"));
  const here = await loadDetector({ model: onnx, stats: digits });
  try {
    // Sorted as the command line reads them: its numbers are these places.
    const images = Array.from({ length: 60 }, (_, i) => ({
      image: digit(Math.floor(i / 6), i, 28 + 7 * (i % 5), [1, 3, 4][i % 3]),
      classIndex: Math.floor(i / 6),
    }));
    images.forEach(({ image, classIndex }, i) => {
      const of = join(folder, "holdout", String(classIndex));
      mkdirSync(of, { recursive: true });
      writeFileSync(join(of, `${String(i).padStart(3, "0")}.png`), toPng(image));
    });
    for (const [rule, seed] of [
      ["r1", 0],
      ["r*", 7],
    ]) {
      const out = join(folder, "tuned.safetensors");
      const report = join(folder, "report");
      const { status, stderr } = spawnSync(
        itp,
        [
          "tune",
          onnx,
          digits,
          join(folder, "holdout"),
          "-o",
          out,
          "--report",
          report,
          "--rule",
          rule,
          "--seed",
          String(seed),
          "--per-kind",
          "20",
          "-q",
        ],
        { encoding: "utf8" },
      );
      assert.equal(status, 0, stderr);
      const native = JSON.parse(readFileSync(`${report}.json`, "utf8"));
      const tuned = await here.tune(images, { rule, seed, perKind: 20 });

      for (const name of ["modelSha256", "seed", "rule", "holdout", "classes", "kinds", "images", "warnings"])
        assert.deepEqual(tuned.report[name], native[name], name);
      assert.deepEqual(
        tuned.report.families.map(({ score }) => score),
        ["energy", "itp", "react", "held", "held_t"],
      );
      // The engines differ in the last bits: of 1,200 pairs a few that are almost equal may turn over.
      const turned = 100 * (3 / (60 * 20));
      tuned.report.families.forEach((family, i) => {
        const expected = native.families[i];
        const name = `${family.score} by ${rule}`;
        assert.deepEqual([family.score, family.r1, family.rStar], [expected.score, expected.r1, expected.rStar], name);
        assert.equal(family.tried.length, expected.tried.length, name);
        family.tried.forEach((tried, j) => {
          for (const [key, value] of Object.entries(expected.tried[j].setting)) {
            close(tried.setting[key], value === "inf" ? Infinity : value, `${name}, ${j}: ${key}`);
          }
          tried.auroc.forEach((auroc, k) =>
            assert.ok(
              Math.abs(auroc - expected.tried[j].auroc[k]) <= turned,
              `${name}, ${j}, ${KINDS[k]}: ${auroc} is not ${expected.tried[j].auroc[k]}`,
            ),
          );
        });
      });

      // Both files serve the same settings and thresholds.
      const [mine, theirs] = await Promise.all([tuned.stats, out].map((of) => loadDetector({ model: onnx, stats: of, worker: false })));
      for (const [key, value] of Object.entries(theirs.info.settings)) close(mine.info.settings[key], value, key);
      close(mine.info.threshold, theirs.info.threshold, "threshold");
      assert.equal(mine.info.idImages, 60);
      mine.dispose();
      theirs.dispose();
    }
  } finally {
    here.dispose();
    rmSync(folder, { recursive: true });
  }
});

test("images of any size can be tuned on, whichever plan rustfft chooses", async () => {
  const anySize = new Uint8Array(readFileSync(at("tests/models/any_size.onnx")));
  // Powers, products, primes by Rader's and by Bluestein's way: rustfft plans each differently.
  for (const side of [8, 13, 24, 31, 59, 97, 121, 224]) {
    const resized = { ...preprocess, resize: side, crop: [side, side] };
    const network = await loadDetector({ model: anySize, stats: await makeStats(loadDetector, anySize, {}, resized), worker: false });
    const { report } = await network.tune(holdout(16, 2), { perKind: 2, seed: 0 });
    assert.deepEqual(report.kinds, KINDS, `side ${side}`);
    network.dispose();
  }
});

test("a tuned stats file holds the picks; worker and calling thread agree", async () => {
  const images = holdout(30, 3);
  const steps = [];
  const previews = [];
  const tuned = await detector.tune(images, {
    perKind: 4,
    onProgress: (step) => steps.push(step),
    onPreview: (preview) => previews.push(preview),
  });
  const { report } = tuned;
  assert.deepEqual(report.kinds, KINDS);
  assert.deepEqual(report.images, Array(16).fill(4));
  assert.deepEqual(tuned.broken, []);
  assert.match(tuned.markdown, /## ITP: mean over kinds by p and lambda/);

  assert.deepEqual(steps[0], { part: "holdout", done: 0, total: 95 });
  assert.deepEqual(steps.at(-1), { part: "rating", done: 95, total: 95 });
  steps.forEach(({ done }, i) => assert.equal(done, i));
  assert.deepEqual(
    previews.map(({ kind }) => kind),
    KINDS,
  );
  for (const { kind, image, partner, made } of previews) {
    assert.deepEqual([made.width, made.height, made.channels, made.data.length], [8, 8, 3, 192]);
    assert.equal(partner !== undefined, ["mixup", "cutmix", "swap"].includes(kind));
    if (partner !== undefined) assert.notEqual(images[image].classIndex, images[partner].classIndex);
  }

  const itpFamily = report.families.find(({ score }) => score === "itp");
  const pick = itpFamily.tried[itpFamily.r1];
  assert.equal(pick.mean, Math.max(...itpFamily.tried.map(({ mean }) => mean)));
  const loaded = await loadDetector({ model: model(), stats: tuned.stats, worker: false });
  assert.equal(loaded.info.settings.p, pick.setting.p);
  assert.equal(loaded.info.settings.lambda, pick.setting.lambda);
  assert.equal(loaded.info.idImages, 30);
  assert.equal(typeof loaded.info.threshold, "number");
  const again = await loaded.tune(images, { perKind: 4 });
  assert.deepEqual(again.report, report);
  loaded.dispose();
});

test("too little is refused, or warned of with what follows from it", async () => {
  await assert.rejects(detector.tune(holdout(20, 1)), fails("data", /at least two/));
  await assert.rejects(detector.tune([]), fails("data", /at least two/));
  const few = await detector.tune(holdout(10, 2), { perKind: 20 });
  const [images, classes, made] = few.report.warnings;
  assert.match(images, /only 10 held-out images: .*may be off by several points.*threshold is uncertain/);
  assert.match(classes, /2 of the model's 4 classes: the settings suit those classes only/);
  assert.match(made, /10 instead of 20 pseudo-OOD images of a kind/);
  const guessed = await detector
    .tune(
      holdout(12, 3).map(({ image }) => ({ image })),
      { perKind: 2 },
    )
    .catch((error) => error);
  if (guessed instanceof OodError) fails("data")(guessed);
  else assert.ok(guessed.report.warnings.some((text) => /12 held-out images came without a class/.test(text)));
});

test("wrong input is refused with a code, and the detector goes on", async () => {
  for (const [images, code, ...words] of [
    ["holdout/", "options", /array/],
    [undefined, "options", /array/],
    [[{}, null], "image", /Entry 0 .* has no image/],
    [[{ image: testImage(1), classIndex: 4 }], "options", /class 4/],
    [[{ image: testImage(1), classIndex: -1 }], "options"],
    [[{ image: testImage(1), classIndex: 0.5 }], "options"],
    [[{ image: "/nowhere/a.png" }], "fetch", /nowhere/],
  ]) {
    await assert.rejects(detector.tune(images), fails(code, ...words));
  }
  for (const options of [{ perKind: 0 }, { perKind: -1 }, { perKind: 1.5 }, { seed: -1 }, { seed: "x" }, { rule: "r2" }]) {
    await assert.rejects(detector.tune(holdout(6, 3), options), fails("options"), JSON.stringify(options));
  }
  // Without a stats file there is nothing to tune; another model's is refused before it comes to that.
  const bare = await loadDetector({ model: model(), preprocess: detector.info.preprocess, worker: false });
  await assert.rejects(bare.tune(holdout(6, 3)), fails("stats"));
  bare.dispose();
  const another = new Uint8Array(readFileSync(at("www/models/digits.itp.safetensors")));
  await assert.rejects(loadDetector({ model: model(), stats: another }), fails("mismatch"));
  assert.ok((await detector.detect(testImage(1))).label);
});

test("an image that can't be read is skipped and reported", async () => {
  const images = holdout(12, 3);
  images.splice(5, 0, { image: { data: new Uint8Array(5), width: 2, height: 2 }, classIndex: 0 });
  const { broken, report } = await detector.tune(images, { perKind: 2 });
  assert.equal(report.holdout, 12);
  assert.deepEqual(
    broken.map(({ index }) => index),
    [5],
  );
  fails("image", /2 x 2/)(broken[0].error);
});

test("tuning can be aborted at any step, and other calls get their turn", async () => {
  for (const worker of [true, false]) {
    const own = await loadDetector({ model: model(), stats, worker });
    for (const step of [0, 20, 50]) {
      const controller = new AbortController();
      const running = own.tune(holdout(30, 3), {
        signal: controller.signal,
        perKind: 2,
        onProgress: ({ done }) => done === step && controller.abort(),
      });
      await assert.rejects(running, fails("aborted"));
    }
    let told = 0;
    const running = own.tune(holdout(30, 3), { perKind: 20, onProgress: ({ done }) => (told = done) });
    await own.detect(testImage(1));
    assert.ok(told < 100, `${told} steps came first`);
    own.dispose();
    await assert.rejects(running, fails("disposed"));
  }
});

test("an explanation has what HELD and T make of it", async () => {
  const result = await detector.detect(testImage(5));
  const { held, contribution, mu, sigma } = await detector.explain(result);
  const lambda = detector.info.settings.heldLambda;
  let back = 0;
  let t = 0;
  for (let j = 0; j < detector.info.features; j++) {
    assert.ok(Math.abs(held.limit[j] - (mu[j] + lambda * sigma[j])) < 1e-5, `limit ${j}`);
    assert.ok(Math.abs(held.heldBack[j] - Math.max(0, contribution[j] - held.limit[j])) < 1e-5, `held back ${j}`);
    back += held.heldBack[j];
    t += held.tTerms[j];
  }
  assert.ok(Math.abs(back - held.heldBackSum) < 1e-4);
  assert.ok(Math.abs(t - held.t) < 1e-4);
  assert.ok(Math.abs(held.logit - (result.logits[result.classIndex] - back)) < 1e-4);
  const score = async (name) => (await detector.rescore(result, { score: name })).score;
  assert.ok(Math.abs(held.held - (await score("held"))) < 1e-6);
  if (held.heldT !== undefined) assert.ok(Math.abs(held.heldT - (await score("held_t"))) < 1e-6);
});

test("held-back training images count as their zoomed copies where these are classified otherwise", async () => {
  const maker = await loadDetector({ model: model(), preprocess, worker: false });
  const labels = ["a", "b", "c", "d"];
  const calibrator = await maker.calibrate(labels);
  const classes = Array.from({ length: 120 }, (_, i) => i % 4);
  const heldBack = await calibrator.holdBack(classes, 3);
  assert.equal(
    heldBack.reduce((sum, one) => sum + one, 0),
    12,
  );
  assert.deepEqual(heldBack, await calibrator.holdBack(classes, 3));
  assert.notDeepEqual(heldBack, await calibrator.holdBack(classes));
  const images = [];
  for (const [i, classIndex] of classes.entries()) {
    const image = testImage(i);
    if (heldBack[i]) {
      const features = await calibrator.addHeldBack(image, labels[classIndex], images.length);
      assert.equal(features.length, maker.info.features);
      images.push({ image, classIndex, features });
    } else await calibrator.add(image, classIndex);
  }
  await assert.rejects(calibrator.addHeldBack(testImage(0), "e", 0), fails("options", /"e"/));
  assert.match((await calibrator.warnings()).join(), /trained on/);
  const made = await loadDetector({ model: model(), stats: await calibrator.finish(), worker: false });
  assert.match(made.info.warnings.join(), /trained on/);
  assert.equal(made.info.idImages, 12);
  assert.equal(typeof made.info.threshold, "number");

  // The features stand for the images when hyperparameters are selected; the warning stays.
  const { stats: tuned, report } = await made.tune(images, { perKind: 2, trainedOn: true });
  assert.deepEqual([report.holdout, report.weights.length], [12, 16]);
  const after = await loadDetector({ model: model(), stats: tuned, worker: false });
  assert.match(after.info.warnings.join(), /trained on/);
  const { stats: plain } = await made.tune(holdout(12, 4), { perKind: 2 });
  const without = await loadDetector({ model: model(), stats: plain, worker: false });
  assert.doesNotMatch(without.info.warnings.join(), /trained on/);
  for (const one of [without, after, made, maker]) one.dispose();
  calibrator.dispose();
});
