// The network's gradient: saliency, and ODIN's step of the image.

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { fails } from "./fails.mjs";
import { makeStats, model, preprocess, testImage } from "./support.mjs";

/** As the network sees it: no resizing between a pixel and its derivative. */
const plain = { ...preprocess, resize: undefined };

for (const worker of [true, false]) {
  test(`saliency is what differences of the score give (worker: ${worker})`, async () => {
    const stats = await makeStats(loadDetector, model(), {}, plain);
    const detector = await loadDetector({ model: model(), stats, gradient: true, worker });
    try {
      assert.equal(detector.info.gradientObstacle, undefined);
      const image = testImage(3, 8, 8);
      const options = { score: "energy" };
      const saliency = await detector.saliency(image, options);
      assert.equal(saliency.length, 3 * 8 * 8);
      // Moved along its gradient by a grey level or two, the score changes by what the gradient says.
      const moved = (sign) => {
        const data = image.data.map((value, at) => {
          const [pixel, channel] = [Math.floor(at / 3), at % 3];
          return Math.min(255, Math.max(0, value + sign * Math.sign(saliency[channel * 64 + pixel]) * 2));
        });
        return { ...image, data };
      };
      const [up, down] = [moved(1), moved(-1)];
      const score = async (of) => (await detector.detect(of, options)).score;
      const found = (await score(up)) - (await score(down));
      const expected = image.data.reduce((sum, _, at) => {
        const change = (up.data[at] - down.data[at]) / 255 / 0.25;
        return sum + change * saliency[(at % 3) * 64 + Math.floor(at / 3)];
      }, 0);
      assert.ok(expected > 0 && Math.abs(found - expected) < 0.2 * expected, `${found} instead of ${expected}`);
      assert.notDeepEqual(await detector.saliency(image, { score: "itp" }), saliency);
      await assert.rejects(detector.saliency({}), fails("image"));
    } finally {
      detector.dispose();
    }
  });
}

test("odin moves the image where the gradient is loaded, and says so where it isn't", async () => {
  const stats = await makeStats(loadDetector);
  const image = testImage(5);
  const still = await loadDetector({ model: model(), stats, worker: false });
  const moving = await loadDetector({ model: model(), stats, gradient: true, worker: false });
  try {
    assert.match(still.info.gradientObstacle, /without its gradient/);
    const options = { score: "odin" };
    const [left, moved] = [await still.detect(image, options), await moving.detect(image, options)];
    assert.ok(moved.score > left.score, `${moved.score} ${left.score}`);
    assert.equal((await moving.detect(image, { ...options, "odin.epsilon": 0 })).score, left.score);
    // Thresholds are of images that were left as they are.
    assert.ok(left.threshold !== undefined && moved.threshold === undefined);
    assert.deepEqual([moved.label, moved.features.length], [left.label, left.features.length]);
    assert.equal((await still.rescore(left, options)).score, left.score);
    await assert.rejects(moving.rescore(moved, options), fails("options", /moves the image/));
    await assert.rejects(still.detect(image, { ...options, "odin.epsilon": 0.01 }), fails("model", /without its gradient/));
    await assert.rejects(still.saliency(image), fails("model", /without its gradient/));
    await assert.rejects(loadDetector({ model: model(), stats, gradient: 1 }), fails("options", /gradient/));
  } finally {
    still.dispose();
    moving.dispose();
  }
});
