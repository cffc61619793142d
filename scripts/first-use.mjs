#!/usr/bin/env node
// `itp calibrate MODEL IMAGES -o STATS` with the preset and nothing else, on five networks: what it
// chooses, and what that is worth. Prints the table of docs/results.md, "The first use".
//
//   node scripts/first-use.mjs --shared ../shared --digits build/digits --things build/things
//
// --shared: the folder with models and data (docs/results.md); --digits: what training/digits.py draws;
// --things: things64.tar and ood224.tar unpacked, and the model that training/things_head.py makes.
// A network without its data is left out and named. --features DIR keeps features between runs.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { at } from "./lib/tools.mjs";

const { values: given } = parseArgs({
  options: {
    shared: { type: "string", default: at("../shared") },
    digits: { type: "string", default: at("build/digits") },
    things: { type: "string", default: at("build/things") },
    features: { type: "string" },
    itp: { type: "string", default: at("target/release/itp") },
    only: { type: "string", multiple: true },
  },
});
const data = (name) => join(given.shared, "data", `${name}.tar`);
const inFolder = (folder, names) => names.map((name) => join(folder, name));
const NEAR_AND_FAR = ["svhn", "textures32", "places32", "tinyimagenet32"];

const NETWORKS = [
  {
    name: "DenseNet, CIFAR-10",
    model: join(given.shared, "models/densenet100_cifar10.onnx"),
    preset: "cifar",
    train: data("cifar10-train"),
    test: data("cifar10-test"),
    ood: [...NEAR_AND_FAR, "cifar100-test"].map(data),
  },
  {
    name: "DenseNet, CIFAR-100",
    model: join(given.shared, "models/densenet100_cifar100.onnx"),
    preset: "cifar",
    train: data("cifar100-train"),
    test: data("cifar100-test"),
    ood: [...NEAR_AND_FAR, "cifar10-test"].map(data),
  },
  {
    name: "photos",
    model: at("www/models/photos.onnx"),
    preset: "cifar",
    train: data("cifar10-train"),
    test: data("cifar10-test"),
    ood: [...NEAR_AND_FAR, "cifar100-test"].map(data),
  },
  {
    name: "digits",
    model: at("www/models/digits.onnx"),
    preset: "digits",
    train: join(given.digits, "train"),
    test: join(given.digits, "test"),
    ood: inFolder(given.digits, ["letters", "shapes", "scribbles", "blank"]),
  },
  {
    name: "MobileNetV2, 64 things",
    model: join(given.things, "things.onnx"),
    preset: "mobilenet",
    train: join(given.things, "train"),
    test: join(given.things, "test"),
    ood: inFolder(given.things, ["imagenet-sample", "textures", "scenes", "flowers"]),
  },
];

const folder = mkdtempSync(join(tmpdir(), "first-use-"));
const kept = given.features ? ["--features", given.features] : [];

/** The JSON that a command prints. */
function itp(...args) {
  const { status, stdout, stderr } = spawnSync(given.itp, [...args, ...kept, "--json"], { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`itp ${args[0]}: ${stderr}`);
  return JSON.parse(stdout);
}

const row = (cells) => console.log(`| ${cells.join(" | ")} |`);
const pair = ({ fpr95, auroc }) => `${fpr95.toFixed(1)} / ${auroc.toFixed(1)}`;

const sets = [];
console.log("FPR95 / AUROC, mean over the sets.\n");
row(["network", "chosen", "Energy", "ITP", "accepted of test images"]);
row(Array(5).fill("---"));
for (const { name, model, preset, train, test, ood } of NETWORKS) {
  if (given.only && !given.only.includes(name)) continue;
  const missing = [model, train, test, ...ood].filter((path) => !existsSync(path));
  if (missing.length) {
    console.error(`skipped: ${name} (no ${missing.join(", ")})`);
    continue;
  }
  const stats = join(folder, "stats.itp.safetensors");
  const { settings } = itp("calibrate", model, train, "-o", stats, "--preset", preset, "-q");
  const { results } = itp("eval", model, stats, "--id", test, ...ood.flatMap((set) => ["--ood", set]), "--detectors", "energy,itp", "-q");
  const { accepted } = itp("doctor", model, stats, test, "-q");
  const of = (detector, set) => results.find((result) => result.detector === detector && result.ood === set);
  const score = settings.score === "itp" ? "" : `, score ${settings.score}`;
  row([
    name,
    `p ${settings.p}, lambda ${settings.lambda}${score}`,
    pair(of("energy", "average")),
    pair(of("itp", "average")),
    `${(100 * accepted).toFixed(1)} %`,
  ]);
  for (const { ood: set } of results.filter(({ detector, ood: set }) => detector === "itp" && set !== "average"))
    sets.push([name, set, pair(of("energy", set)), pair(of("itp", set))]);
}
console.log();
row(["network", "OOD set", "Energy", "ITP"]);
row(Array(4).fill("---"));
sets.forEach(row);
rmSync(folder, { recursive: true });
