// What would turn a verdict: weights given back, another p, another lambda.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { fails } from "./fails.mjs";
import { testImage } from "./support.mjs";

const file = (name) => new Uint8Array(readFileSync(at(`www/models/${name}`)));

for (const name of ["digits", "photos", "things"]) {
  test(`what turns the verdicts of ${name} is what rescore finds`, async () => {
    const detector = await loadDetector({ model: file(`${name}.onnx`), stats: file(`${name}.itp.safetensors`), worker: false });
    const turned = { givenBack: 0, p: 0, lambda: 0 };
    try {
      for (let seed = 0; seed < 3; seed++) {
        const result = await detector.detect(testImage(seed, 40, 36));
        // Where the verdict is close, it can be turned.
        for (const options of [{}, { threshold: result.score + 0.2 }, { threshold: result.score - 0.2 }]) {
          const { inDistribution, threshold } = await detector.rescore(result, options);
          const found = await detector.counterfactual(result, options);
          assert.deepEqual([found.inDistribution, found.threshold, found.score], [inDistribution, threshold, result.score]);
          for (const parameter of ["p", "lambda"]) {
            const turn = found[parameter];
            if (!turn) continue;
            turned[parameter]++;
            const other = await detector.rescore(result, { ...options, [parameter]: turn.value });
            assert.equal(other.inDistribution, !inDistribution, `${parameter} ${turn.value}`);
            assert.deepEqual([other.score, other.threshold], [turn.score, turn.threshold]);
            assert.equal(turn.change, turn.value - result.settings[parameter]);
            // Half the way there it is as it was.
            const half = await detector.rescore(result, { ...options, [parameter]: result.settings[parameter] + turn.change / 2 });
            if (Math.abs(turn.change) > 1e-6) assert.equal(half.inDistribution, inDistribution);
          }
          if (!found.givenBack) continue;
          turned.givenBack++;
          assert.equal(found.givenBack.score >= threshold, !inDistribution);
          const map = await detector.weightMap(result);
          for (const { classIndex, feature, contribution, reason } of found.givenBack.weights) {
            assert.equal(["kept", "redundant", "overconfident", "both"][map[classIndex * detector.info.features + feature]], reason);
            assert.equal(contribution > 0, !inDistribution);
          }
        }
      }
      for (const [what, count] of Object.entries(turned)) assert.ok(count > 1, `${what}: ${count}`);
    } finally {
      detector.dispose();
    }
  });
}

test("what has no pruning, or an unknown option, is refused", async () => {
  const detector = await loadDetector({ model: file("digits.onnx"), stats: file("digits.itp.safetensors"), worker: false });
  try {
    const result = await detector.detect(testImage(1));
    await assert.rejects(detector.counterfactual(result, { score: "energy" }), fails("options", /itp, crp and ftp/));
    await assert.rejects(detector.counterfactual(result, { class: 1 }), fails("options", /"class"/));
    await assert.rejects(detector.counterfactual(new Float32Array(3)), fails("features", /3 features/));
    // Nothing reaches this, and no pruning takes it away.
    const never = await detector.counterfactual(result, { threshold: 1e6 });
    assert.deepEqual([never.givenBack, never.p, never.lambda, never.unknown], [undefined, undefined, undefined, undefined]);
  } finally {
    detector.dispose();
  }
});
