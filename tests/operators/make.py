"""Writes cases.bin: operators with random shapes and attributes, and what onnxruntime makes of them.

Each case is a model of one operator between an image and a linear layer, so that the features are
the operator's output. Needs Python 3 with the packages numpy, onnx and onnxruntime (VERSIONS says
which made the file).

    python make.py                    # the committed file: a few cases of each operator
    python make.py --cases 300 --out /tmp/cases.bin

The test crates/backbone/tests/operators.rs reads the file that ITP_OPERATOR_CASES names, or else
the committed one. File: for each case u16 length and name, u32 length and ONNX model, u32 count and
expected features (f32), all little-endian.
"""

import argparse
import struct
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import operators

VERSIONS = "onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6"
MAX_FEATURES = 64
FLOAT = TensorProto.FLOAT


def image(shape, seed):
    """The same numbers as `image` in crates/backbone/tests/operators.rs."""
    state = (seed * 2654435761 + 1) % 2**32
    values = []
    for _ in range(int(np.prod(shape))):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append(np.float32(state >> 8) / np.float32(1 << 23) - np.float32(1))
    return np.array(values, np.float32).reshape(shape)


def build(case):
    """The model of a case: image -> inputs -> operator -> features -> linear layer."""
    nodes, weights = [], []

    def op(kind, inputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, [f"v{len(nodes)}"], **attributes))
        return f"v{len(nodes) - 1}"

    def weight(array):
        weights.append(numpy_helper.from_array(np.asarray(array), f"w{len(weights)}"))
        return f"w{len(weights) - 1}"

    total = sum(int(np.prod(x.shape)) for x in case.inputs if isinstance(x, operators.X))
    flat = op("Reshape", ["x", weight(np.array([-1], np.int64))])
    names, start = [], 0
    for x in case.inputs:
        if x is None:
            names.append("")
        elif isinstance(x, operators.X):
            size = int(np.prod(x.shape))
            value = flat
            if size != total:
                ends = [weight(np.array([at], np.int64)) for at in (start, start + size)]
                value = op("Slice", [value, *ends], **({} if case.opset >= 10 else {}))
            start += size
            value = op("Reshape", [value, weight(np.array(x.shape, np.int64))])
            if x.scale != 1:
                value = op("Mul", [value, weight(np.float32(x.scale))])
            if x.shift != 0:
                value = op("Add", [value, weight(np.float32(x.shift))])
            if x.dtype != FLOAT:
                if x.dtype != TensorProto.BOOL:
                    value = op("Floor", [value])
                else:
                    value = op("Greater", [value, weight(np.float32(0))])
                    names.append(value)
                    continue
                value = op("Cast", [value], to=x.dtype)
            names.append(value)
        else:
            names.append(weight(x))
    outputs = [f"y{at}" for at in range(case.outputs)]
    nodes.append(helper.make_node(case.kind, names, outputs, domain=case.domain, **case.attributes))
    parts = []
    for output in outputs:
        value = op("Cast", [output], to=FLOAT) if case.cast else output
        parts.append(op("Reshape", [value, weight(np.array([1, -1], np.int64))]))
    features = parts[0] if len(parts) == 1 else op("Concat", parts, axis=1)
    opsets = [helper.make_opsetid("", case.opset)]
    if case.domain:
        opsets.append(helper.make_opsetid(case.domain, 1))

    def model(nodes, weights, output):
        graph = helper.make_graph(nodes, "g", [
            helper.make_tensor_value_info("x", FLOAT, [1, 1, 1, max(total, 1)]),
        ], [helper.make_tensor_value_info(output, FLOAT, None)], weights)
        made = helper.make_model(graph, opset_imports=opsets)
        made.ir_version = min(made.ir_version, 10)
        made.producer_name = ""
        return made

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model(nodes, weights, features).SerializeToString(), options, ["CPUExecutionProvider"])
    expected = session.run(None, {"x": image([1, 1, 1, max(total, 1)], 1)})[0].ravel()
    if not 1 <= len(expected) <= MAX_FEATURES or not np.isfinite(expected).all():
        return None
    head = weight(np.zeros((2, len(expected)), np.int8))
    head = op("Cast", [head], to=FLOAT)
    nodes.append(helper.make_node("Gemm", [features, head], ["logits"], transB=1))
    return model(nodes, weights, "logits").SerializeToString(), expected.astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=5)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("cases.bin"))
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    with options.out.open("wb") as file:
        for index, (name, make) in enumerate(operators.ALL.items()):
            if options.only and name not in options.only.split(","):
                continue
            rng = np.random.default_rng([options.seed, index])
            found, refused, reasons = 0, 0, {}
            while found < options.cases and refused < 20 * options.cases + 100:
                try:
                    made = build(make(rng))
                except Exception as error:  # onnxruntime refuses: no case
                    made = None
                    reasons[str(error).splitlines()[0][-150:]] = True
                if made is None:
                    refused += 1
                    continue
                found += 1
                model, expected = made
                label = f"{name}#{found}".encode()
                file.write(struct.pack("<H", len(label)) + label)
                file.write(struct.pack("<I", len(model)) + model)
                file.write(struct.pack("<I", len(expected)) + expected.tobytes())
            if found < options.cases:
                print(f"{name}: {found} cases, {refused} refused: {list(reasons)[:3]}")
    print(f"{options.out}: {options.out.stat().st_size} bytes; made by {VERSIONS}")


if __name__ == "__main__":
    main()
