// Damaged ONNX models in the engine that ships: no trap, untyped error, hang, or use of too much memory.
// ITP_MUTANTS sets how many (10,000), ITP_SEED with what seed (1).

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { FUZZER, runMutants } from "../../fuzz/wasm.mjs";

const cases = Number(process.env.ITP_MUTANTS ?? 10_000);
const seed = Number(process.env.ITP_SEED ?? 1);

test(
  `${cases} damaged models are answered by typed errors`,
  { skip: !existsSync(FUZZER) && "the fuzzer (itp-fuzz) is not built" },
  async () => {
    const { answers, failures, peak } = await runMutants({ cases, seed });
    console.log(`${cases} mutants:`, answers, `the engine grew by at most ${Math.ceil(peak / 2 ** 20)} MiB for one`);
    assert.deepEqual(failures, {}, "the mutants are in target/fuzz");
    // Mutants that are all refused at once would test nothing.
    assert.ok(answers.ran > cases / 20 && answers.ran < (19 * cases) / 20, JSON.stringify(answers));
  },
);
