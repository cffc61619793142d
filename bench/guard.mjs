// Are this crate's operators still as much faster than tract's as they were? The compiler vectorises
// them by itself, and a small change can end that without any error. Only the ratio of both in one
// WebAssembly instance is judged, never a time. The ratio differs between makers of processors, so each
// has a record of its own, which judges what is in it; an unknown maker is held to the most lenient.
//
// node bench/guard.mjs [--record]

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { at, CommandFailed, main } from "../scripts/lib/tools.mjs";
import { buildBenchEngine } from "./lib/build.mjs";
import { findModels, zooModels } from "./lib/models.mjs";
import { interleave, inputValues, summary } from "./lib/measure.mjs";
import { Engine } from "./lib/parts.mjs";

/** How much worse than recorded is still passed. */
const SLACK = 1.25;
/** How often a model that looks slower is measured again. */
const TRIES = 4;
const RECORD = at("bench/guard.json");

await main(async () => {
  const engine = await Engine.create(await WebAssembly.compile(await buildBenchEngine()));
  const records = existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, "utf8")) : {};
  const maker = /^\w+/.exec(cpus()[0]?.model ?? "")?.[0] ?? "unknown";
  const recorded = records[maker] ?? mostLenient(Object.values(records));
  const limit = (name) => (recorded[name] ?? Infinity) * SLACK;
  const measured = {};
  for (const { name, path } of [...findModels(), ...zooModels()]) {
    const model = readFileSync(path);
    const own = engine.load(model, true);
    const tract = engine.load(model, false);
    const values = inputValues(engine.exports.bench_input_length(own));
    engine.setInput(own, values);
    engine.setInput(tract, values);
    // Short runs are repeated until the clock can tell them apart.
    const trial = await interleave({ own: () => engine.run(own) }, { rounds: 5 });
    const repeat = Math.ceil(10 / Math.max(summary(trial.own).min, 0.01));
    const many = (network) => {
      for (let i = 0; i < repeat; i++) engine.run(network);
    };
    // A lost vectorisation is slow every time, a busy machine only now and then: the best of a few.
    let ratio = Infinity;
    for (let attempt = 0; attempt < TRIES && !(ratio <= limit(name)); attempt++) {
      const times = await interleave({ own: () => many(own), tract: () => many(tract) }, { warmups: 2, rounds: 25 });
      ratio = Math.min(ratio, summary(times.own).min / summary(times.tract).min);
    }
    const logits = engine.logits(tract);
    const difference = engine.logits(own).reduce((max, value, i) => Math.max(max, Math.abs(value - logits[i])), 0);
    if (!(difference <= 1e-4)) throw new CommandFailed(`${name}: own and tract's operators differ by ${difference}`);
    measured[name] = ratio;
  }
  if (process.argv.includes("--record")) {
    writeFileSync(RECORD, `${JSON.stringify({ ...records, [maker]: { ...records[maker], ...measured } }, null, 2)}\n`);
    console.log("recorded for", maker, measured);
    return;
  }
  const names = Object.keys(measured);
  console.table(Object.fromEntries(names.map((name) => [name, { "own / tract": measured[name], recorded: recorded[name] }])));
  const slow = names.filter((name) => measured[name] > limit(name));
  if (slow.length > 0) {
    throw new CommandFailed(
      `the own operators became slower against tract's on ${slow.join(", ")}: look at what changed in crates/kernels and crates/backbone/src/fusion, ` +
        "and whether its inner loops are still vectorised (docs/performance.md)",
    );
  }
});

/** Of the models that every maker's record has. */
function mostLenient([first = {}, ...others]) {
  const names = Object.keys(first).filter((name) => others.every((record) => name in record));
  return Object.fromEntries(names.map((name) => [name, Math.max(first[name], ...others.map((record) => record[name]))]));
}
