// The measurements themselves, for Node and browsers alike.

import { interleave, photo, inputValues, row } from "./measure.mjs";

/** The crate `itp-ood-bench`, compiled: the engine's parts as plain functions. */
export class Engine {
  /** Asynchronous because browsers refuse to do this for a large module on the main thread. */
  static async create(module) {
    // wasm-bindgen's placeholders, which only its own tool fills in; nothing here calls them.
    const imports = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      (imports[from] ??= {})[name] =
        name === "bench_now"
          ? () => performance.now()
          : () => {
              throw new Error(`${name} isn't there`);
            };
    }
    const engine = new Engine();
    engine.exports = (await WebAssembly.instantiate(module, imports)).exports;
    engine.exports.bench_start();
    return engine;
  }

  /** Copies bytes into the engine's memory. */
  write(bytes) {
    const place = this.exports.bench_reserve(bytes.byteLength);
    new Uint8Array(this.exports.memory.buffer).set(bytes, place);
    return place;
  }

  /** Loads a model, with this crate's operators or tract's. */
  load(model, own = true) {
    const number = this.exports.bench_load(this.write(model), model.byteLength, own);
    if (number < 0) throw new Error("the engine refused the model");
    return number;
  }

  setInput(network, values) {
    new Float32Array(this.exports.memory.buffer, this.exports.bench_input(network), values.length).set(values);
  }

  run(network) {
    if (!this.exports.bench_run(network)) throw new Error("the engine failed on the image");
  }

  /** What each operator takes, the least of some runs. */
  profile(network, runs) {
    const length = this.exports.bench_profile(network, runs);
    if (length === 0) throw new Error("the engine can't be profiled");
    const text = new Uint8Array(this.exports.memory.buffer, this.exports.bench_profile_text(network), length);
    const lines = new TextDecoder().decode(text).trimEnd().split("\n");
    return lines.map((line) => {
      const [operator, own, seconds, multiplyAdds, node] = line.split("\t");
      return { operator, own: own === "1", seconds: Number(seconds), multiplyAdds: Number(multiplyAdds), node };
    });
  }

  logits(network) {
    return new Float32Array(this.exports.memory.buffer, this.exports.bench_logits(network), this.exports.bench_classes(network)).slice();
  }
}

/** A sum that depends on every value and its place, to see that both sides computed the same. */
const checksum = (values) => values.reduce((sum, value, index) => sum + value * ((index % 7) + 1), 0);

/** Where one model's time goes: a line for each operator, the slowest first. */
export async function profileModel({ model, module, runs = 20 }) {
  const engine = await Engine.create(module);
  const network = engine.load(model);
  engine.setInput(network, inputValues(engine.exports.bench_input_length(network)));
  const sums = {};
  for (const { operator, own, seconds, multiplyAdds } of engine.profile(network, runs)) {
    const sum = (sums[`${operator}, ${own ? "own" : "tract"}`] ??= { nodes: 0, seconds: 0, multiplyAdds: 0 });
    sum.nodes += 1;
    sum.seconds += seconds;
    sum.multiplyAdds += multiplyAdds;
  }
  const all = Object.values(sums).reduce((sum, { seconds }) => sum + seconds, 0);
  const lines = Object.entries(sums).sort(([, a], [, b]) => b.seconds - a.seconds);
  return lines.map(([operator, { nodes, seconds, multiplyAdds }]) => ({
    operator,
    nodes,
    ms: seconds * 1e3,
    share: seconds / all,
    billionMultiplyAddsASecond: multiplyAdds / seconds / 1e9,
  }));
}

/** Parts of one model: loading, preprocessing, backbone; ours against onnxruntime-web's. */
export async function measureModel({ name, model, module, ort, runtime, rounds = 40, loads = 5, backboneOnly = false }) {
  const engine = await Engine.create(module);
  const create = () => ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const session = await create();
  const network = engine.load(model);
  const length = engine.exports.bench_input_length(network);
  const side = engine.exports.bench_input_side(network);
  const values = inputValues(length);
  engine.setInput(network, values);
  const channels = engine.exports.bench_input_channels(network);
  const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", values, [1, channels, side, side]) };
  const output = session.outputNames.find((output) => output === "logits") ?? session.outputNames[0];
  // Until the engines have compiled for speed what they compiled in haste.
  const warmups = backboneOnly ? 20 : 5;

  let theirs;
  const backbone = await interleave(
    { ours: () => engine.run(network), peer: async () => (theirs = (await session.run(feeds, [output]))[output].data) },
    { warmups, rounds },
  );
  const ours = engine.logits(network);
  const difference = ours.reduce((max, value, index) => Math.max(max, Math.abs(value - theirs[index])), 0);
  const largest = theirs.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const operators = { own: engine.exports.bench_own_operators(network), tract: engine.exports.bench_tract_operators(network) };
  const found = {
    rows: [row(name, "backbone", runtime, backbone.ours, backbone.peer)],
    checksum: { model: name, runtime, ours: checksum(ours), peer: checksum(Float32Array.from(theirs)), difference, largest },
    operators,
    memory: engine.exports.memory.buffer.byteLength,
  };
  if (backboneOnly) {
    await session.release();
    return found;
  }

  const load = await interleave(
    { ours: () => engine.load(model), peer: async () => (await create()).release() },
    { warmups: 1, rounds: loads },
  );

  const [width, height] = side >= 128 ? [640, 480] : [side * 2, side * 2];
  const pixels = engine.write(photo(width, height));
  const preprocess = await interleave(
    {
      ours: () => {
        if (!engine.exports.bench_preprocess(network, pixels, width, height)) throw new Error("preprocessing failed");
      },
    },
    { rounds },
  );

  const scoring = measureScoring(engine, ours.length, engine.exports.bench_features(network));
  const scores = await interleave({ score: scoring.score, detect: scoring.detect, explain: scoring.explain }, { rounds });

  return {
    ...found,
    rows: [
      ...found.rows,
      row(name, "load", runtime, load.ours, load.peer),
      row(name, `preprocess ${width}x${height}`, runtime, preprocess.ours),
      row(name, "score", runtime, scores.score),
      row(name, "detect", runtime, scores.detect),
      row(name, "explain", runtime, scores.explain),
    ],
    memory: engine.exports.memory.buffer.byteLength,
  };
}

function measureScoring(engine, classes, features) {
  const scoring = engine.exports.bench_make_scoring(classes, features);
  if (scoring < 0) throw new Error("no scoring could be made up");
  const finite = (value) => {
    if (!Number.isFinite(value)) throw new Error("scoring failed");
  };
  return {
    score: () => finite(engine.exports.bench_score(scoring)),
    detect: () => finite(engine.exports.bench_detect(scoring)),
    explain: () => finite(engine.exports.bench_explain(scoring, 0)),
  };
}

/** Scoring of a large head, without a network. */
export async function measureLargeHead(module, runtime, classes = 1000, features = 2048) {
  const scoring = measureScoring(await Engine.create(module), classes, features);
  const times = await interleave(scoring, { warmups: 2, rounds: 20 });
  return Object.entries(times).map(([part, ours]) => row(`head ${classes}x${features}`, part, runtime, ours));
}

/** Compiling both engines from their bytes, as a browser without a cache must. */
export async function measureCompile({ engine, peer, runtime, rounds = 3 }) {
  const { ours, theirs } = await interleave(
    { ours: () => WebAssembly.compile(engine), theirs: () => WebAssembly.compile(peer) },
    { warmups: 0, rounds },
  );
  return row("engine", "compile", runtime, ours, theirs);
}
