// Builds crates/bench: the engine with its parts exported apart.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { at, run } from "../../scripts/lib/tools.mjs";

const target = process.env.CARGO_TARGET_DIR ?? at("target");

/** Where the engine lies with its parts exported apart; `BENCH_ENGINE` names one that was built before. */
async function build() {
  if (process.env.BENCH_ENGINE) return process.env.BENCH_ENGINE;
  const build = "rustc --package itp-ood-bench --lib --crate-type cdylib --profile wasm --target wasm32-unknown-unknown";
  await run("cargo", build.split(" "));
  return join(target, "wasm32-unknown-unknown/wasm/itp_ood_bench.wasm");
}

/** The engine with its parts exported apart, in the profile that ships. */
export async function buildBenchEngine() {
  return readFileSync(await build());
}

/** Both engines, without and with relaxed SIMD. */
export async function buildBenchEngines() {
  const files = ["plain", "relaxed"].map((name) => join(target, `bench-${name}.wasm`));
  await run("cargo", ["xtask", "split", await build(), ...files]);
  return files.map((file) => readFileSync(file));
}
