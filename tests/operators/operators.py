"""Random cases of each operator that the checker lets through."""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

F, I64, I32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL


@dataclass
class X:
    """An input that is a part of the image, scaled and shifted."""
    shape: tuple
    scale: float = 1.0
    shift: float = 0.0
    dtype: int = F


@dataclass
class Case:
    kind: str
    inputs: list
    attributes: dict = field(default_factory=dict)
    opset: int = 17
    outputs: int = 1
    domain: str = ""
    cast: bool = False


ALL = {}


def operator(make):
    ALL[make.__name__] = make
    return make


def integer(rng, low, high):
    return int(rng.integers(low, high + 1))


def pick(rng, *values):
    return values[integer(rng, 0, len(values) - 1)]


def maybe(rng, **attributes):
    """Each attribute or not."""
    return {name: value for name, value in attributes.items() if rng.random() < 0.6}


def number(rng, low, high):
    return float(np.float32(rng.uniform(low, high)))


def shape(rng, low=1, high=4, most=48):
    while True:
        dims = tuple(integer(rng, 1, 6) for _ in range(integer(rng, low, high)))
        if np.prod(dims) <= most:
            return dims


def opset(rng, least=7, most=24):
    return integer(rng, least, most)


def some(rng, dims):
    """Some axes, in any order, some counted from the end."""
    count = integer(rng, 1, len(dims))
    axes = rng.permutation(len(dims))[:count]
    return [int(a) - (len(dims) if rng.random() < 0.3 else 0) for a in axes]


def broadcast(rng):
    """Two shapes that go together."""
    dims = shape(rng, 1, 4, 40)
    other = tuple(d if rng.random() < 0.6 else 1 for d in dims)[integer(rng, 0, len(dims)):]
    return (dims, other) if rng.random() < 0.5 else (other, dims)


def unary(name, least=7, scale=1.0, shift=0.0, domain="", **ranges):
    def make(rng):
        attributes = {k: number(rng, *v) for k, v in ranges.items() if rng.random() < 0.7}
        return Case(name, [X(shape(rng), scale, shift)], attributes, opset(rng, least), domain=domain)
    ALL[name if not domain else f"{domain}.{name}"] = make


for name in ("Relu", "Sigmoid", "Tanh", "Exp", "Softplus", "Softsign", "Floor", "Ceil", "Abs", "Neg",
             "Sin", "Cos", "Atan"):
    unary(name, scale=3.0)
for name, least in (("Erf", 9), ("Sinh", 9), ("Cosh", 9), ("Asinh", 9), ("Sign", 9), ("Round", 11),
                    ("HardSwish", 14), ("Mish", 18)):
    unary(name, least, scale=4.0 if name in ("Round", "HardSwish", "Mish") else 2.0)
for name in ("Log", "Sqrt", "Reciprocal"):
    unary(name, shift=1.5)
unary("Tan", scale=0.9)
unary("Asin", scale=0.99)
unary("Acos", scale=0.99)
unary("Atanh", 9, scale=0.95)
unary("Acosh", 9, shift=2.1)
unary("Elu", scale=3.0, alpha=(0.1, 3))
unary("Celu", 12, scale=3.0, alpha=(0.1, 6))
unary("Selu", scale=3.0, alpha=(0.5, 3), gamma=(0.5, 3))
unary("LeakyRelu", scale=3.0, alpha=(-1, 2))
unary("ThresholdedRelu", 10, scale=3.0, alpha=(-1, 2))
unary("HardSigmoid", scale=5.0, alpha=(-0.5, 0.5), beta=(0, 1))
unary("Shrink", 9, scale=2.0, bias=(-1, 1), lambd=(0, 1.5))
unary("Gelu", scale=3.0, domain="com.microsoft")
unary("QuickGelu", scale=3.0, domain="com.microsoft", alpha=(0.5, 2))


@operator
def Swish(rng):
    return Case("Swish", [X(shape(rng), 3)], maybe(rng, alpha=number(rng, 0.5, 2)), 24)


@operator
def Gelu(rng):
    return Case("Gelu", [X(shape(rng), 3)], maybe(rng, approximate=pick(rng, "none", "tanh")),
                opset(rng, 20))


def bias_gelu(name):
    def make(rng):
        dims = shape(rng)
        bias = rng.standard_normal(dims[-1:]).astype(np.float32)
        inputs = [X(dims, 2)] if name == "FastGelu" and rng.random() < 0.4 else [X(dims, 2), bias]
        return Case(name, inputs, domain="com.microsoft")
    ALL[name] = make


bias_gelu("BiasGelu")
bias_gelu("FastGelu")


@operator
def PRelu(rng):
    dims = shape(rng)
    slope = tuple(d if rng.random() < 0.6 else 1 for d in dims)[integer(rng, 0, len(dims) - 1):]
    return Case("PRelu", [X(dims), rng.standard_normal(slope).astype(np.float32)],
                opset=opset(rng, 9))


@operator
def Clip(rng):
    low, high = sorted((number(rng, -1, 1), number(rng, -1, 1)))
    if (version := opset(rng)) < 11:
        return Case("Clip", [X(shape(rng))], maybe(rng, min=low, max=high), version)
    inputs = [X(shape(rng)), np.float32(low) if rng.random() < 0.7 else None,
              np.float32(high) if rng.random() < 0.7 else None]
    while inputs[-1] is None:
        inputs.pop()
    return Case("Clip", inputs, opset=version)


def binary(name, least=7, scale=2.0, shift=0.0, dtype=F, cast=False, constant=True):
    def make(rng):
        a, b = broadcast(rng)
        inputs = [X(a, scale, 0.0, dtype), X(b, scale, shift, dtype)]
        if constant and rng.random() < 0.4:
            inputs[1] = (rng.uniform(0.3, 2, b) + shift).astype(np.float32)
        return Case(name, inputs, opset=opset(rng, least), cast=cast)
    ALL[name] = make


for name in ("Add", "Sub", "Mul"):
    binary(name)
binary("Div", shift=2.5)
for name, least in (("Greater", 9), ("Less", 9), ("Equal", 11), ("GreaterOrEqual", 12),
                    ("LessOrEqual", 12)):
    binary(name, least, cast=True)
for name in ("And", "Or", "Xor"):
    binary(name, dtype=BOOL, cast=True, constant=False)


@operator
def Not(rng):
    return Case("Not", [X(shape(rng), dtype=BOOL)], cast=True, opset=opset(rng))


@operator
def Pow(rng):
    dims, exponent = shape(rng), pick(rng, np.float32(number(rng, -2, 3)), np.int64(integer(rng, -2, 3)),
                                      np.float32(2), np.float32(0.5), np.int32(3))
    return Case("Pow", [X(dims, 1, 1.5), exponent], opset=opset(rng, 13))


@operator
def Mod(rng):
    a, b = broadcast(rng)
    return Case("Mod", [X(a, 5), X(b, 1, 2.5)], {"fmod": 1}, opset(rng, 10))


def variadic(name):
    def make(rng):
        a, b = broadcast(rng)
        inputs = [X(a), X(b), *(X(b) for _ in range(integer(rng, 0, 1)))]
        return Case(name, inputs[:integer(rng, 1, len(inputs))], opset=opset(rng, 8))
    ALL[name] = make


for name in ("Max", "Min", "Sum", "Mean"):
    variadic(name)


@operator
def Where(rng):
    a, b = broadcast(rng)
    condition = pick(rng, X(a, dtype=BOOL), rng.random(a) < 0.5)
    return Case("Where", [condition, X(b), X(pick(rng, a, b))], opset=opset(rng, 9))


@operator
def Cast(rng):
    to = pick(rng, F, I64, I32, BOOL, TensorProto.UINT8, TensorProto.INT8, TensorProto.DOUBLE,
              TensorProto.FLOAT16)
    return Case("Cast", [X(shape(rng), 20, 30)], {"to": to}, opset(rng, 9), cast=True)


def infinite(name):
    def make(rng):
        return Case(name, [X(shape(rng))], opset=opset(rng, 13), cast=True)
    ALL[name] = make


infinite("IsNaN")
infinite("IsInf")


@operator
def Dropout(rng):
    version = opset(rng)
    inputs = [X(shape(rng))]
    if version >= 12 and rng.random() < 0.5:
        inputs += [np.float32(0.3), np.bool_(False)]
    return Case("Dropout", inputs, opset=version)


# Convolution and pooling


def window(rng, spatial, pool=False):
    kernel = [integer(rng, 1, 3) for _ in range(spatial)]
    attributes = maybe(rng, strides=[integer(rng, 1, 3) for _ in range(spatial)],
                       dilations=[integer(rng, 1, 2) for _ in range(spatial)])
    if pool or rng.random() < 0.5:
        attributes["kernel_shape"] = kernel
    padding = integer(rng, 0, 3)
    if padding == 0:
        attributes["auto_pad"] = pick(rng, "SAME_UPPER", "SAME_LOWER", "VALID")
    elif padding > 1:
        attributes["pads"] = [integer(rng, 0, (k - 1) if pool else 2) for k in kernel * 2]
    return kernel, attributes


@operator
def Conv(rng):
    spatial = pick(rng, 1, 2, 2, 2, 3)
    kernel, attributes = window(rng, spatial)
    group = pick(rng, 1, 1, 2, 3)
    cin, cout = group * integer(rng, 1, 2), group * integer(rng, 1, 2)
    if group > 1 or rng.random() < 0.3:
        attributes["group"] = group
    inputs = [X((1, cin, *(integer(rng, 3, 6 if spatial < 3 else 4) for _ in range(spatial)))),
              rng.standard_normal((cout, cin // group, *kernel)).astype(np.float32)]
    if rng.random() < 0.5:
        inputs.append(rng.standard_normal(cout).astype(np.float32))
    return Case("Conv", inputs, attributes, opset(rng, 11))


@operator
def ConvTranspose(rng):
    spatial = pick(rng, 1, 2, 2)
    kernel, attributes = window(rng, spatial)
    attributes.pop("auto_pad", None)
    if "pads" in attributes:
        attributes["pads"] = [integer(rng, 0, 1) for _ in range(2 * spatial)]
    group = pick(rng, 1, 1, 2)
    cin, cout = group * integer(rng, 1, 2), integer(rng, 1, 2)
    if group > 1:
        attributes["group"] = group
    if "strides" in attributes and rng.random() < 0.5:
        attributes["output_padding"] = [integer(rng, 0, s - 1) for s in attributes["strides"]]
    inputs = [X((1, cin, *(integer(rng, 2, 3) for _ in range(spatial)))),
              rng.standard_normal((cin, cout, *kernel)).astype(np.float32)]
    if rng.random() < 0.5:
        inputs.append(rng.standard_normal(cout * group).astype(np.float32))
    return Case("ConvTranspose", inputs, attributes, opset(rng, 11))


def pooling(name):
    def make(rng):
        spatial = pick(rng, 1, 2, 2, 2, 3)
        _, attributes = window(rng, spatial, pool=True)
        version = opset(rng, 11)
        if name == "AveragePool":
            if version < 19:
                attributes.pop("dilations", None)
            attributes |= maybe(rng, count_include_pad=integer(rng, 0, 1))
        attributes |= maybe(rng, ceil_mode=integer(rng, 0, 1))
        dims = (1, integer(rng, 1, 3), *(integer(rng, 3, 7) for _ in range(spatial)))
        return Case(name, [X(dims)], attributes, version)
    ALL[name] = make


pooling("MaxPool")
pooling("AveragePool")


def global_pool(name):
    def make(rng):
        dims = (1, *shape(rng, 2, 4))
        attributes = {"p": integer(rng, 1, 2)} if name == "GlobalLpPool" else {}
        return Case(name, [X(dims)], attributes, opset(rng))
    ALL[name] = make


for name in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
    global_pool(name)


# Matrices


@operator
def MatMul(rng):
    n, k, m = (integer(rng, 1, 4) for _ in range(3))
    batch = shape(rng, 0, 2, 4)
    a = (*batch[integer(rng, 0, len(batch)):], n, k) if rng.random() < 0.8 else (k,)
    b = (*batch[integer(rng, 0, len(batch)):], k, m) if rng.random() < 0.8 else (k,)
    second = pick(rng, X(b), rng.standard_normal(b).astype(np.float32))
    return Case("MatMul", [X(a), second], opset=opset(rng, 9))


@operator
def Gemm(rng):
    n, k, m = (integer(rng, 1, 4) for _ in range(3))
    attributes = maybe(rng, alpha=number(rng, -2, 2), beta=number(rng, -2, 2),
                       transA=integer(rng, 0, 1), transB=integer(rng, 0, 1))
    a = (k, n) if attributes.get("transA") else (n, k)
    b = (m, k) if attributes.get("transB") else (k, m)
    inputs = [X(a), pick(rng, X(b), rng.standard_normal(b).astype(np.float32))]
    if rng.random() < 0.6:
        bias = pick(rng, (m,), (n, m), (1, m), (n, 1), (), (1,))
        inputs.append(rng.standard_normal(bias).astype(np.float32))
    return Case("Gemm", inputs, attributes, opset(rng, 11))


@operator
def Einsum(rng):
    equation, letters = pick(
        rng, ("ij,jk->ik", None), ("bij,bjk->bik", None), ("bhid,bhjd->bhij", None), ("ij->ji", None),
        ("ij->i", None), ("i,j->ij", None), ("bij,kj->bik", None), ("ij,ij->", None),
        ("bhqk,bhkd->bhqd", None), ("ij,jk", None), ("bchw,bc->bhw", None), ("ij,ij->ij", None))
    sizes = {}
    inputs = []
    for term in equation.split("->")[0].split(","):
        inputs.append(X(tuple(sizes.setdefault(c, integer(rng, 1, 3)) for c in term)))
    return Case("Einsum", inputs, {"equation": equation}, opset(rng, 12))


# Normalisation


def channels(rng, count, positive=False):
    values = rng.standard_normal(count).astype(np.float32)
    return abs(values) + np.float32(0.1) if positive else values


@operator
def BatchNormalization(rng):
    dims = (1, *shape(rng, 1, 3))
    c = dims[1]
    inputs = [X(dims), channels(rng, c), channels(rng, c), channels(rng, c), channels(rng, c, True)]
    return Case("BatchNormalization", inputs, maybe(rng, epsilon=number(rng, 1e-5, 0.1)),
                opset(rng, 9))


@operator
def InstanceNormalization(rng):
    dims = (1, *shape(rng, 2, 3))
    return Case("InstanceNormalization", [X(dims, 3), channels(rng, dims[1]), channels(rng, dims[1])],
                maybe(rng, epsilon=number(rng, 1e-5, 0.1)), opset(rng))


@operator
def GroupNormalization(rng):
    groups, each, version = integer(rng, 1, 3), integer(rng, 1, 3), 21
    dims = (1, groups * each, integer(rng, 1, 3), integer(rng, 1, 3))
    count = groups * each
    return Case("GroupNormalization", [X(dims, 3), channels(rng, count), channels(rng, count)],
                {"num_groups": groups, **maybe(rng, epsilon=number(rng, 1e-5, 0.1))}, version)


@operator
def LayerNormalization(rng):
    dims = shape(rng, 1, 4)
    axis = integer(rng, -len(dims), len(dims) - 1)
    rest = dims[axis:] if axis < 0 else dims[axis:]
    inputs = [X(dims, 3), channels(rng, rest)]
    if rng.random() < 0.7:
        inputs.append(channels(rng, rest))
    return Case("LayerNormalization", inputs,
                {"axis": axis, **maybe(rng, epsilon=number(rng, 1e-5, 0.1))}, opset(rng, 17))


def rms(name, domain, version):
    def make(rng):
        dims = shape(rng, 1, 4)
        attributes = {"axis": -1, "epsilon": number(rng, 1e-5, 0.1)}
        return Case(name, [X(dims, 3), channels(rng, dims[-1])], attributes, version, domain=domain)
    ALL[name] = make


rms("RMSNormalization", "", 23)
rms("SimplifiedLayerNormalization", "", 17)


def skip(name):
    def make(rng):
        dims = shape(rng, 3, 3)
        inputs = [X(dims), X(dims), channels(rng, dims[-1])]
        if name == "SkipLayerNormalization" and rng.random() < 0.7:
            inputs.append(channels(rng, dims[-1]))
            if rng.random() < 0.7:
                inputs.append(channels(rng, dims[-1]))
        return Case(name, inputs, maybe(rng, epsilon=number(rng, 1e-5, 0.1)), domain="com.microsoft")
    ALL[name] = make


skip("SkipLayerNormalization")
skip("SkipSimplifiedLayerNormalization")


@operator
def LpNormalization(rng):
    dims = shape(rng)
    return Case("LpNormalization", [X(dims)],
                {"axis": integer(rng, -len(dims), len(dims) - 1), **maybe(rng, p=integer(rng, 1, 2))},
                opset(rng))


@operator
def LRN(rng):
    dims = (1, integer(rng, 1, 6), integer(rng, 1, 3), integer(rng, 1, 3))
    return Case("LRN", [X(dims, 2)],
                {"size": pick(rng, 1, 3, 5), **maybe(rng, alpha=number(rng, 1e-4, 1),
                                                     beta=number(rng, 0.3, 1), bias=number(rng, 0.5, 2))},
                opset(rng))


@operator
def MeanVarianceNormalization(rng):
    dims = (1, *(integer(rng, 2, 3) for _ in range(3)))
    return Case("MeanVarianceNormalization", [X(dims)], maybe(rng, axes=sorted(a % 4 for a in some(rng, dims) + [3])[-1:] + [2]),
                opset(rng, 9))


def softmax(name):
    def make(rng):
        dims = shape(rng)
        axis = maybe(rng, axis=integer(rng, -len(dims), len(dims) - 1))
        return Case(name, [X(dims, 3)], axis, opset(rng))
    ALL[name] = make


for name in ("Softmax", "LogSoftmax", "Hardmax"):
    softmax(name)


# Reduction


def reduction(name, shift=0.0):
    def make(rng):
        dims, version = shape(rng), opset(rng, 11)
        attributes = maybe(rng, keepdims=integer(rng, 0, 1))
        inputs = [X(dims, 1, shift)]
        axes = some(rng, dims)
        if version >= (13 if name == "ReduceSum" else 18):
            if rng.random() < 0.8:
                inputs.append(np.array(axes, np.int64))
            elif name in ("ReduceSum", "ReduceMean"):
                attributes |= maybe(rng, noop_with_empty_axes=integer(rng, 0, 1))
        elif rng.random() < 0.8:
            attributes["axes"] = axes
        return Case(name, inputs, attributes, version)
    ALL[name] = make


for name in ("Mean", "Sum", "Max", "Min", "Prod", "SumSquare", "L1", "L2", "LogSumExp"):
    reduction(f"Reduce{name}")
reduction("ReduceLogSum", 1.5)


def arg(name):
    def make(rng):
        dims = shape(rng)
        attributes = maybe(rng, axis=integer(rng, -len(dims), len(dims) - 1),
                           keepdims=integer(rng, 0, 1), select_last_index=integer(rng, 0, 1))
        return Case(name, [X(dims)], attributes, opset(rng, 12), cast=True)
    ALL[name] = make


arg("ArgMax")
arg("ArgMin")


@operator
def CumSum(rng):
    dims = shape(rng)
    axis = integer(rng, -len(dims), len(dims) - 1)
    return Case("CumSum", [X(dims), pick(rng, np.int64(axis), np.int32(axis))],
                maybe(rng, exclusive=integer(rng, 0, 1), reverse=integer(rng, 0, 1)), opset(rng, 11))


# Shapes


@operator
def Reshape(rng):
    dims = shape(rng, 2, 4)
    target = pick(rng, [-1], [0, -1], [dims[0], -1, 1], [1, -1, *dims[1:]], list(dims[::-1]))
    return Case("Reshape", [X(dims), np.array(target, np.int64)], opset=opset(rng))


@operator
def Flatten(rng):
    dims = shape(rng)
    version = opset(rng, 11)
    return Case("Flatten", [X(dims)], maybe(rng, axis=integer(rng, -len(dims), len(dims))), version)


@operator
def Squeeze(rng):
    dims = [d if rng.random() < 0.5 else 1 for d in shape(rng)]
    axes = [a - (len(dims) if rng.random() < 0.3 else 0) for a, d in enumerate(dims)
            if d == 1 and rng.random() < 0.8]
    version = opset(rng, 11)
    if version >= 13:
        return Case("Squeeze", [X(dims), *([np.array(axes, np.int64)] if axes else [])], opset=version)
    return Case("Squeeze", [X(dims)], {"axes": axes} if axes else {}, version)


@operator
def Unsqueeze(rng):
    dims = shape(rng, 1, 3)
    axes = some(rng, (*dims, 1))[:2]
    axes = [a if a >= 0 else a for a in axes]
    version = opset(rng, 11)
    if version >= 13:
        return Case("Unsqueeze", [X(dims), np.array(axes, np.int64)], opset=version)
    return Case("Unsqueeze", [X(dims)], {"axes": axes}, version)


@operator
def Transpose(rng):
    dims = shape(rng)
    return Case("Transpose", [X(dims)], maybe(rng, perm=[int(a) for a in rng.permutation(len(dims))]),
                opset(rng))


@operator
def Expand(rng):
    dims, target = broadcast(rng)
    return Case("Expand", [X(dims), np.array(target, np.int64)], opset=opset(rng, 8))


@operator
def Tile(rng):
    dims = shape(rng, 1, 4, 12)
    return Case("Tile", [X(dims), np.array([integer(rng, 1, 3) for _ in dims], np.int64)],
                opset=opset(rng))


@operator
def Concat(rng):
    dims = list(shape(rng, 1, 4, 16))
    axis = integer(rng, 0, len(dims) - 1)
    parts = []
    for _ in range(integer(rng, 1, 3)):
        dims[axis] = integer(rng, 1, 3)
        parts.append(pick(rng, X(tuple(dims)), rng.standard_normal(dims).astype(np.float32)))
    return Case("Concat", parts + [X(tuple(dims))],
                {"axis": axis - (len(dims) if rng.random() < 0.3 else 0)}, opset(rng, 11))


@operator
def Split(rng):
    dims, version = list(shape(rng, 1, 4, 24)), opset(rng, 11)
    axis, outputs = integer(rng, -len(dims), len(dims) - 1), integer(rng, 1, 3)
    parts = [integer(rng, 1, 3) for _ in range(outputs)]
    if rng.random() < 0.3:
        parts = [2] * outputs
    dims[axis] = sum(parts)
    attributes = maybe(rng, axis=axis) if axis == 0 else {"axis": axis}
    if len(set(parts)) == 1 and rng.random() < 0.5:
        if version >= 18:
            attributes["num_outputs"] = outputs
            dims[axis] = max(dims[axis] - integer(rng, 0, 1), outputs)
        return Case("Split", [X(tuple(dims))], attributes, version, outputs)
    if version >= 13:
        return Case("Split", [X(tuple(dims)), np.array(parts, np.int64)], attributes, version, outputs)
    return Case("Split", [X(tuple(dims))], attributes | {"split": parts}, version, outputs)


@operator
def DepthToSpace(rng):
    block = integer(rng, 1, 3)
    dims = (1, block * block * integer(rng, 1, 2), integer(rng, 1, 2), integer(rng, 1, 2))
    return Case("DepthToSpace", [X(dims)],
                {"blocksize": block, **maybe(rng, mode=pick(rng, "DCR", "CRD"))}, opset(rng, 11))


@operator
def SpaceToDepth(rng):
    block = integer(rng, 1, 3)
    dims = (1, integer(rng, 1, 2), block * integer(rng, 1, 2), block * integer(rng, 1, 2))
    return Case("SpaceToDepth", [X(dims)], {"blocksize": block}, opset(rng, 7))


@operator
def Trilu(rng):
    dims = shape(rng, 2, 4)
    inputs = [X(dims)] + ([np.int64(integer(rng, -3, 3))] if rng.random() < 0.6 else [])
    return Case("Trilu", inputs, maybe(rng, upper=integer(rng, 0, 1)), opset(rng, 14))


# Places


@operator
def Slice(rng):
    dims, version = shape(rng), opset(rng)
    axes = some(rng, dims)
    starts = [integer(rng, -dims[a] - 1, dims[a]) for a in axes]
    steps = [pick(rng, 1, 1, 2, -1, -2, 3) if version >= 10 else 1 for _ in axes]
    ends = [pick(rng, integer(rng, -dims[a] - 1, dims[a] + 1), 2**31 - 1 if s > 0 else -2**31)
            for a, s in zip(axes, steps)]
    if version < 10:
        axes = [a % len(dims) for a in axes]
        return Case("Slice", [X(dims)], {"axes": axes, "starts": starts, "ends": ends}, version)
    lists = [np.array(v, pick(rng, np.int64, np.int64)) for v in (starts, ends, axes, steps)]
    return Case("Slice", [X(dims), *lists[:integer(rng, 3, 4)]], opset=version)


@operator
def Gather(rng):
    dims = shape(rng, 1, 4, 24)
    axis = integer(rng, -len(dims), len(dims) - 1)
    low = -dims[axis]
    indices = rng.integers(low, dims[axis], shape(rng, 0, 2, 3)).astype(pick(rng, np.int64, np.int32))
    return Case("Gather", [X(dims), indices], maybe(rng, axis=axis) if axis == 0 else {"axis": axis},
                opset(rng, 11))


@operator
def GatherElements(rng):
    dims = shape(rng, 1, 4, 24)
    axis = integer(rng, -len(dims), len(dims) - 1)
    inner = [integer(rng, 1, d) for d in dims]
    indices = rng.integers(-dims[axis], dims[axis], inner)
    return Case("GatherElements", [X(dims), indices], {"axis": axis}, opset(rng, 11))


def nd_indices(rng, dims):
    depth = integer(rng, 1, len(dims))
    count = integer(rng, 1, 3)
    return np.stack([rng.integers(-d, d, count) for d in dims[:depth]], -1)


@operator
def GatherND(rng):
    dims = shape(rng, 1, 4, 24)
    return Case("GatherND", [X(dims), nd_indices(rng, dims)], opset=opset(rng, 11))


@operator
def ScatterND(rng):
    dims = shape(rng, 1, 4, 24)
    indices = np.unique(nd_indices(rng, dims) % np.array(dims)[:dims and None][:1], axis=0) \
        if len(dims) == 1 else nd_indices(rng, dims)[:1]
    updates = X((len(indices), *dims[indices.shape[-1]:]))
    return Case("ScatterND", [X(dims), indices.astype(np.int64), updates], opset=opset(rng, 11))


@operator
def ScatterElements(rng):
    dims = shape(rng, 1, 4, 24)
    axis = integer(rng, -len(dims), len(dims) - 1)
    inner = [integer(rng, 1, d) for d in dims]
    places = np.argsort(rng.random([d if a != axis % len(dims) else dims[a] for a, d in enumerate(inner)]),
                        axis=axis)
    places = places.take(range(inner[axis]), axis=axis)
    return Case("ScatterElements", [X(dims), places, X(tuple(inner))], {"axis": axis}, opset(rng, 11))


@operator
def Pad(rng):
    dims, version = shape(rng, 1, 4, 16), opset(rng)
    mode = pick(rng, "constant", "reflect", "edge")
    low = -1 if rng.random() < 0.2 else 0
    pads = [integer(rng, low, 2) for _ in dims * 2]
    if mode == "reflect":
        pads = [min(p, d - 1) for p, d in zip(pads, dims * 2)]
    attributes = maybe(rng, mode=mode) if mode == "constant" else {"mode": mode}
    if version < 11:
        return Case("Pad", [X(dims)], attributes | {"pads": pads} | maybe(rng, value=number(rng, -1, 1)),
                    version)
    inputs = [X(dims), np.array(pads, np.int64)]
    if rng.random() < 0.4:
        inputs.append(np.float32(number(rng, -1, 1)))
        if version >= 18 and rng.random() < 0.5:
            axes = some(rng, dims)
            inputs[1] = np.array(pads[:2 * len(axes)], np.int64)
            inputs.append(np.array(axes, np.int64))
    return Case("Pad", inputs, attributes, version)


# Resizing and quantisation


@operator
def Resize(rng):
    version = opset(rng, 10)
    dims = (1, integer(rng, 1, 2), integer(rng, 1, 4), integer(rng, 1, 4))
    mode = pick(rng, "nearest", "linear", "cubic")
    attributes = {"mode": mode}
    factors = [1.0, 1.0, *(pick(rng, 1.0, 2.0, 1.5, 3.0, 0.5, number(rng, 0.4, 2.5)) for _ in range(2))]
    if version == 10:
        attributes["mode"] = pick(rng, "nearest", "linear")
        return Case("Resize", [X(dims), np.array(factors, np.float32)], attributes, version)
    attributes |= maybe(rng, coordinate_transformation_mode=pick(
        rng, "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"))
    if mode == "nearest":
        attributes |= maybe(rng, nearest_mode=pick(rng, "round_prefer_floor", "round_prefer_ceil",
                                                   "floor", "ceil"))
    if mode == "cubic":
        attributes |= maybe(rng, cubic_coeff_a=pick(rng, -0.75, -0.5), exclude_outside=integer(rng, 0, 1))
    roi = np.array([], np.float32) if version < 13 else None
    if rng.random() < 0.5:
        return Case("Resize", [X(dims), roi, np.array(factors, np.float32)], attributes, version)
    sizes = [1, dims[1], *(integer(rng, 1, 5) for _ in range(2))]
    scales = np.array([], np.float32) if version < 13 else None
    return Case("Resize", [X(dims), roi, scales, np.array(sizes, np.int64)], attributes, version)


@operator
def Upsample(rng):
    dims = (1, integer(rng, 1, 2), integer(rng, 1, 3), integer(rng, 1, 3))
    factors = np.array([1, 1, integer(rng, 1, 3), integer(rng, 1, 2)], np.float32)
    mode = maybe(rng, mode=pick(rng, "nearest", "linear"))
    return Case("Upsample", [X(dims), factors], mode, 9)


def quantisation(name):
    def make(rng):
        dims, kind = shape(rng, 2, 4), pick(rng, np.uint8, np.int8)
        axis = integer(rng, -len(dims), len(dims) - 1)
        count = () if rng.random() < 0.5 else (dims[axis],)
        scale = rng.uniform(0.01, 0.1, count).astype(np.float32)
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        zero = rng.integers(low, high, count).astype(kind)
        version = opset(rng, 13)
        if name == "QuantizeLinear":
            return Case(name, [X(dims, 5), scale, zero], {"axis": axis}, version, cast=True)
        x = X(dims, 60, 60 if kind == np.uint8 else 0, TensorProto.UINT8 if kind == np.uint8 else TensorProto.INT8)
        return Case(name, [x, scale, zero], {"axis": axis}, version)
    ALL[name] = make


quantisation("QuantizeLinear")
quantisation("DequantizeLinear")
