// Where in the image a logit comes from.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { fails } from "./fails.mjs";
import { makeStats, preprocess, testImage } from "./support.mjs";

const file = (path) => new Uint8Array(readFileSync(at(path)));
const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

for (const name of ["digits", "photos", "things"]) {
  for (const worker of [true, false]) {
    test(`the positions of ${name} sum to the parts of every logit (worker: ${worker})`, async () => {
      const files = { model: file(`www/models/${name}.onnx`), stats: file(`www/models/${name}.itp.safetensors`) };
      const detector = await loadDetector({ ...files, evidence: true, worker });
      try {
        assert.equal(detector.info.evidenceObstacle, undefined);
        const settings = { p: 20, lambda: 1 };
        const image = testImage(3, 40, 36);
        const result = await detector.detect(image, settings);
        for (const label of detector.info.labels.slice(0, 10)) {
          const why = await detector.explain(result, { ...settings, class: label });
          const scale = Math.max(
            1,
            why.contribution.reduce((sum, c) => sum + Math.abs(c), 0),
          );
          const sums = {};
          for (const part of ["kept", "crp", "ftp", "all"]) {
            const { data, height, width, classIndex } = await detector.evidence(image, { ...settings, class: label, part });
            assert.ok(data instanceof Float32Array && height > 1 && width > 1 && data.length === height * width);
            assert.equal(classIndex, why.classIndex);
            sums[part] = sumOf(data);
          }
          const near = (a, b, what) => assert.ok(Math.abs(a - b) < 1e-5 * scale, `${label} ${what}: ${a} ${b}`);
          near(sums.kept + why.bias, why.prunedLogit, "kept");
          near(sums.all + why.bias, why.logit, "all");
          near(sums.crp, why.redundantSum + why.bothSum, "crp");
          near(sums.ftp, why.overconfidentSum, "ftp");
        }
        const predicted = await detector.evidence(image, settings);
        assert.equal(predicted.classIndex, result.classIndex);
        await assert.rejects(detector.evidence(image, { part: "some" }), fails("options", /kept, crp, ftp or all/));
        await assert.rejects(detector.evidence(image, { class: "nobody" }), fails("options", /no class/));
        await assert.rejects(detector.evidence({}), fails("image"));
      } finally {
        detector.dispose();
      }
    });
  }
}

test("where there is no map, info and the error say why", async () => {
  const files = { model: file("www/models/digits.onnx"), stats: file("www/models/digits.itp.safetensors"), worker: false };
  const without = await loadDetector(files);
  assert.match(without.info.evidenceObstacle, /without its last map/);
  await assert.rejects(without.evidence(testImage(1)), fails("options", /without its last map/));
  without.dispose();
  await assert.rejects(loadDetector({ ...files, evidence: 1 }), fails("options", /evidence/));
  const model = file("tests/models/heads/tokens_mean.onnx");
  const other = await loadDetector({ model, stats: await makeStats(loadDetector, model), evidence: true, preprocess, worker: false });
  assert.match(other.info.evidenceObstacle, /no mean over the last map: they come from ReduceMean/);
  await assert.rejects(other.evidence(testImage(1)), fails("options", /no mean over the last map/));
  other.dispose();
});
