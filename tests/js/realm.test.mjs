// Objects of another realm, as an iframe, jsdom, a vm context or a test runner's sandbox make them.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import vm from "node:vm";
import { loadDetector } from "itp-ood";
import { fails } from "./fails.mjs";
import { makeStats, model, preprocess, testImage } from "./support.mjs";

const context = vm.createContext({});
/** An array of the other realm with the same values. */
const foreign = (array) => {
  const other = new (vm.runInContext(array.constructor.name === "Buffer" ? "Uint8Array" : array.constructor.name, context))(array.length);
  other.set(array);
  return other;
};

let stats;
before(async () => {
  stats = await makeStats(loadDetector);
});

for (const worker of [true, false]) {
  const where = worker ? "in a worker" : "on the calling thread";
  test(`arrays of another realm are as good as one's own, ${where}`, async () => {
    const own = await loadDetector({ model: model(), stats, worker });
    const bytes = foreign(model());
    assert.ok(!(bytes instanceof Uint8Array));
    const options = vm.runInContext("(given) => ({ ...given })", context);
    const other = await loadDetector(options({ model: bytes.buffer, stats: foreign(stats), worker }));
    const image = testImage(1);
    const expected = await own.detect(image);
    assert.deepEqual(await other.detect({ ...image, data: foreign(image.data) }), expected);
    assert.deepEqual(
      await other.rescore({ features: foreign(expected.features) }, options({ p: 30 })),
      await own.rescore(expected, { p: 30 }),
    );
    assert.deepEqual(await other.rescore(foreign(expected.features)), expected);
    const rows = vm.runInContext("(row) => [row, row]", context)(foreign(expected.features));
    assert.deepEqual(await other.scores(rows), Float64Array.of(expected.score, expected.score));
    assert.equal((await other.metrics(vm.runInContext("[3, 4]", context), foreign(Float32Array.of(1, 2)))).auroc, 1);
    const calibrator = await other.calibrate(vm.runInContext("['a', 'b', 'c', 'd']", context), { detectors: rows.slice(2) });
    await calibrator.add(foreign(expected.features), "a");
    assert.deepEqual(await calibrator.counts(), Uint32Array.of(1, 0, 0, 0));
    const bare = await loadDetector({
      model: bytes,
      preprocess: options({ ...preprocess, mean: foreign(Float64Array.of(0.5, 0.5, 0.5)) }),
      worker,
    });
    assert.deepEqual(await bare.features(image), expected.features);
    for (const detector of [own, other, bare]) detector.dispose();
  });

  test(`shared memory and parts of larger buffers are read, transferred ones refused, ${where}`, async () => {
    const detector = await loadDetector({ model: model(), stats, worker });
    const image = testImage(2);
    const expected = await detector.detect(image);
    const shared = new Uint8Array(new SharedArrayBuffer(image.data.length));
    shared.set(image.data);
    assert.deepEqual(await detector.detect({ ...image, data: shared }), expected);
    const large = new Uint8ClampedArray(5000);
    large.set(image.data, 7);
    assert.deepEqual(await detector.detect({ ...image, data: large.subarray(7, 7 + image.data.length) }), expected);
    const sharedFeatures = new Float32Array(new SharedArrayBuffer(expected.features.byteLength));
    sharedFeatures.set(expected.features);
    assert.deepEqual(await detector.rescore(sharedFeatures), expected);
    const sharedModel = new Uint8Array(new SharedArrayBuffer(model().length));
    sharedModel.set(model());
    (await loadDetector({ model: sharedModel, stats, worker })).dispose();
    (await loadDetector({ model: sharedModel.buffer, stats, worker })).dispose();

    const [pixels, features, bytes] = [image.data.slice(), expected.features.slice(), model()];
    structuredClone(0, { transfer: [pixels.buffer, features.buffer, bytes.buffer] });
    await assert.rejects(detector.detect({ ...image, data: pixels }), fails("image", /transferred/));
    await assert.rejects(detector.rescore(features), fails("features", /transferred/));
    for (const source of [bytes, bytes.buffer]) {
      await assert.rejects(loadDetector({ model: source, stats, worker }), fails("fetch", /transferred/));
    }
    // Transferred while the call waits for its turn.
    const late = testImage(3);
    const [first, second] = [detector.detect(testImage(1)), detector.detect(late)];
    structuredClone(0, { transfer: [late.data.buffer] });
    await first;
    await second.then(() => undefined, fails("image"));
    assert.deepEqual(await detector.detect(image), expected);
    detector.dispose();
  });

  test(`arrays that lie about their size can't mislead the engine, ${where}`, async () => {
    const detector = await loadDetector({ model: model(), stats, worker });
    const image = testImage(4);
    const expected = await detector.detect(image);
    const lying = (array, length) => Object.defineProperty(array.slice(), "length", { value: length });
    assert.deepEqual(await detector.detect({ ...image, data: lying(image.data, 1e9) }), expected);
    assert.deepEqual(await detector.rescore(lying(expected.features, 2)), expected);
    for (const [width, height] of [
      [2 ** 32 + image.width, image.height],
      [image.width, image.height + 2 ** 32],
      [2 ** 31, 2 ** 31],
      [image.width + 0.5, image.height],
      [-image.width, -image.height],
      [`${image.width}`, image.height],
      [NaN, NaN],
      [20_000, 20_000],
    ]) {
      for (const channels of [3, undefined]) {
        await assert.rejects(detector.detect({ data: image.data, width, height, channels }), fails("image"), `${width} x ${height}`);
      }
    }
    const forged = Object.create(Uint8Array.prototype, { length: { value: image.data.length } });
    await assert.rejects(detector.detect({ ...image, data: forged }), fails("image"));
    await assert.rejects(detector.rescore({ [Symbol.toStringTag]: "Float32Array", length: expected.features.length }), fails("features"));
    assert.deepEqual(await detector.detect(image), expected);
    detector.dispose();
  });
}
