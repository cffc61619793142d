// Runs the fuzzer's damaged models in the engine that ships, in Node: every trap, untyped error, result
// that isn't finite, hang, and use of too much memory is a failure.
//
//   node fuzz/wasm.mjs --cases 10000 --seed 1            mutants 0 to 9,999
//   node fuzz/wasm.mjs --cases 1 --first 4711 --seed 1   one of them again
//
// Needs dist/ (`npm run build:lib`) and itp-fuzz (`cargo build --release --workspace --exclude xtask`).
// Exits with 1 if there was a failure; the mutants that failed are then in target/fuzz.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const ROOT = join(import.meta.dirname, "..");
export const FUZZER = join(ROOT, "target/release", process.platform === "win32" ? "itp-fuzz.exe" : "itp-fuzz");

/** Processor seconds that one mutant may take. */
const MAX_SECONDS = 10;
/** Memory that the engine may take for one mutant: twice its own limit to a model's values. */
const MAX_BYTES = 1024 * 2 ** 20;
/** Memory never shrinks: an engine that has grown so far is replaced, so that the next growth is seen. */
const KEEP_BYTES = 64 * 2 ** 20;

// --- The worker: answers each model with what became of it.

const SIZES = [[8, 8], [32, 24]]; // prettier-ignore

function preprocess(crop, channels, isPlain) {
  const count = channels === "grey" ? 1 : 3;
  const fill = (value) => Array(count).fill(value);
  return { crop, interpolation: "bilinear", channels, mean: fill(isPlain ? 0 : 0.5), std: fill(isPlain ? 1 : 0.25) };
}

function image(channels, height, width) {
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24;
  return [Uint8Array.from({ length: channels * height * width }, next), width, height, channels];
}

/** Loads a model by what its errors ask for: another size, grey images, bytes. */
function load(Engine, model) {
  const options = { crop: undefined, channels: "rgb", isPlain: false };
  const tried = new Set();
  for (;;) {
    try {
      return new Engine(model, undefined, preprocess(options.crop, options.channels, options.isPlain));
    } catch (error) {
      const { code, message } = error ?? {};
      if (typeof code !== "string" || typeof message !== "string") throw error;
      const [, channels, height, width] = /the model takes (\d+) x (\d+) x (\d+)/.exec(message) ?? [];
      if (channels) {
        options.channels = channels === "1" ? "grey" : "rgb";
        options.crop = [Number(height), Number(width)];
      } else if (message.includes("takes bytes")) options.isPlain = true;
      else if (code === "mismatch" || message.includes("height and width")) options.crop = SIZES[tried.size % 2];
      const key = JSON.stringify(options);
      if (tried.has(key) || tried.size > 4) throw error;
      tried.add(key);
    }
  }
}

/** Loads and runs a model. Every answer but a typed error or finite features is a failure. */
function outcome(Engine, model) {
  let engine;
  let step = "refused";
  try {
    engine = load(Engine, model);
    step = "failed";
    const [, channels, height, width] = engine.info.inputShape;
    const features = engine.features(...image(channels, height, width));
    return { answer: features.every(Number.isFinite) ? "ran" : "infinite" };
  } catch (error) {
    const { code, message } = error ?? {};
    if (error instanceof Error || typeof code !== "string" || typeof message !== "string" || message === "") {
      return { answer: "crashed", message: String(error?.stack ?? error) };
    }
    return { answer: step === "failed" && code === "features" ? code : step, message };
  } finally {
    try {
      engine?.free();
    } catch {
      // The instance that it belonged to has trapped.
    }
  }
}

async function work() {
  const { __wbg_reset_state, begin, Engine, initSync } = await import("../dist/engine.js");
  const { module } = workerData;
  await begin(module);
  const bytes = () => initSync({ module }).memory.buffer.byteLength;
  parentPort.on("message", (model) => {
    const before = bytes();
    const result = outcome(Engine, model);
    const grown = bytes() - before;
    if (result.answer === "crashed" || bytes() > KEEP_BYTES) __wbg_reset_state();
    parentPort.postMessage({ ...result, grown });
  });
  parentPort.postMessage("ready");
}

// --- The main thread: feeds a worker, and replaces it if it hangs or dies.

/** Models from the fuzzer's standard output, one by one. */
async function* models({ cases, first, seed }) {
  const child = spawn(FUZZER, ["--stream", ...["--cases", cases, "--first", first, "--seed", seed].map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  let rest = Buffer.alloc(0);
  for await (const chunk of child.stdout) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
      const end = 4 + rest.readUInt32LE();
      yield Uint8Array.from(rest.subarray(4, end));
      rest = rest.subarray(end);
    }
  }
  const code = await closed;
  if (code !== 0) throw new Error(`${FUZZER} ended with ${code}`);
}

class Runner {
  #module;
  #worker;
  #answer;

  async start() {
    this.#module ??= await WebAssembly.compile(readFileSync(join(ROOT, "dist/engine.wasm")));
    this.#worker = new Worker(new URL(import.meta.url), { workerData: { module: this.#module } });
    this.#worker.on("message", (answer) => this.#answer?.(answer));
    this.#worker.on("error", (error) => this.#answer?.({ answer: "died", message: error.message, grown: 0 }));
    await new Promise((resolve) => (this.#answer = resolve));
  }

  async run(model) {
    // Only its own time counts: other work on the machine may slow it down.
    const { user } = process.cpuUsage();
    let timer;
    const answer = await new Promise((resolve) => {
      this.#answer = resolve;
      timer = setInterval(() => {
        if ((process.cpuUsage().user - user) / 1e6 > MAX_SECONDS) resolve({ answer: "hang", grown: 0 });
      }, 500);
      this.#worker.postMessage(model);
    });
    clearInterval(timer);
    if (answer.answer === "hang" || answer.answer === "died") {
      await this.stop();
      await this.start();
    }
    return answer;
  }

  stop() {
    return this.#worker?.terminate();
  }
}

/** Runs mutants; the counts of answers, and the numbers of the mutants that failed by kind. */
export async function runMutants({ cases, first = 0, seed = 1, keep = join(ROOT, "target/fuzz"), onProgress } = {}) {
  const runner = new Runner();
  await runner.start();
  const answers = {};
  const failures = {};
  let peak = 0;
  let number = first;
  for await (const model of models({ cases, first, seed })) {
    const { answer, message, grown } = await runner.run(model);
    answers[answer] = (answers[answer] ?? 0) + 1;
    peak = Math.max(peak, grown);
    const kind = grown > MAX_BYTES ? `${grown} bytes` : ["ran", "refused", "features"].includes(answer) ? "" : `${answer}: ${message}`;
    if (kind) {
      (failures[kind] ??= []).push(number);
      mkdirSync(keep, { recursive: true });
      writeFileSync(join(keep, `wasm-${seed}-${number}.onnx`), model);
    }
    number++;
    onProgress?.(number - first, answers, failures);
  }
  await runner.stop();
  if (number !== first + cases) throw new Error(`the fuzzer made ${number - first} of ${cases} models`);
  return { answers, failures, peak };
}

async function main() {
  const number = { type: "string" };
  const { values } = parseArgs({ options: { cases: number, first: number, seed: number } });
  const { cases = 10_000, first = 0, seed = 1 } = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
  const start = Date.now();
  const onProgress = (done, answers, failures) => {
    if (done % 1000 === 0) console.log(`${done} of ${cases}`, answers, `${Object.keys(failures).length} kinds of failure`);
  };
  const { answers, failures, peak } = await runMutants({ cases, first, seed, onProgress });
  console.log(`${cases} mutants in WebAssembly in ${Math.round((Date.now() - start) / 1000)} s:`, answers);
  console.log(`The engine grew by at most ${Math.ceil(peak / 2 ** 20)} MiB for one of them.`);
  for (const [kind, cases] of Object.entries(failures)) {
    console.log(`FAILURE ${kind}\n  ${cases.length} mutants, first ${cases.slice(0, 5).join(", ")}`);
  }
  if (Object.keys(failures).length > 0) process.exitCode = 1;
}

if (!isMainThread) await work();
else if (process.argv[1] === import.meta.filename) await main();
