#!/usr/bin/env node
// The tables of docs/results.md and README.md, from the reports in docs/results (`itp eval --json`).
//
//   npm run results                                 writes the tables
//   npm run results -- --check                      fails if one isn't what its report says
//   npm run results -- --measure --shared ../shared makes the reports first (hours; --only NAME for one of
//                                                   them, --features DIR keeps features between runs)

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fill } from "./lib/tables.mjs";
import { at } from "./lib/tools.mjs";

const FILES = ["docs/results.md", "README.md"];

const { values: given } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    measure: { type: "boolean", default: false },
    shared: { type: "string", default: at("../shared") },
    features: { type: "string" },
    only: { type: "string", multiple: true },
    itp: { type: "string", default: at("target/release/itp") },
  },
});

const reportPath = (name) => at("docs/results", `${name}.json`);
const data = (name) => join(given.shared, "data", `${name}.tar`);
const FAR = ["svhn", "textures32", "places32", "tinyimagenet32"];

/** Statistics by `itp calibrate`, and what `itp eval` measures with them. */
function measured(network, { near, count, perClass, p, lambda }) {
  const model = join(given.shared, "models", `densenet100_${network}.onnx`);
  const moments = join(given.shared, "golden", `class_stats_${network}.safetensors`);
  const id = data(`${network}-test`);
  const far = FAR.flatMap((name) => ["--ood", data(name)]);
  const ood = [...far, "--ood", data(`${near}-test`)];
  const fixed = ["--preset", "cifar", "--no-holdout", "--p", p, "--lambda", lambda].map(String);
  const sample = ["--limit-per-class", String(perClass), "--detectors", "all", "--no-tune"];
  return {
    // Class means and deviations of all 50,000 training images; what needs no tensors of its own.
    [`${network}-moments`]: {
      calibrate: [model, "--from-moments", moments, "--counts", String(count), ...fixed],
      evaluate: [model, "--id", id, ...ood, "--detectors", "all"],
    },
    // Statistics and tensors from a part of the training images.
    [network]: {
      calibrate: [model, data(`${network}-train`), ...sample, ...fixed],
      evaluate: [model, "--id", id, ...ood, "--detectors", "all"],
    },
    // Images that are changed, but still of their class.
    [`${network}-shifted`]: {
      calibrate: [model, data(`${network}-train`), ...sample, ...fixed],
      evaluate: [model, "--id", id, ...far, "--detectors", "all", "--corrupt", "--limit-per-class", network === "cifar10" ? "50" : "5"],
    },
  };
}

const REPORTS = {
  ...measured("cifar10", { near: "cifar100", count: 5000, perClass: 500, p: 10, lambda: 2.2 }),
  ...measured("cifar100", { near: "cifar10", count: 500, perClass: 50, p: 20, lambda: 1.6 }),
};

function itp(args) {
  const run = spawnSync(given.itp, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (run.status !== 0) throw new Error(`itp ${args[0]} failed`);
}

/** Names of the folders of a tar of images, in alphabetical order. */
function classesOf(tar) {
  const listed = spawnSync("tar", ["-tf", tar], { encoding: "utf8", maxBuffer: 2 ** 28 });
  if (listed.status !== 0) throw new Error(`tar can't list ${tar}`);
  return [...new Set(listed.stdout.split("\n").map((path) => path.split("/").at(-2)))].filter(Boolean).sort();
}

function measure(name, { calibrate, evaluate }) {
  const folder = mkdtempSync(join(tmpdir(), "itp-results-"));
  try {
    const stats = join(folder, "stats.itp.safetensors");
    // Moments have no names of classes; the images' folders do.
    if (calibrate.includes("--from-moments")) {
      const labels = join(folder, "labels.txt");
      writeFileSync(labels, classesOf(evaluate[evaluate.indexOf("--id") + 1]).join("\n"));
      calibrate = [...calibrate, "--labels", labels];
    }
    const kept = given.features ? ["--features", given.features] : [];
    itp(["calibrate", ...calibrate, ...(calibrate.includes("--from-moments") ? [] : kept), "-o", stats]);
    const [model, ...rest] = evaluate;
    itp(["eval", model, stats, ...rest, ...kept, "--json", join(folder, "report.json")]);
    const report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8"));
    // Paths of this machine mean nothing elsewhere.
    const file = (path) => path.split(/[\\/]/).at(-1);
    save(name, { ...report, model: file(report.model), stats: undefined });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function save(name, report) {
  mkdirSync(at("docs/results"), { recursive: true });
  writeFileSync(reportPath(name), `${JSON.stringify(report)}\n`);
}

if (given.measure) {
  const asked = Object.entries(REPORTS).filter(([name]) => !given.only || given.only.includes(name));
  if (asked.length === 0) throw new Error(`--only takes ${Object.keys(REPORTS).join(", ")}`);
  for (const [name, report] of asked) measure(name, report);
}

const read = (name) => JSON.parse(readFileSync(reportPath(name), "utf8"));
for (const file of FILES) {
  const text = readFileSync(at(file), "utf8");
  const filled = fill(text, read);
  if (filled === text) continue;
  if (given.check) {
    console.error(`${file} differs from its reports: run \`npm run results\``);
    process.exitCode = 1;
  } else {
    writeFileSync(at(file), filled);
    console.log(`${file} has new tables`);
  }
}
