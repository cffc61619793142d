"""Write a trained network as ONNX: plain operators, weights stored as float16.

    python export.py photos build/photos/cut.pt ../www/models/photos.onnx
    python export.py digits build/digits/digits.pt ../www/models/digits.onnx

Batch norms are folded into the convolutions. Each weight is a float16 initialiser
followed by a Cast to float32, so the file is half as large and all arithmetic stays
in float32. The written file is checked against the network with ONNX Runtime.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

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

    def conv(self, x: str, name: str, weight, bias=None, padding: int = 0) -> str:
        inputs = [x, self.constant(weight, f"{name}.weight")]
        if bias is not None:
            inputs.append(self.constant(bias, f"{name}.bias"))
        kernel = list(weight.shape[2:])
        return self.add("Conv", inputs, name, kernel_shape=kernel, pads=[padding] * 4, strides=[1, 1])

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
        weight = self.constant(net.head.weight * net.logit_scale, "head.weight")
        bias = self.constant(net.head.bias * net.logit_scale, "head.bias")
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


MODELS = {
    "photos": (lambda: PhotoNet(cut=True), photo_graph, [3, 32, 32]),
    "digits": (DigitNet, digit_graph, [1, 28, 28]),
}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("onnx", type=Path)
    args = parser.parse_args()
    make, describe, shape = MODELS[args.model]
    net = make()
    net.load_state_dict(torch.load(args.weights))
    net.eval()

    graph = describe(net)
    proto = helper.make_graph(
        graph.nodes,
        args.model,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", net.head.out_features])],
        graph.initialisers,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="itp-ood")
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
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
