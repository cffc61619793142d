// Writes small ONNX classifiers for images of 3 x 32 x 32. Weights are made up, the same each time.

import { seeded } from "./support.mjs";

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

const TRANSPOSED = bytes(5, [bytes(1, "transB"), number(3, 1), number(20, 2)]);
const node = (type, inputs, output) =>
  bytes(1, [
    ...inputs.map((name) => bytes(1, name)),
    bytes(2, output),
    bytes(3, output),
    bytes(4, type),
    ...(type === "Gemm" ? [TRANSPOSED] : []),
  ]);
const value = (field, name, shape) =>
  bytes(field, [
    bytes(1, name),
    bytes(
      2,
      bytes(1, [
        number(1, 1),
        bytes(
          2,
          shape.map((size) => bytes(1, number(1, size))),
        ),
      ]),
    ),
  ]);

/** `weights`: for each tensor its shape and how far its values spread. */
function model(classes, nodes, weights) {
  const random = seeded(classes);
  const tensors = Object.entries(weights).map(([name, [dims, scale]]) => {
    const values = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => (random() - 0.5) * scale);
    return bytes(5, [...dims.map((size) => number(1, size)), number(2, 1), bytes(8, name), bytes(9, Buffer.from(values.buffer))]);
  });
  const graph = [...nodes, bytes(2, "made-up"), ...tensors, value(11, "image", [1, 3, 32, 32]), value(12, "logits", [1, classes])];
  return Buffer.concat([number(1, 8), bytes(7, graph), bytes(8, number(2, 17))]);
}

/** A head of any size, behind a layer that spreads the channels' means over its features. */
export const headModel = (classes, features) =>
  model(
    classes,
    [
      node("GlobalAveragePool", ["image"], "pooled"),
      node("Flatten", ["pooled"], "means"),
      node("Gemm", ["means", "spread.w", "spread.b"], "spread"),
      node("Relu", ["spread"], "features"),
      node("Gemm", ["features", "last.w", "last.b"], "logits"),
    ],
    {
      "spread.w": [[features, 3], 2],
      "spread.b": [[features], 2],
      "last.w": [[classes, features], 8 / Math.sqrt(features)],
      "last.b": [[classes], 0.2],
    },
  );

/** Nothing but a head: its features are the pixels as they come out of preprocessing. */
export const pixelModel = (classes) =>
  model(classes, [node("Flatten", ["image"], "features"), node("Gemm", ["features", "last.w", "last.b"], "logits")], {
    "last.w": [[classes, 3072], 0.1],
    "last.b": [[classes], 0.2],
  });
