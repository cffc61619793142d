"""Writes the small ONNX models of the backbone's tests: one for each way in which exporters
write the last linear layer, and some that must be refused.

Run in this folder with Python 3 and the package onnx (1.16 or later); the result is the same each
time.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES, CLASSES, SIZE = 6, 4, 8


class Builder:
    """One model: operators and weights in the order in which they are added."""

    def __init__(self, seed=0, dtype=np.float32):
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.nodes, self.weights = [], []
        self.shape = ["batch", 3, SIZE, SIZE]
        self.count = 0

    def tensor(self, *shape, scale=0.4):
        return (self.rng.standard_normal(shape) * scale).astype(self.dtype)

    def weight(self, array, name=None):
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, kind, *inputs, out=None, **attributes):
        self.count += 1
        out = out or f"t{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def conv(self, x, cin, cout, k=3, group=1, **attributes):
        attributes.setdefault("pads", [k // 2] * 4)
        weights = self.weight(self.tensor(cout, cin // group, k, k))
        bias = self.weight(self.tensor(cout))
        return self.op("Conv", x, weights, bias, group=group, kernel_shape=[k, k], **attributes)

    def norm(self, x, channels):
        parameters = [self.tensor(channels) + self.dtype(1), self.tensor(channels),
                      self.tensor(channels), abs(self.tensor(channels)) + self.dtype(0.5)]
        return self.op("BatchNormalization", x, *map(self.weight, parameters))

    def map(self, x="input", channels=3):
        x = self.op("Relu", self.norm(self.conv(x, channels, 5), 5))
        return self.op("Relu", self.conv(x, 5, FEATURES, strides=[2, 2]))

    def pooled(self):
        return self.op("GlobalAveragePool", self.map())

    def flat(self, out="features"):
        return self.op("Flatten", self.pooled(), out=out, axis=1)

    def w(self):
        return self.tensor(CLASSES, FEATURES)

    def b(self):
        return self.tensor(CLASSES)

    def gemm(self, x, out="logits"):
        return self.op("Gemm", x, self.weight(self.w()), self.weight(self.b()), out=out, transB=1)

    def save(self, name, *outputs, dtype=TensorProto.FLOAT, inputs=None, **kwargs):
        inputs = inputs or [helper.make_tensor_value_info("input", dtype, self.shape)]
        outputs = [helper.make_tensor_value_info(o, dtype, None) for o in outputs or ["logits"]]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                  producer_name="tests/models/make.py")
        model.ir_version = 8
        onnx.save(model, f"{name}.onnx", **kwargs)


def heads():
    m = Builder(1)
    m.gemm(m.flat())
    m.save("gemm")

    m = Builder(2)
    m.op("Gemm", m.flat(), m.weight(m.w().T.copy()), m.weight(m.b()[None]), out="logits",
         alpha=0.5, beta=2.0)
    m.save("gemm_alpha_beta")

    m = Builder(3)
    x = m.op("MatMul", m.flat(), m.weight(m.w().T.copy()))
    m.op("Add", x, m.weight(m.b()), out="logits")
    m.save("matmul_add")

    m = Builder(4)
    x = m.op("MatMul", m.flat(), m.weight(m.w().T.copy()))
    m.op("Add", m.weight(m.b()), x, out="logits")
    m.save("add_matmul")

    m = Builder(5)
    m.op("MatMul", m.flat(), m.weight(m.w().T.copy()), out="logits")
    m.save("matmul")

    m = Builder(6)
    x = m.op("Conv", m.pooled(), m.weight(m.w()[:, :, None, None]), m.weight(m.b()))
    m.op("Reshape", x, m.weight(np.array([-1, CLASSES])), out="logits")
    m.save("conv_after_pool")

    m = Builder(7)
    x = m.op("Conv", m.map(), m.weight(m.w()[:, :, None, None]), m.weight(m.b()))
    m.op("Flatten", m.op("GlobalAveragePool", x), out="logits")
    m.save("conv_before_pool")

    m = Builder(8)
    m.op("Softmax", m.gemm(m.flat(), out="scores"), out="probabilities", axis=-1)
    m.save("softmax", "probabilities")

    m = Builder(9)
    x = m.gemm(m.op("Dropout", m.flat("before")), out="scores")
    x = m.op("Unsqueeze", x, m.weight(np.array([1])))
    x = m.op("Identity", m.op("Squeeze", x, m.weight(np.array([1]))))
    m.op("LogSoftmax", x, out="out", axis=1)
    m.save("log_softmax", "out")

    m = Builder(10)
    m.gemm(m.flat())
    m.save("features_first", "features", "logits")

    m = Builder(11)
    x = m.flat()
    m.op("Gemm", x, m.weight(m.tensor(3, FEATURES)), m.weight(m.tensor(3)), out="auxiliary",
         transB=1)
    m.gemm(x)
    m.save("two_linear", "auxiliary", "logits")

    m = Builder(12)
    x = m.flat()
    half = numpy_helper.from_array(m.w().astype(np.float16))
    w = m.op("Identity", m.op("Cast", m.op("Constant", value=half), to=TensorProto.FLOAT))
    w = m.op("Transpose", w, perm=[1, 0])
    x = m.op("MatMul", x, w)
    m.op("Add", x, m.op("Constant", value=numpy_helper.from_array(m.b())), out="logits")
    m.save("weights_half_constant")

    m = Builder(13)
    x = m.flat()
    quantised = m.rng.integers(-127, 128, (CLASSES, FEATURES)).astype(np.int8)
    w = m.op("DequantizeLinear", m.weight(quantised),
             m.weight(np.linspace(0.004, 0.01, CLASSES).astype(np.float32)),
             m.weight(np.zeros(CLASSES, np.int8)), axis=0)
    m.op("Gemm", x, w, m.weight(m.b()), out="logits", transB=1)
    m.save("weights_int8")


def inputs():
    m = Builder(20)
    m.shape = ["n", 3, "h", "w"]
    m.gemm(m.flat())
    m.save("any_size")

    m = Builder(21)
    m.shape = [16, 3, SIZE, SIZE]
    m.gemm(m.flat())
    m.save("fixed_batch")

    m = Builder(22)
    m.shape = [None, SIZE, SIZE, 3]
    x = m.map(m.op("Transpose", "input", perm=[0, 3, 1, 2]))
    x = m.op("Flatten", m.op("GlobalAveragePool", x))
    m.gemm(x)
    m.save("channels_last")

    # The same weights but for their rounding.
    for name, dtype, declared in (("half", np.float16, TensorProto.FLOAT16),
                                  ("half_as_float", np.float32, TensorProto.FLOAT)):
        m = Builder(23, dtype)
        m.gemm(m.flat())
        m.save(name, dtype=declared)

    m = Builder(24)
    m.shape = ["n", 1, SIZE, SIZE]
    x = m.op("GlobalAveragePool", m.map(channels=1))
    m.gemm(m.op("Flatten", x))
    m.save("grey")


def operators():
    """Everything that modern mobile networks do besides plain convolutions."""
    m = Builder(30)
    m.shape = ["batch", 3, 16, 16]
    x = m.op("HardSwish", m.conv("input", 3, 8, strides=[2, 2]))
    y = m.op("Relu", m.norm(m.conv(x, 8, 8, k=5, group=8), 8))
    squeezed = m.op("GlobalAveragePool", y)
    squeezed = m.op("Relu", m.conv(squeezed, 8, 4, k=1))
    squeezed = m.op("HardSigmoid", m.conv(squeezed, 4, 8, k=1), alpha=1 / 6, beta=0.5)
    y = m.op("Mul", y, squeezed)
    y = m.conv(y, 8, 8, k=1)
    x = m.op("Add", x, y)
    y = m.op("Relu", m.conv(x, 8, 8, group=4))
    y = m.op("Clip", m.conv(y, 8, 8, dilations=[2, 2], pads=[2, 2, 2, 2]),
             m.weight(np.float32(0)), m.weight(np.float32(6)))
    x = m.op("Add", y, x)
    x = m.op("Concat", x, m.op("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), axis=1)
    y = m.op("Clip", m.conv(x, 16, 16, group=16, strides=[2, 2]), m.weight(np.float32(0)),
             m.weight(np.float32(6)))
    x = m.op("Mul", y, m.op("Sigmoid", y))
    x = m.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = m.conv(x, 16, FEATURES, k=1)
    x = m.op("Flatten", m.op("ReduceMean", x, axes=[2, 3], keepdims=1))
    m.gemm(x)
    m.save("operators")


def refused():
    m = Builder(40)
    m.op("Relu", m.gemm(m.flat(), out="scores"), out="logits")
    m.save("bad_relu_last")

    m = Builder(41)
    m.op("MatMul", m.flat(), m.op("Transpose", m.flat("other")), out="logits")
    m.save("bad_no_constant")

    m = Builder(42)
    x = m.op("Add", m.flat(), "second")
    m.gemm(x)
    m.save("bad_two_inputs", inputs=[
        helper.make_tensor_value_info("input", TensorProto.FLOAT, m.shape),
        helper.make_tensor_value_info("second", TensorProto.FLOAT, ["batch", FEATURES])])

    m = Builder(43)
    x = m.op("Cast", "input", to=TensorProto.FLOAT)
    m.gemm(m.op("Flatten", m.op("GlobalAveragePool", m.map(x))))
    m.save("bad_uint8_input", inputs=[
        helper.make_tensor_value_info("input", TensorProto.UINT8, m.shape)])

    m = Builder(44)
    x = m.op("Reshape", m.map(), m.weight(np.array([0, FEATURES, -1])))
    x = m.op("MatMul", m.op("Transpose", x, perm=[0, 2, 1]), m.weight(m.w().T.copy()))
    m.op("Add", x, m.weight(m.b()), out="logits")
    m.save("bad_tokens")

    m = Builder(45)
    m.gemm(m.flat())
    m.weights[-2].data_location = TensorProto.EXTERNAL
    m.weights[-2].ClearField("raw_data")
    for key, value in (("location", "weights.bin"), ("length", "96")):
        m.weights[-2].external_data.add(key=key, value=value)
    m.save("bad_external")

    m = Builder(46)
    m.shape = ["batch", 3 * SIZE * SIZE]
    m.op("Gemm", "input", m.weight(m.tensor(CLASSES, 192)), m.weight(m.b()), out="logits",
         transB=1)
    m.save("bad_flat_input")

    m = Builder(47)
    m.gemm(m.op("Unknowable", m.flat()))
    m.save("bad_operator")

    m = Builder(50)
    length = m.weight(np.array(FEATURES, np.int64))
    x = m.op("DFT", m.op("Reshape", m.flat(), m.weight(np.array([1, FEATURES, 1]))), length, axis=1)
    m.gemm(m.op("ReduceMean", x, axes=[2], keepdims=0))
    m.save("bad_fourier")

    m = Builder(48)
    x = m.op("ConstantOfShape", m.weight(np.array([100000, 100000])))
    m.gemm(m.op("Add", m.flat(), m.op("ReduceMean", x, axes=[0, 1], keepdims=0)))
    m.save("bad_enormous")

    m = Builder(49)
    m.shape = ["batch", 3, 100000, 100000]
    m.gemm(m.flat())
    m.save("bad_input_size")


heads()
inputs()
operators()
refused()
