// Writes a small ONNX classifier with a last layer of any size: the channels' means, a layer that
// spreads them over the features, ReLU, and the last layer. Weights are made up, the same each time.

import { seeded } from "../../tests/js/support.mjs";

const varint = (value) => {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
};
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, content) => {
  const body = Buffer.concat([content].flat().map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};

const node = (type, inputs, output) =>
  bytes(1, [...inputs.map((name) => bytes(1, name)), bytes(2, output), bytes(3, output), bytes(4, type), ...(type === "Gemm" ? [bytes(5, [bytes(1, "transB"), number(3, 1), number(20, 2)])] : [])]);
const value = (field, name, shape) =>
  bytes(field, [bytes(1, name), bytes(2, bytes(1, [number(1, 1), bytes(2, shape.map((size) => bytes(1, number(1, size))))]))]);

/** The model's bytes, for pictures of 3 x 32 x 32. */
export function headModel(classes, features) {
  const random = seeded(classes * 10_000 + features);
  const tensor = (name, dims, scale) => {
    const values = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => (random() - 0.5) * scale);
    return bytes(5, [...dims.map((size) => number(1, size)), number(2, 1), bytes(8, name), bytes(9, Buffer.from(values.buffer))]);
  };
  const graph = [
    node("GlobalAveragePool", ["picture"], "pooled"),
    node("Flatten", ["pooled"], "means"),
    node("Gemm", ["means", "spread.w", "spread.b"], "spread"),
    node("Relu", ["spread"], "features"),
    node("Gemm", ["features", "last.w", "last.b"], "logits"),
    bytes(2, "made-up"),
    tensor("spread.w", [features, 3], 2),
    tensor("spread.b", [features], 2),
    tensor("last.w", [classes, features], 8 / Math.sqrt(features)),
    tensor("last.b", [classes], 0.2),
    value(11, "picture", [1, 3, 32, 32]),
    value(12, "logits", [1, classes]),
  ];
  return Buffer.concat([number(1, 8), bytes(7, graph), bytes(8, number(2, 17))]);
}

/** A stats file for it, from made-up features. */
export async function headStats(loadDetector, model, heldOut) {
  const half = [0.5, 0.5, 0.5];
  const detector = await loadDetector({ model, preprocess: { resize: 32, crop: [32, 32], mean: half, std: half } });
  const { classes, features } = detector.info;
  const random = seeded(7);
  const some = () => Float32Array.from({ length: features }, () => Math.max(0, random() * 2 - 0.8));
  const calibrator = await detector.calibrate(Array.from({ length: classes }, (_, k) => `class ${k}`));
  for (let i = 0; i < 4 * classes; i++) await calibrator.add(some(), i % classes);
  for (let i = 0; i < heldOut; i++) await calibrator.addHoldout(some());
  const stats = await calibrator.finish();
  calibrator.dispose();
  detector.dispose();
  return stats;
}
