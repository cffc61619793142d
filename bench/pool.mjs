// `node bench/pool.mjs [MODEL STATS [IMAGES]]`: a batch through one worker and through two, in turn. Needs
// `npm run build:lib`.

import { readFileSync } from "node:fs";
import { loadDetector } from "itp-ood";
import { at, main } from "../scripts/lib/tools.mjs";
import { photo, summary } from "./lib/measure.mjs";

// Enough that the start of the second worker, some 150 ms for each batch, is a small part.
const [MODEL = at("www/models/photos.onnx"), STATS = at("www/models/photos.itp.safetensors"), IMAGES = 2000] = process.argv.slice(2);
const ROUNDS = 5;

await main(async () => {
  const detector = await loadDetector({ model: new Uint8Array(readFileSync(MODEL)), stats: new Uint8Array(readFileSync(STATS)) });
  const [width, height] = [64, 64];
  const images = Array.from({ length: Number(IMAGES) }, () => ({ data: photo(width, height), width, height, channels: 4 }));
  const times = { 1: [], 2: [] };
  const sums = new Set();
  // The first round starts the second worker and is not counted.
  for (let round = -1; round < ROUNDS; round++) {
    for (const concurrency of [1, 2]) {
      const start = performance.now();
      let sum = 0;
      for await (const { detection, error } of detector.detectAll(images, { concurrency })) {
        if (error) throw error;
        sum += detection.score;
      }
      if (round >= 0) times[concurrency].push(performance.now() - start);
      sums.add(sum);
    }
  }
  detector.dispose();
  if (sums.size !== 1) throw new Error(`the sums of the scores differ: ${[...sums]}`);
  const [one, two] = [summary(times[1]), summary(times[2])];
  console.log(
    `${IMAGES} images, ${ROUNDS} rounds; two workers / one: ${(two.median / one.median).toFixed(3)} (medians), ${(two.min / one.min).toFixed(3)} (minima); sum of the scores ${[...sums][0].toFixed(3)}`,
  );
});
