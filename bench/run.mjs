// `npm run bench`: this engine against onnxruntime-web, side by side, in Node and in every browser that is there.
//
// Prints tables and writes target/bench/bench.json. Options: --only=node|chromium|firefox|webkit (several with
// commas), --rounds=N, --tries=N, --models=NAME,NAME, --plain=yes (the engine without relaxed SIMD where the
// package would take that with). --folder=FOLDER measures the backbones of all models in a folder, such as
// `npm run zoo -- --families` makes. --profile prints where each model's time goes, operator by operator, in Node.

import { cpus } from "node:os";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { fork } from "node:child_process";
import { at, ensurePackages, main, stage } from "../scripts/lib/tools.mjs";
import { ENGINES, launchBrowser, whyNot } from "../scripts/lib/browser.mjs";
import { startServer } from "../scripts/lib/server.mjs";
import { buildBenchEngines } from "./lib/build.mjs";
import { findModels } from "./lib/models.mjs";
import { row } from "./lib/measure.mjs";

const options = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, "").split("=")));
const backboneOnly = options.folder !== undefined;
const profiles = "profile" in options;
const rounds = Number(options.rounds ?? 40);
const tries = Number(options.tries ?? 3);
const wanted = options.models?.split(",");
const known = findModels(options.folder);
const models = known.filter(({ name }) => !wanted || wanted.includes(name));
if (wanted && models.length < wanted.length) throw new Error(`--models knows ${known.map(({ name }) => name)}`);

const results = [];
const checksums = [];
const memory = {};

/** Keeps and prints what one model's measurement yielded. */
function keep({ rows, checksum, operators, memory: bytes }) {
  print(rows);
  if (!checksum) return;
  checksums.push(checksum);
  memory[`${checksum.model}, ${checksum.runtime}`] = { wasmBytes: bytes, ...operators };
  console.log(
    `checksums: ours ${checksum.ours.toFixed(3)}, theirs ${checksum.peer.toFixed(3)}, largest difference of a logit ${checksum.difference.toExponential(1)}, largest logit ${checksum.largest.toFixed(1)}`,
  );
  if (!(checksum.difference < 1e-3)) throw new Error(`${checksum.model}: the logits differ`);
}

function print(rows) {
  results.push(...rows);
  const ms = (value) => (value === null ? "" : value.toFixed(value < 10 ? 2 : 1));
  console.table(
    Object.fromEntries(
      rows.map((line) => [
        `${line.model}, ${line.part}, ${line.runtime}`,
        {
          "ours ms": ms(line.oursMs),
          "theirs ms": ms(line.peerMs),
          ratio: line.ratio?.toFixed(3) ?? "",
          "minima ms": `${ms(line.oursMinMs)} / ${ms(line.peerMinMs)}`,
          "ratio of minima": line.minRatio?.toFixed(3) ?? "",
          "spread %": (line.spread * 100).toFixed(0),
        },
      ]),
    ),
  );
}

/** A fresh process for each try: compile, load, first run. */
async function coldInNode(engine) {
  const rows = [];
  for (const { name, path } of models) {
    const times = { ours: [], peer: [] };
    for (let i = 0; i < tries; i++) {
      for (const side of ["ours", "peer"]) {
        times[side].push(
          await new Promise((resolve, reject) => {
            const child = fork(at("bench/cold.mjs"), [side, engine, path], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
            child.once("message", resolve);
            child.once("exit", (code) => code !== 0 && reject(new Error(`bench/cold.mjs ended with ${code}`)));
          }),
        );
      }
    }
    rows.push(row(name, "cold start", "node", times.ours, times.peer));
  }
  print(rows);
}

async function inNode(bytes) {
  const { measureCompile, measureLargeHead, measureModel, profileModel } = await import("./lib/parts.mjs");
  const ort = await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = 1;
  const module = await WebAssembly.compile(bytes);
  for (const { name, path } of models) {
    const model = readFileSync(path);
    if (profiles) {
      console.log(`\n${name}`);
      console.table(await profileModel({ model, module }));
    } else keep(await measureModel({ name, model, module, ort, runtime: "node", rounds, backboneOnly }));
  }
  if (profiles || backboneOnly) return;
  print(await measureLargeHead(module, "node"));
  const peer = readFileSync(at("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"));
  print([await measureCompile({ engine: bytes, peer, runtime: "node" })]);
}

async function inBrowser(name, plain, relaxed) {
  if (whyNot(name)) {
    console.log(`SKIPPED: ${whyNot(name)}`);
    return;
  }
  const site = at("target/bench/site");
  rmSync(site, { recursive: true, force: true });
  mkdirSync(`${site}/models`, { recursive: true });
  cpSync(at("bench"), `${site}/bench`, { recursive: true });
  symlinkSync(at("node_modules/onnxruntime-web/dist"), `${site}/ort`);
  writeFileSync(`${site}/engine.wasm`, plain);
  writeFileSync(`${site}/engine-relaxed.wasm`, relaxed);
  writeFileSync(`${site}/index.html`, "<!doctype html><meta charset=utf-8><title>bench</title><link rel=icon href=data:,>");
  for (const { name, path } of models) symlinkSync(path, `${site}/models/${name}.onnx`);
  // Threads need a page that is isolated from other origins.
  const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
  const server = await startServer({ directory: site, headers });
  const browser = await launchBrowser({}, name);
  const fresh = async (work, argument) => {
    const page = await browser.newPage();
    await page.goto(server.url);
    try {
      return await page.evaluate(work, argument);
    } finally {
      await page.close();
    }
  };
  let engine = "plain";
  let version;
  try {
    version = await fresh(() => navigator.userAgent);
    const runs = async () => WebAssembly.validate(await (await fetch("/engine-relaxed.wasm")).arrayBuffer());
    if (!options.plain && (await fresh(runs))) {
      engine = "relaxed";
      writeFileSync(`${site}/engine.wasm`, relaxed);
    }
    for (const threads of backboneOnly ? [1] : [1, 2]) {
      for (const { name: model } of models) {
        const runtime = `${name}, their threads: ${threads}`;
        const found = await fresh(async (given) => (await import("/bench/page.mjs")).measure(given), {
          name: model,
          runtime,
          threads,
          rounds,
          backboneOnly,
        });
        keep(found);
      }
    }
    if (backboneOnly) return { version, engine };
    keep({ rows: await fresh(async (runtime) => (await import("/bench/page.mjs")).measureRest(runtime), name) });
    const rows = [];
    for (const { name: model } of models) {
      const times = { ours: [], peer: [] };
      for (let i = 0; i < tries; i++) {
        for (const side of ["ours", "peer"]) {
          times[side].push(await fresh(async (given) => (await import("/bench/page.mjs")).cold(given), { side, name: model }));
        }
      }
      rows.push(row(model, "cold start", name, times.ours, times.peer));
    }
    print(rows);
  } finally {
    await browser.close();
    await server.close();
  }
  return { version, engine };
}

await main(async () => {
  await ensurePackages();
  const [plain, relaxed] = await stage("build", buildBenchEngines);
  const inNodeRuns = !options.plain && WebAssembly.validate(relaxed) ? "relaxed" : "plain";
  const bytes = inNodeRuns === "relaxed" ? relaxed : plain;
  mkdirSync(at("target/bench"), { recursive: true });
  const engine = at("target/bench/engine.wasm");
  writeFileSync(engine, bytes);
  const places = options.only?.split(",") ?? (profiles ? ["node"] : ["node", ...ENGINES]);
  if (places.includes("node")) {
    await stage("Node", () => inNode(bytes));
    if (!profiles && !backboneOnly) await stage("Node, cold", () => coldInNode(engine));
  }
  const browsers = {};
  for (const name of ENGINES.filter((name) => places.includes(name))) {
    browsers[name] = await stage(name, () => inBrowser(name, plain, relaxed));
  }
  const machine = {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    node: process.version,
    browsers,
    engine: inNodeRuns,
    date: new Date().toISOString(),
  };
  console.log("engines:", { node: inNodeRuns, ...browsers });
  writeFileSync(at("target/bench/bench.json"), `${JSON.stringify({ machine, results, checksums, memory }, null, 2)}\n`);
  console.log("\ntarget/bench/bench.json is written");
});
