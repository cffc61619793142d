// The models that ship with the page: each has a stats file and a card, and they fit each other.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { loadDetector } from "itp-ood";
import { at } from "../../scripts/lib/tools.mjs";
import { testImage } from "./support.mjs";

const file = (name) => new Uint8Array(readFileSync(at(`www/models/${name}`)));
const names = readdirSync(at("www/models")).flatMap((name) => (name.endsWith(".onnx") ? [name.slice(0, -5)] : []));

/** Classes, side of the input, share of held-out images that the threshold accepts. */
const EXPECTED = { digits: [10, 28, 0.95], photos: [10, 32, 0.95], things: [64, 224, 0.98] };

test("every model that ships is known here", () => assert.deepEqual(names.sort(), Object.keys(EXPECTED)));

for (const name of names) {
  test(`the stats file of ${name} is the model's, and was tuned`, async () => {
    const [classes, side, share] = EXPECTED[name];
    const detector = await loadDetector({ model: file(`${name}.onnx`), stats: file(`${name}.itp.safetensors`), worker: false });
    try {
      const { info } = detector;
      assert.deepEqual([info.classes, info.labels.length, new Set(info.labels).size], [classes, classes, classes]);
      assert.deepEqual(info.inputShape.slice(2), [side, side]);
      assert.deepEqual(info.preprocess.crop ?? [side, side], [side, side]);
      // Some of the things have few images; nothing else is odd.
      for (const warning of info.warnings) assert.match(warning, /fewer than 30 training images/);
      assert.equal(info.settings.score, "itp");
      // Of the held-out images the threshold accepts the share that the card states.
      const scores = await detector.idScores("itp");
      const { threshold } = await detector.detect(testImage(1, side, side));
      const accepted = scores.filter((score) => score >= threshold).length / scores.length;
      assert.ok(Math.abs(accepted - share) < 0.005, `${accepted} of ${scores.length}`);
    } finally {
      detector.dispose();
    }
  });

  test(`the card of ${name} is about the file that ships`, () => {
    const card = readFileSync(at(`www/models/${name}.md`), "utf8");
    assert.ok(
      card.includes(
        createHash("sha256")
          .update(file(`${name}.onnx`))
          .digest("hex"),
      ),
    );
  });
}
