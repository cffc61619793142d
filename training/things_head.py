"""A head for MobileNetV2 on the 64 classes of things64.tar, for `scripts/first-use.mjs`.

    python things_head.py --model mobilenet_v2_imagenet.onnx --train things64/train --out things.onnx

Softmax regression on the features of the training images, weight decay 3e-3 on features divided by their
deviation, nothing chosen. The model is a file of its own because MobileNetV2's head has 1,001 classes, and
`itp calibrate` needs two training images of each.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from PIL import Image


def to_input(path: Path) -> np.ndarray:
    """The preset `mobilenet`: shorter side 256, centre crop 224, -1 to 1."""
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BILINEAR)
    left, top = ((side - 224) // 2 for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return (pixels / 127.5 - 1).transpose(2, 0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    session = onnxruntime.InferenceSession(args.model)
    classes = sorted(folder.name for folder in args.train.iterdir())
    paths = sorted(args.train.glob("*/*"))
    features = np.concatenate([session.run(["features"], {"input": to_input(path)[None]})[0] for path in paths])
    labels = torch.tensor([classes.index(path.parent.name) for path in paths])

    deviation = features.std()
    inputs = torch.tensor(features / deviation)
    weights = torch.zeros(len(classes), inputs.shape[1], requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights.T + bias, labels) + 3e-3 * (weights**2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    model = onnx.load(args.model)
    graph = model.graph
    last = next(i for i, node in enumerate(graph.node) if "features" in node.output)
    del graph.node[last + 1 :]
    graph.node.append(helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1))
    graph.initializer.append(numpy_helper.from_array(weights.detach().numpy() / deviation, "head.weight"))
    graph.initializer.append(numpy_helper.from_array(bias.detach().numpy(), "head.bias"))
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", len(classes)]))
    onnx.checker.check_model(model)
    onnx.save(model, args.out)


if __name__ == "__main__":
    main()
