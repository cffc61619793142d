"""Writes small ONNX models with everything that stands behind the last linear layer, or ahead of
the network, in other people's files, to heads/, and ONNX Runtime's logits to heads/expected.txt:
name, logits.

Run in this folder with the packages of ../zoo/requirements.txt. Some models of the folder come from
elsewhere; their logits are computed, too.
"""

import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from make import CLASSES, FEATURES, SIZE, Builder

HERE = pathlib.Path("heads")
# The value with the logits, where it isn't an output.
LOGITS = {"argmax": "t7_0", "sigmoid": "t7_0"}


def image(kind="tensor(float)", last=False):
    """The same image as in crates/backbone/tests/heads.rs."""
    state, values = 1, []
    for _ in range(3 * SIZE * SIZE):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        values.append(state >> 24)
    pixels = np.array(values, np.uint8).reshape(1, 3, SIZE, SIZE)
    if last:
        pixels = pixels.transpose(0, 2, 3, 1)
    return pixels if kind == "tensor(uint8)" else pixels.astype(np.float32) / np.float32(255)


def run(path, value):
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(source_of(path, model), options)
    source = session.get_inputs()[0]
    pixels = image(source.type, source.shape[-1] == 3)
    return session.run([value], {source.name: pixels})[0].reshape(-1)


def source_of(path, model):
    """The model's bytes. Operators out of order aren't taken by ONNX Runtime."""
    known = {value.name for value in [*model.graph.input, *model.graph.initializer]}
    waiting, nodes = list(model.graph.node), []
    while waiting:
        ready = next(node for node in waiting if all(not i or i in known for i in node.input))
        waiting.remove(ready)
        nodes.append(ready)
        known.update(ready.output)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def ints(m, *values):
    return m.weight(np.array(values, np.int64))


def const(m, values):
    return m.weight(np.array(values, np.float32))


def main():
    def start(seed):
        m = Builder(seed)
        return m, m.flat()

    def end(m, name, output, logits=None, **kwargs):
        LOGITS[name] = logits or output
        if isinstance(output, str):
            output = [output]
        m.save(f"heads/{name}", *output, **kwargs)

    m, x = start(101)
    x = m.op("Mul", m.op("Add", m.gemm(x, None), m.gemm(x, None)), const(m, 0.5))
    end(m, "averaged_shared", x)

    m, x = start(102)
    y = m.op("Relu", m.op("Add", x, const(m, np.linspace(-1, 1, FEATURES))))
    x = m.op("Div", m.op("Add", m.gemm(x, None), m.gemm(y, None)), const(m, 2))
    end(m, "averaged_two", x)

    m, x = start(103)
    y = m.op("Tanh", x)
    parts = [m.op("Unsqueeze", m.gemm(value, None), ints(m, 0)) for value in (x, y)]
    x = m.op("ReduceMean", m.op("Concat", *parts, axis=0), axes=[0], keepdims=0)
    end(m, "averaged_stack", x)

    for name, pool in (
            ("conv_mean", lambda m, x: m.op("ReduceMean", x, axes=[2, 3], keepdims=0)),
            ("conv_mean_keep", lambda m, x: m.op("Flatten", m.op("ReduceMean", x, axes=[-1, -2]))),
            ("conv_average", lambda m, x: m.op("Flatten", m.op("AveragePool", x,
                                                               kernel_shape=[4, 4])))):
        m = Builder(104)
        x = m.op("Conv", m.map(), m.weight(m.w()[:, :, None, None]), m.weight(m.b()))
        end(m, name, pool(m, x))

    # As Hugging Face's EfficientNet pools: by more pixels than there are.
    m = Builder(120)
    x = m.op("AveragePool", m.map(), kernel_shape=[64, 64], strides=[64, 64], ceil_mode=1)
    end(m, "wide_pool", m.gemm(m.op("Flatten", x), None))

    m = Builder(105)
    x = m.op("Reshape", m.map(), ints(m, 0, FEATURES, -1))
    x = m.op("MatMul", m.op("Transpose", x, perm=[0, 2, 1]), m.weight(m.w().T.copy()))
    end(m, "tokens_mean", m.op("ReduceMean", x, axes=[1], keepdims=0))

    m, x = start(106)
    logits = m.gemm(x, None)
    shifted = m.op("Sub", logits, m.op("ReduceMax", logits, axes=[1], keepdims=1))
    e = m.op("Exp", shifted)
    p = m.op("Div", e, m.op("ReduceSum", e, ints(m, 1), keepdims=1))
    end(m, "softmax_written", m.op("Clip", p, const(m, 1e-7), const(m, 1)), logits)

    m, x = start(107)
    order = [2, 0, 3]
    x = m.op("Gather", m.gemm(x, None), ints(m, *order), axis=1)
    end(m, "gather", x)

    m, x = start(108)
    x = m.op("Slice", m.gemm(x, None), ints(m, 1), ints(m, CLASSES), ints(m, -1))
    end(m, "slice", m.op("Softmax", x, axis=-1), x)

    m, x = start(109)
    logits = m.gemm(x, None)
    p = m.op("Softmax", logits, axis=1)
    m.nodes.append(helper.make_node("TopK", [p, ints(m, 3)], ["scores", "classes"]))
    end(m, "top_k", ["scores", "classes"], logits)

    m, x = start(110)
    x = m.op("Sub", const(m, [1, 2, 3, 4]), m.gemm(x, None))
    end(m, "subtracted", m.op("Mul", m.op("Neg", x), const(m, [1, .5, 2, 3])))

    m, x = start(111)
    logits = m.gemm(x, None)
    end(m, "log_of_softmax", m.op("Log", m.op("Softmax", logits, axis=1)), logits)

    m, x = start(112)
    m.gemm(x)
    m.nodes.reverse()
    end(m, "out_of_order", "logits")

    for name, shape, perm in (("bytes_first", ["n", 3, SIZE, SIZE], None),
                              ("bytes_last", ["n", SIZE, SIZE, 3], [0, 3, 1, 2])):
        m = Builder(113)
        x = m.op("Cast", "input", to=TensorProto.FLOAT)
        x = m.op("Div", m.op("Sub", x, const(m, 127.5)), const(m, 60))
        x = m.op("Transpose", x, perm=perm) if perm else x
        x = m.gemm(m.op("Flatten", m.op("GlobalAveragePool", m.map(x))))
        end(m, name, x, inputs=[helper.make_tensor_value_info("input", TensorProto.UINT8, shape)])

    m = Builder(114)
    m.gemm(m.flat())
    LOGITS["external"] = "logits"
    m.save("heads/external", save_as_external_data=True, location="external.data",
           size_threshold=0)

    # Attention by quantised probabilities: a softmax between DequantizeLinear and QuantizeLinear.
    m = Builder(115)

    def rounded(x, scale, zero, kind=np.uint8):
        pair = [const(m, scale), m.weight(np.array(zero, kind))]
        return m.op("DequantizeLinear", m.op("QuantizeLinear", x, *pair), *pair)

    x = m.op("Reshape", m.map(), ints(m, 0, FEATURES, -1))
    x = rounded(x, 0.02, 3)
    scores = rounded(m.op("MatMul", m.op("Transpose", x, perm=[0, 2, 1]), x), 0.05, 100)
    weights = rounded(m.op("Softmax", scores, axis=-1), 1 / 256, 0)
    x = m.op("MatMul", weights, m.op("Transpose", x, perm=[0, 2, 1]))
    end(m, "quantized_softmax", m.gemm(m.op("ReduceMean", x, axes=[1], keepdims=0), None))

    # The range of the quantised value is the network's only ReLU6.
    m = Builder(116)
    x = m.conv("input", 3, FEATURES)
    pair = [const(m, 6 / 255 / 8), m.weight(np.array(0, np.uint8))]
    x = m.op("DequantizeLinear", m.op("QuantizeLinear", x, *pair), *pair)
    end(m, "relu_in_range", m.gemm(m.op("Flatten", m.op("GlobalAveragePool", x)), None))

    # A local function and the operators of ONNX Runtime.
    m, x = start(117)
    m.nodes.append(helper.make_node("Relu", [x], ["halved"], domain="own", name="call"))
    logits = m.gemm("halved")
    graph = helper.make_graph(m.nodes, "function", [helper.make_tensor_value_info(
        "input", TensorProto.FLOAT, m.shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)], m.weights)
    body = [helper.make_node("Constant", [], ["half"], value_float=0.5),
            helper.make_node("Mul", ["x", "half"], ["y"])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function("own", "Relu", ["x"], ["y"], body, opsets[:1])
    model = helper.make_model(graph, opset_imports=opsets, functions=[function])
    model.ir_version = 8
    LOGITS["function"] = "logits"
    onnx.save(model, "heads/function.onnx")

    # Last layers that aren't linear.
    for name in ("squeeze", "squeeze_softmax"):
        m = Builder(118)
        m.op("Identity", m.map(), out="map")
        x = m.op("Conv", "map", m.weight(m.w()[:, :, None, None]), m.weight(m.b()))
        logits = m.op("Flatten", m.op("GlobalAveragePool", m.op("Relu", x)))
        end(m, name, m.op("Softmax", logits, axis=1) if name != "squeeze" else logits, logits)

    m, x = start(119)
    norm = m.op("Sqrt", m.op("ReduceSum", m.op("Mul", x, x), ints(m, 1), keepdims=1))
    norm = m.op("Max", norm, const(m, 1e-6))
    end(m, "cosine_by_division", m.op("Div", m.gemm(x, None), norm))

    m, x = start(120)
    y = m.op("Tanh", x)
    x = m.op("Add", m.op("Relu", m.gemm(x, None)), m.op("Relu", m.gemm(y, None)))
    logits = x
    end(m, "two_tails", m.op("Sigmoid", x), logits)

    m, x = start(121)
    parts = [m.op("Softmax", m.gemm(value, None), axis=1) for value in (x, m.op("Tanh", x))]
    end(m, "averaged_probabilities", m.op("Mul", m.op("Add", *parts), const(m, 0.5)))

    m, x = start(122)
    m.op("Relu", m.gemm(x, None), out="colour")
    m.op("Relu", m.gemm(x, None), out="kind")
    end(m, "two_opaque_heads", ["colour", "kind"])

    lines = []
    for path in sorted(HERE.glob("*.onnx")):
        name = path.stem
        outputs = [output.name for output in onnx.load(path).graph.output]
        several = name in ("two_heads", "two_opaque_heads")
        for value in outputs if several else [LOGITS.get(name, "logits")]:
            if name not in LOGITS and value not in outputs:
                continue
            key = f"{name}.{value}" if several else name
            lines.append(" ".join([key, *(f"{v:.8g}" for v in run(path, value))]))
    means = run(HERE / "squeeze.onnx", "map").reshape(FEATURES, -1).mean(1)
    lines.append(" ".join(["squeeze.features", *(f"{v:.8g}" for v in means)]))
    (HERE / "expected.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
