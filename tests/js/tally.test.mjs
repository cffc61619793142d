// What `npm test` counts: passed, failed and skipped tests, of cargo's output and of node's events.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Tally } from "../../scripts/lib/tally.mjs";

const CARGO = `
running 4 tests
test moments::one_class ... ok
test real_data::figures ... ok
test slow::all_pairs ... ignored, takes an hour
test wrong - should panic ... FAILED

successes:

---- moments::one_class stdout ----
4 images
skipped: this is not the first line

---- real_data::figures stdout ----
skipped: no real data in ../shared


successes:
    moments::one_class
    real_data::figures

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test src/lib.rs - Detector (line 12) - compile ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
`;

test("cargo's tests: ignored ones and those without their data are skipped, by name", () => {
  const tally = new Tally();
  tally.addCargo(CARGO, 101);
  assert.equal(`${tally}`, "2 passed, 1 failed, 2 skipped");
  assert.deepEqual(tally.skipped, ["slow::all_pairs: takes an hour", "real_data::figures: no real data in ../shared"]);
  assert.deepEqual(tally.failures, ["wrong"]);
});

test("a build that broke is a failure", () => {
  const tally = new Tally();
  tally.addCargo("error[E0425]: cannot find value", 101);
  assert.equal(`${tally}`, "0 passed, 1 failed, 0 skipped");
});

test("node's tests: suites don't count, skips keep their reason", () => {
  const tally = new Tally();
  tally.addEvent(true, { name: "a", details: {} });
  tally.addEvent(false, { name: "b", details: { type: "test", error: { cause: { message: "1\n is not 2" } } } });
  tally.addEvent(false, { name: "its suite", details: { type: "suite" } });
  tally.addEvent(true, { name: "c", skip: "no chromium", details: {} });
  tally.addEvent(false, { name: "d", todo: true, details: {} });
  assert.equal(`${tally}`, "1 passed, 1 failed, 2 skipped");
  assert.deepEqual(tally.skipped, ["c: no chromium", "d"]);
  assert.deepEqual(tally.failures, ["b: 1 is not 2"]);
});

test("pytest's report: failures by name, skips with their reason", () => {
  const tally = new Tally();
  tally.addJUnit(
    `<testsuite><testcase name="a" time="0.1" /><testcase name="b"><failure message="no">...</failure></testcase>
<testcase name="c"><skipped type="pytest.skip" message="no real data">conftest.py:3: no real data</skipped></testcase>
<testcase name="d"><skipped message="collection skipped">('d.py', 6, "Skipped: could not import 'torch'")</skipped></testcase></testsuite>`,
    1,
  );
  assert.equal(`${tally}`, "1 passed, 1 failed, 2 skipped");
  assert.deepEqual(tally.failures, ["b"]);
  assert.deepEqual(tally.skipped, ["c: no real data", "d: could not import 'torch'"]);
  const broken = new Tally();
  broken.addJUnit("", 2);
  assert.deepEqual(broken.failures, ["pytest itself"]);
});
