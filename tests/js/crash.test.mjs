// What is left after a crash, and what memory is left after much work.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Worker } from "node:worker_threads";
import { loadDetector } from "itp-ood";
import { initSync } from "../../dist/engine.js";
import { makeStats, model, testImage } from "./support.mjs";

let stats;
before(async () => {
  stats = await makeStats(loadDetector);
});

const engineMemory = () => initSync().memory.buffer;
const hostile = () => new Worker(new URL("./hostile-worker.mjs", import.meta.url));

test("a worker that throws or ends is replaced, and the error says so", async () => {
  let started = 0;
  const detector = await loadDetector({ model: model(), stats, worker: () => (started++, hostile()) });
  const expected = await detector.detect(testImage(1));
  for (const way of ["exit", "throw"]) {
    const [crashed, ...waiting] = await Promise.allSettled([
      detector.idScores(way),
      detector.detect(testImage(2)),
      detector.detect(testImage(1)),
    ]);
    assert.equal(crashed.reason?.code, "crashed");
    assert.match(crashed.reason.message, /replaced/);
    // Calls that had not begun are answered by the new worker.
    assert.deepEqual(
      waiting.map(({ status }) => status),
      ["fulfilled", "fulfilled"],
    );
    assert.deepEqual(waiting[1].value, expected);
  }
  assert.equal(started, 3);
  detector.dispose();
});

test("an engine that traps in a worker is replaced", async () => {
  const detector = await loadDetector({ model: model(), stats, worker: hostile });
  const expected = await detector.detect(testImage(1));
  await detector.idScores("trap");
  await assert.rejects(detector.detect(testImage(1)), { code: "crashed", message: /replaced/ });
  assert.deepEqual(await detector.detect(testImage(1)), expected);
  detector.dispose();
});

test("an engine that traps on the calling thread is replaced for every detector on it", async () => {
  const [first, second] = [
    await loadDetector({ model: model(), stats, worker: false }),
    await loadDetector({ model: model(), stats, worker: false }),
  ];
  const expected = await first.detect(testImage(1));
  new Uint8Array(engineMemory()).fill(255);
  await assert.rejects(first.detect(testImage(1)), { code: "crashed", message: /replaced/ });
  assert.deepEqual(await first.detect(testImage(1)), expected);
  assert.deepEqual(await second.detect(testImage(1)), expected);
  first.dispose();
  second.dispose();
});

test("a crash on the calling thread says what was lost with it", async () => {
  const [first, second] = [
    await loadDetector({ model: model(), stats, worker: false }),
    await loadDetector({ model: model(), stats, worker: false }),
  ];
  const labels = Array.from(first.info.labels);
  const calibrator = await second.calibrate(labels);
  (await first.calibrate(labels)).dispose();
  await calibrator.add(testImage(1), 0);
  const tuning = second.tune(
    Array.from({ length: 6 }, (_, i) => ({ image: testImage(i), classIndex: i % 3 })),
    { onProgress: ({ done }) => done === 20 && new Uint8Array(engineMemory()).fill(255) },
  );
  await assert.rejects(tuning, { code: "crashed", message: /Lost with it: 1 calibrations and 1 tunings/ });
  await assert.rejects(calibrator.add(testImage(1), 0), { code: "disposed", message: /lost when the engine crashed/ });
  // What was lost is not told again, and everything else works.
  assert.ok((await second.detect(testImage(1))).label);
  const again = await second.calibrate(labels);
  await again.add(testImage(1), 0);
  new Uint8Array(engineMemory()).fill(255);
  await assert.rejects(first.detect(testImage(1)), { code: "crashed", message: /1 calibrations and 0 tunings/ });
  new Uint8Array(engineMemory()).fill(255);
  await assert.rejects(first.detect(testImage(1)), (error) => error.code === "crashed" && !/Lost/.test(error.message));
  assert.ok((await first.detect(testImage(1))).label);
  first.dispose();
  second.dispose();
});

test("a worker given ready made can't be replaced, and the error says what to pass", async () => {
  const detector = await loadDetector({ model: model(), stats, worker: hostile() });
  await assert.rejects(detector.idScores("exit"), { code: "crashed" });
  await assert.rejects(detector.detect(testImage(1)), { code: "crashed", message: /worker: \(\) => new Worker/ });
  detector.dispose();
});

test("1,000 images leave the engine's memory where it was after the tenth", async () => {
  const detector = await loadDetector({ model: model(), stats, worker: false });
  let tenth = 0;
  for (let i = 1; i <= 1000; i++) {
    const result = await detector.detect(testImage(i % 7, 60, 50));
    if (i % 100 === 0) await detector.explain(result);
    if (i === 10) tenth = engineMemory().byteLength;
  }
  console.log(`engine memory after 10 images ${tenth} bytes, after 1,000 ${engineMemory().byteLength}`);
  assert.equal(engineMemory().byteLength, tenth);
  detector.dispose();
});

test("100 load and dispose rounds leave the memory where it was after the tenth", async () => {
  let engine = 0;
  for (let i = 1; i <= 100; i++) {
    const detector = await loadDetector({ model: model(), stats, worker: false });
    await detector.detect(testImage(1));
    detector.dispose();
    if (i === 10) engine = engineMemory().byteLength;
  }
  assert.equal(engineMemory().byteLength, engine);

  let tenth = 0;
  for (let i = 1; i <= 100; i++) {
    const detector = await loadDetector({ model: model(), stats });
    await detector.detect(testImage(1));
    detector.dispose();
    if (i === 10) tenth = process.memoryUsage().rss;
  }
  const { rss } = process.memoryUsage();
  console.log(`engine memory ${engine} bytes after both; process after 10 workers ${tenth}, after 100 ${rss}`);
  // A worker that is not given back costs at least 15 MB; the process itself varies by less.
  assert.ok(rss < tenth + 150e6, `${rss - tenth} bytes more`);
});
