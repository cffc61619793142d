// `npm run soak`: thousands of images, loads and aborted calls in one process. Neither the engine's memory
// nor the process may grow, and the last verdict must be the first one.
//
//   node tests/soak.mjs [--images 5000] [--loads 300] [--aborts 1000]

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadDetector } from "itp-ood";
import { initSync } from "../dist/engine.js";
import { at } from "../scripts/lib/tools.mjs";
import { makeStats, model, testImage } from "./js/support.mjs";

const number = (value) => ({ type: "string", default: String(value) });
const { values } = parseArgs({ options: { images: number(5000), loads: number(300), aborts: number(1000) } });
const [images, loads, aborts] = [values.images, values.loads, values.aborts].map(Number);
/** A worker that is not given back costs at least 15 MB; the process itself varies by less. */
const MAX_GROWTH = 150e6;

const unhandled = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));
const engine = () => initSync().memory.buffer.byteLength;
const rss = () => {
  globalThis.gc?.();
  return process.memoryUsage().rss;
};

/** Runs a step many times; after the first of them, the memory must stay where it is. */
async function soak(name, count, step, pages) {
  const start = Date.now();
  // Aborted calls get as far as they will ever get within 50 of them.
  const warm = Math.min(Math.max(Math.floor(count / 10), 50), Math.floor(count / 2));
  let before;
  for (let i = 0; i < count; i++) {
    await step(i);
    if (i === warm) before = { engine: pages && engine(), rss: rss() };
  }
  const after = { engine: pages && engine(), rss: rss() };
  const mb = (bytes) => (bytes / 1e6).toFixed(1);
  const memory = pages ? `engine ${mb(before.engine)} MB, then ${mb(after.engine)}; ` : "";
  console.log(`${name}: ${count} in ${Math.round((Date.now() - start) / 1000)} s; ${memory}process ${mb(before.rss)} MB, then ${mb(after.rss)}`); // prettier-ignore
  if (pages) assert.equal(after.engine, before.engine, `${name}: the engine's memory grew`);
  assert.ok(after.rss - before.rss < MAX_GROWTH, `${name}: the process grew by ${after.rss - before.rss} bytes`);
  assert.deepEqual(unhandled, [], `${name}: unhandled rejections`);
}

/** Aborts a call after some turns of the event loop. */
async function aborted(call, turns) {
  const controller = new AbortController();
  const settled = call(controller.signal).then(
    () => undefined,
    (error) => assert.equal(error.code, "aborted", error.stack),
  );
  for (; turns > 0; turns--) await new Promise((resume) => setImmediate(resume));
  controller.abort();
  await settled;
}

const stats = await makeStats(loadDetector);
const held = Array.from({ length: 6 }, (_, i) => ({ image: testImage(i), classIndex: i % 3 }));

for (const worker of [false, true]) {
  const where = worker ? "in a worker" : "on the calling thread";
  const detector = await loadDetector({ model: model(), stats, worker });
  const first = await detector.detect(testImage(1));
  // What a whole run takes is not lost when a run is aborted late.
  for (let i = 0; i < 3; i++) await detector.tune(held, { perKind: 1 });
  await soak(`images ${where}`, images, (i) => detector.detect(testImage(i % 50, 8 + (i % 90), 8 + (i % 70))), !worker);
  await soak(`aborted detect() ${where}`, aborts, (i) => aborted((signal) => detector.detect(testImage(1), { signal }), i % 4), !worker);
  await soak(`aborted tune() ${where}`, aborts, (i) => aborted((signal) => detector.tune(held, { signal, perKind: 1 }), i % 16), !worker);
  await soak(
    `aborted batches ${where}`,
    Math.ceil(aborts / 20),
    (i) =>
      aborted(async (signal) => {
        for await (const { error } of detector.detectAll(held.map(({ image }) => image), { signal, concurrency: 2 })) assert.equal(error, undefined); // prettier-ignore
      }, i % 8),
    false,
  );
  assert.deepEqual(await detector.detect(testImage(1)), first);
  detector.dispose();
  await soak(
    `loads ${where}`,
    loads,
    async () => {
      const other = await loadDetector({ model: model(), stats, worker });
      assert.equal((await other.detect(testImage(1))).score, first.score);
      other.dispose();
    },
    !worker,
  );
}

const [onnx, digits] = ["www/models/digits.onnx", "www/models/digits.itp.safetensors"].map(
  (path) => new Uint8Array(readFileSync(at(path))),
);
await soak(
  "loads of a larger model on the calling thread",
  Math.ceil(loads / 10),
  async () => {
    const other = await loadDetector({ model: onnx, stats: digits, worker: false });
    assert.ok((await other.detect(testImage(1))).label);
    other.dispose();
  },
  true,
);
console.log("Nothing grew.");
