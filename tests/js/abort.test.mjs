// Aborted calls and callbacks that throw: no memory is lost, and what was begun goes on.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { BroadcastChannel, Worker } from "node:worker_threads";
import { loadDetector } from "itp-ood";
import { initSync } from "../../dist/engine.js";
import { fails } from "./fails.mjs";
import { makeStats, model, testImage } from "./support.mjs";

let stats;
before(async () => {
  stats = await makeStats(loadDetector);
});

const held = Array.from({ length: 6 }, (_, i) => ({ image: testImage(i), classIndex: i % 3 }));
const labels = ["a", "b", "c", "d"];
const raise = () => {
  throw new TypeError("from the caller");
};

/** A detector with a way to ask for its engine's memory. */
async function withMemory(worker) {
  if (!worker) {
    const detector = await loadDetector({ model: model(), stats, worker });
    return { detector, memory: async () => initSync().memory.buffer.byteLength, close: () => detector.dispose() };
  }
  const channel = new BroadcastChannel("itp-ood memory");
  const detector = await loadDetector({
    model: model(),
    stats,
    worker: () => new Worker(new URL("./probe-worker.mjs", import.meta.url)),
  });
  const memory = async () => {
    const answer = new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(data)));
    await detector.idScores("memory");
    return answer;
  };
  const close = () => {
    detector.dispose();
    channel.close();
  };
  return { detector, memory, close };
}

/** Runs a call that is aborted after some steps or some turns of the event loop. */
async function aborted(call, step) {
  const controller = new AbortController();
  const settled = call(controller.signal, () => step-- === 0 && controller.abort()).catch(fails("aborted"));
  for (let turns = step % 4; turns > 0; turns--) await new Promise((resume) => setImmediate(resume));
  if (step < 4) controller.abort();
  await settled;
}

for (const worker of [true, false]) {
  test(`1,000 aborted calls of each kind leave the engine's memory where it was, ${worker ? "in a worker" : "on the calling thread"}`, async () => {
    const { detector, memory, close } = await withMemory(worker);
    const calls = {
      detect: (signal) => detector.detect(testImage(1), { signal }),
      tune: (signal, onProgress) => detector.tune(held, { signal, onProgress, perKind: 1 }),
      calibrate: (signal) => detector.calibrate(labels, { signal, detectors: ["all"] }).then((calibrator) => calibrator.dispose()),
    };
    // What a whole run takes is not lost when a run is aborted late.
    for (let i = 0; i < 3; i++) await detector.tune(held, { perKind: 1 });
    for (const [name, call] of Object.entries(calls)) {
      let settled;
      for (let i = 0; i < 1000; i++) {
        await aborted(call, i % 16);
        if (i === 49) settled = await memory();
      }
      const after = await memory();
      console.log(`${name}: engine memory after 50 aborted calls ${settled} bytes, after 1,000 ${after}`);
      assert.equal(after, settled, name);
    }
    assert.ok((await detector.detect(testImage(1))).label);
    close();
  });

  test(`a callback that throws ends its call with its error as the cause, ${worker ? "in a worker" : "on the calling thread"}`, async () => {
    const detector = await loadDetector({ model: model(), stats, worker });
    const calibrator = await detector.calibrate(labels);
    await calibrator.add(testImage(1), "a");
    const threw = (error) => fails("options", /threw: from the caller/)(error) && error.cause instanceof TypeError;
    const later = (count) => () => {
      if (count-- === 0) raise();
    };
    for (const make of [() => raise, () => later(1), () => async () => raise()]) {
      await assert.rejects(loadDetector({ model: model(), stats, worker, onProgress: make() }), threw);
      await assert.rejects(detector.tune(held, { onProgress: make(), perKind: 1 }), threw);
      await assert.rejects(async () => {
        for await (const { detection } of detector.detectAll(Array.from({ length: 6 }, (_, seed) => testImage(seed)), { onProgress: make() })) assert.ok(detection); // prettier-ignore
      }, threw);
    }
    await assert.rejects(detector.tune(held, { onPreview: raise, perKind: 1 }), threw);
    // A source that throws, and one that never answers.
    const broken = async function* () {
      yield testImage(1);
      raise();
    };
    await assert.rejects(
      async () => {
        for await (const { detection } of detector.detectAll(broken())) assert.ok(detection);
      },
      fails("image", /from the caller/),
    );
    const silent = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 20);
    await assert.rejects(detector.detectAll(silent, { signal: stop.signal }).next(), fails("aborted"));
    // Nothing is reported of a batch that was aborted.
    let ended = false;
    let late = 0;
    const ends = new AbortController();
    const images = Array.from({ length: 12 }, (_, seed) => testImage(seed));
    const onProgress = () => {
      if (ended) late++;
      ends.abort();
    };
    await assert.rejects(async () => {
      for await (const { detection } of detector.detectAll(images, { signal: ends.signal, onProgress, concurrency: 2 }))
        assert.ok(detection);
    }, fails("aborted"));
    ended = true;
    await detector.detect(testImage(1));
    assert.equal(late, 0);
    // The calibrator lives on.
    await calibrator.add(testImage(2), "b");
    assert.deepEqual(await calibrator.counts(), Uint32Array.of(1, 1, 0, 0));
    calibrator.dispose();
    detector.dispose();
  });
}

test("one caller's signal or callback doesn't end another's load of the same engine", async () => {
  const stop = new AbortController();
  const engine = new URL("../../dist/engine.wasm?shared", import.meta.url);
  const [first, second, third] = await Promise.allSettled([
    loadDetector({ model: model(), stats, engine, worker: false, onProgress: raise }),
    loadDetector({ model: model(), stats, engine, worker: false, signal: stop.signal, onProgress: () => stop.abort() }),
    loadDetector({ model: model(), stats, engine, worker: false }),
  ]);
  fails("options", /threw/)(first.reason);
  fails("aborted")(second.reason);
  assert.equal(third.status, "fulfilled", third.reason?.message);
  third.value.dispose();
});
