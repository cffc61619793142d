// The models that are measured: the page's own, and the real ones beside the repository if they are there.

import { existsSync, readdirSync } from "node:fs";
import { at } from "../../scripts/lib/tools.mjs";

/** @returns {{ name: string, path: string }[]} */
export function findModels() {
  const shared = process.env.ITP_SHARED ?? at("../shared");
  const real = ["densenet100_cifar10", "mobilenet_v2_imagenet"].map((name) => ({ name, path: `${shared}/models/${name}.onnx` }));
  const own = readdirSync(at("www/models"))
    .filter((file) => file.endsWith(".onnx"))
    .map((file) => ({ name: file.replace(/\.onnx$/, ""), path: at("www/models", file) }));
  const found = real.filter(({ path }) => existsSync(path));
  if (found.length === 0) console.log(`SKIPPED: no models in ${shared}/models`);
  return [...own, ...found];
}
