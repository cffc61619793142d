// Odd calls of every method: each settles, fails with a typed error if it fails, and leaves the detector
// and the calibrator as good as before. ITP_CALLS sets how many (600), ITP_SEED with what seed (20).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { loadDetector } from "itp-ood";
import { makeCall, oddCalls } from "./odd-calls.mjs";
import { makeStats, model, testImage } from "./support.mjs";

const numRuns = Number(process.env.ITP_CALLS ?? 600);
const seed = Number(process.env.ITP_SEED ?? 20);
const unhandled = [];
const note = (reason) => unhandled.push(reason);

let stats;
before(async () => {
  stats = await makeStats(loadDetector);
  process.on("unhandledRejection", note);
});
after(() => process.off("unhandledRejection", note));

for (const worker of [true, false]) {
  test(`odd calls, ${worker ? "in a worker" : "on the calling thread"}`, async () => {
    const detector = await loadDetector({ model: model(), stats, worker });
    const calibrator = await detector.calibrate(["a", "b", "c", "d"]);
    const expected = await detector.detect(testImage(1));
    const codes = {};
    let calls = 0;
    const property = fc.asyncProperty(oddCalls({ info: detector.info, stats, result: expected, loadDetector }), async (call) => {
      const code = await makeCall({ detector, calibrator }, call);
      codes[code] = (codes[code] ?? 0) + 1;
      if (++calls % 20 === 0) {
        assert.deepEqual(await detector.detect(testImage(1)), expected);
        assert.equal((await calibrator.counts()).length, 4);
      }
      assert.deepEqual(unhandled, [], "unhandled rejections");
    });
    await fc.assert(property, { seed: seed + Number(worker), numRuns: Math.ceil(numRuns / 2), endOnFailure: true });
    console.log(`${calls} odd calls:`, codes);
    // Calls that all fail, or all with the same code, would test little.
    assert.ok(codes.done > calls / 10 && Object.keys(codes).length >= 6, JSON.stringify(codes));
    assert.deepEqual(await detector.detect(testImage(1)), expected);
    await calibrator.add(testImage(1), "a");
    calibrator.dispose();
    detector.dispose();
  });
}
