// The tables of docs/results.md and README.md are those of the measured reports.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fill } from "../../scripts/lib/tables.mjs";
import { at } from "../../scripts/lib/tools.mjs";

const row = (detector, ood, fpr95, auroc) => ({ detector, ood, fpr95, auroc });
const REPORT = {
  results: [row("energy", "far", 40.754, 93.939), row("itp", "far", 16.15, 96.84), row("energy", "near", 50, 90)],
  tensorBytes: { energy: 0, itp: 27360 },
};
const filled = (show, report = REPORT) => fill(`a\n<!-- results ${JSON.stringify(show)} -->\nold\n<!-- /results -->\nz`, () => report);
const lines = (text) => text.split("\n").slice(2, -2);

test("a table has a row for each detector and a column for each set", () => {
  const text = filled({ report: "x", bytes: true });
  assert.deepEqual(lines(text), [
    "| detector | far | near | tensors |",
    "| --- | --- | --- | --- |",
    "| `energy` | 40.75 / 93.94 | 50.00 / 90.00 | - |",
    "| `itp` | 16.15 / 96.84 |  | 27 kB |",
  ]);
  assert.equal(text.startsWith("a\n<!-- results {") && text.endsWith("<!-- /results -->\nz"), true);
});

test("detectors and sets may be chosen and named", () => {
  const text = filled({ report: "x", digits: 1, detectors: { itp: "ITP" }, sets: { far: "Far" } });
  assert.deepEqual(lines(text), ["|  | Far |", "| --- | --- |", "| ITP | 16.1 / 96.8 |"]);
  assert.throws(() => filled({ report: "x", sets: ["nowhere"] }), /the report has no "nowhere"; it has far, near/);
  assert.throws(() => fill("<!-- results {} -->\nno end", () => REPORT), /has no end/);
});

test("an average is over the sets that it names", () => {
  const text = filled({ report: "x", detectors: ["energy"], sets: ["far", "average"], average: ["far", "near"] });
  assert.deepEqual(lines(text).at(-1), "| `energy` | 40.75 / 93.94 | 45.38 / 91.97 |");
});

test("shares of shifted images stand beside the accuracy and both AUROCs", () => {
  const shifted = [{ detector: "energy", set: "blur-1", accuracy: 90, accepted: 80.25 }];
  const results = [{ ...row("energy", "average", 40, 93), fullSpectrumAuroc: 88 }];
  assert.deepEqual(lines(filled({ report: "x", rows: "shifted" }, { results, shifted })), [
    "| detector | blur-1 | AUROC | full-spectrum AUROC |",
    "| --- | --- | --- | --- |",
    "| (accuracy) | 90.0 |  |  |",
    "| `energy` | 80.3 | 93.0 | 88.0 |",
  ]);
});

test("no table is stale", () => {
  const run = spawnSync(process.execPath, [at("scripts/results.mjs"), "--check"], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
});
