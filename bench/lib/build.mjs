// Builds the engine with the feature `bench`.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { at, run } from "../../scripts/lib/tools.mjs";

/**
 * The engine with its parts exported apart (src/bench.rs), in the profile that ships. `BENCH_ENGINE` names
 * one that was built before.
 */
export async function buildBenchEngine() {
  if (process.env.BENCH_ENGINE) return readFileSync(process.env.BENCH_ENGINE);
  await run("cargo", ["rustc", "--package", "itp-ood", "--lib", "--crate-type", "cdylib", "--no-default-features", "--features", "bench", "--profile", "wasm", "--target", "wasm32-unknown-unknown"]);
  const target = process.env.CARGO_TARGET_DIR ?? at("target");
  return readFileSync(join(target, "wasm32-unknown-unknown/wasm/itp_ood.wasm"));
}
