// The models that are measured: the page's own, and the real ones beside the repository if they are there.

import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { at } from "../../scripts/lib/tools.mjs";

/** @returns {{ name: string, path: string }[]} the models of a folder, or without one those */
export function findModels(folder) {
  if (folder) {
    const files = readdirSync(folder).filter((file) => file.endsWith(".onnx"));
    return files.map((file) => ({ name: file.replace(/\.onnx$/, ""), path: resolve(folder, file) }));
  }
  const shared = process.env.ITP_SHARED ?? at("../shared");
  const real = ["densenet100_cifar10", "mobilenet_v2_imagenet"].map((name) => ({ name, path: `${shared}/models/${name}.onnx` }));
  const own = readdirSync(at("www/models"))
    .filter((file) => file.endsWith(".onnx"))
    .map((file) => ({ name: file.replace(/\.onnx$/, ""), path: at("www/models", file) }));
  const found = real.filter(({ path }) => existsSync(path));
  if (found.length === 0) console.log(`SKIPPED: no models in ${shared}/models`);
  return [...own, ...found];
}

/** One of each family in tests/zoo. */
const FAMILIES = [
  "timm_resnet",
  "timm_densenet",
  "timm_resnext",
  "hf_regnet",
  "tv_shufflenet",
  "timm_mobilenetv3",
  "timm_efficientnet",
  "timm_convnext",
  "timm_edgenext",
  "timm_mobilevit",
  "timm_vit",
  "timm_beit",
  "timm_swin",
  "timm_cait",
  "timm_mvitv2",
];

/** Small models with random weights, one of each family. */
export function zooModels() {
  return FAMILIES.map((name) => ({ name, path: at("tests/zoo/models", `${name}.onnx`) }));
}
