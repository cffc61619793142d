"""Write a trained network as ONNX: plain operators, weights stored as float16.

    python export.py photos build/photos/cut.pt ../www/models/photos.onnx
    python export.py digits build/digits/digits.pt ../www/models/digits.onnx
    python export.py things build/things/things.pt ../www/models/things.onnx

Batch norms are folded into the convolutions. Each weight is a float16 initialiser
followed by a Cast to float32, so the file is half as large and all arithmetic stays
in float32; the 1x1 convolutions of `things` are int8 with a scale for each output,
followed by a DequantizeLinear. The written file is checked against the network with
ONNX Runtime.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from lite0 import Lite0, padding, stored
from nets import DigitNet, PhotoNet

OPSET = 17


class Graph:
    """Collects nodes; every method returns the name of the value that it makes."""

    def __init__(self):
        self.nodes, self.initialisers = [], []

    def add(self, op: str, inputs, name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: torch.Tensor, name: str) -> str:
        half = values.detach().numpy().astype(np.float16)
        if not np.isfinite(half).all():
            raise SystemExit(f"{name}: a weight is too large for float16")
        self.initialisers.append(numpy_helper.from_array(half, f"{name}.f16"))
        return self.add("Cast", [f"{name}.f16"], name, to=TensorProto.FLOAT)

    def compact(self, weight: torch.Tensor, name: str) -> str:
        """A constant as `lite0.stored` rounds it."""
        values, scale, _ = stored(weight.detach())
        if scale is None:
            return self.constant(weight, name)
        self.initialisers.append(numpy_helper.from_array(values.numpy(), f"{name}.i8"))
        self.initialisers.append(numpy_helper.from_array(scale.numpy(), f"{name}.scale"))
        return self.add("DequantizeLinear", [f"{name}.i8", f"{name}.scale"], name, axis=0)

    def conv(self, x: str, name: str, weight, bias=None, padding: int = 0) -> str:
        inputs = [x, self.constant(weight, f"{name}.weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}.bias"))
        kernel = list(weight.shape[2:])
        return self.add("Conv", inputs, name, kernel_shape=kernel, pads=[padding] * 4, strides=[1, 1])

    def lite_conv(self, x: str, name: str, conv, side: int) -> tuple[str, int]:
        """A convolution of Lite0 with its ReLU6, and the output's side."""
        before, after = padding(conv.kernel, conv.stride, side)
        weight, bias = self.compact(conv.weight, f"{name}.weight"), self.constant(conv.bias, f"{name}.bias")
        x = self.add(
            "Conv", [x, weight, bias], name,
            kernel_shape=[conv.kernel] * 2, strides=[conv.stride] * 2, pads=[before, before, after, after], group=conv.groups,
        )
        if not conv.linear:
            x = self.add("Clip", [x, "zero", "six"], f"{name}.relu6")
        return x, -(-side // conv.stride)

    def conv_bn(self, x: str, name: str, block, relu: bool) -> str:
        """A ConvBn with its norm folded in: its factor is positive, so it commutes with max pooling."""
        conv, pool, norm = block
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        assert (factor > 0).all()
        x = self.conv(x, name, conv.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor, 1)
        if relu:
            x = self.add("Relu", [x], f"{name}.relu")
        if isinstance(pool, torch.nn.MaxPool2d):
            x = self.add("MaxPool", [x], f"{name}.pool", kernel_shape=[2, 2], strides=[2, 2])
        return x

    def head(self, x: str, net) -> str:
        x = self.add("GlobalAveragePool", [x], "pooled")
        x = self.add("Flatten", [x], "features", axis=1)
        scale = getattr(net, "logit_scale", 1.0)
        weight = self.constant(net.head.weight * scale, "head.weight")
        bias = self.constant(net.head.bias * scale, "head.bias")
        return self.add("Gemm", [x, weight, bias], "logits", transB=1)


def photo_graph(net: PhotoNet) -> Graph:
    graph = Graph()
    x = graph.add("Relu", [graph.conv("input", "whiten", net.whiten.weight)], "whiten.relu")
    for i, stage in enumerate(net.stages):
        x = graph.conv_bn(x, f"stage{i}.down", stage.down, relu=True)
        y = graph.conv_bn(x, f"stage{i}.first", stage.first, relu=True)
        if stage.second is not None:
            y = graph.conv_bn(y, f"stage{i}.second", stage.second, relu=False)
            if stage.residual:
                y = graph.add("Add", [x, y], f"stage{i}.sum")
            y = graph.add("Relu", [y], f"stage{i}.relu")
        x = y
    graph.head(x, net)
    return graph


def digit_graph(net: DigitNet) -> Graph:
    graph, x = Graph(), "input"
    for i, stage in enumerate(net.stages):
        x = graph.conv_bn(x, f"conv{i}", stage, relu=True)
    graph.head(x, net)
    return graph


def lite_graph(net: Lite0) -> Graph:
    graph = Graph()
    for name, value in [("zero", 0), ("six", 6)]:
        graph.initialisers.append(numpy_helper.from_array(np.array(value, np.float32), name))
    x, side = graph.lite_conv("input", "stem", net.stem, 224)
    for i, block in enumerate(net.blocks):
        y = x
        if block.expand is not None:
            y, side = graph.lite_conv(y, f"block{i}.expand", block.expand, side)
        y, side = graph.lite_conv(y, f"block{i}.depthwise", block.depthwise, side)
        y, side = graph.lite_conv(y, f"block{i}.project", block.project, side)
        x = graph.add("Add", [x, y], f"block{i}.sum") if block.sum else y
    x, side = graph.lite_conv(x, "last", net.last, side)
    graph.head(x, net)
    return graph


MODELS = {
    "photos": (lambda: PhotoNet(cut=True), photo_graph, [3, 32, 32]),
    "digits": (DigitNet, digit_graph, [1, 28, 28]),
    "things": (lambda: Lite0(64), lite_graph, [3, 224, 224]),
}


@torch.no_grad()
def onnx_of(name: str, net, outputs=("logits",)) -> bytes:
    """The network as an ONNX file, or a part of it that ends in `features`."""
    _, describe, shape = MODELS[name]
    graph = describe(net)
    widths = {"logits": net.head.out_features, "features": net.head.in_features}
    proto = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", widths[output]]) for output in outputs],
        graph.initialisers,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="itp-ood")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("onnx", type=Path)
    args = parser.parse_args()
    make, _, shape = MODELS[args.model]
    net = make()
    net.load_state_dict(torch.load(args.weights))
    net.eval()

    data = onnx_of(args.model, net)
    args.onnx.parent.mkdir(parents=True, exist_ok=True)
    args.onnx.write_bytes(data)

    x = torch.randn(16, *shape, generator=torch.Generator().manual_seed(0))
    ours = onnxruntime.InferenceSession(data).run(None, {"input": x.numpy()})[0]
    theirs = net(x).numpy()
    off = np.abs(ours - theirs).max()
    if off > 0.02 * np.abs(theirs).max():
        raise SystemExit(f"the ONNX file is off by {off} of {np.abs(theirs).max()}")
    print(f"{args.onnx}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    print(f"largest difference of a logit {off:.2g}, of at most {np.abs(theirs).max():.3g}")


if __name__ == "__main__":
    main()
