"""The two networks. Both end in ReLU, global average pooling and one linear layer.

The last ReLU and the average make every feature non-negative, which is what
ITP's redundancy and overconfidence tests were designed for.
"""

import torch
from torch import nn


class ConvBn(nn.Sequential):
    """3x3 convolution, optional 2x2 max pooling, batch norm.

    The norm learns no scale, so its factor stays positive: it can then be
    folded into the convolution even when max pooling stands between the two.
    """

    def __init__(self, inputs: int, outputs: int, pool: bool):
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        norm = nn.BatchNorm2d(outputs)
        norm.weight.requires_grad_(False)
        super().__init__(conv, nn.MaxPool2d(2) if pool else nn.Identity(), norm)


class Stage(nn.Module):
    """Halve the picture, widen it, then refine it by two more convolutions.

    A sum around the two helps training; the last stage goes without, so that its
    second convolution can be cut off (`PhotoNet`).
    """

    def __init__(self, inputs: int, outputs: int, residual: bool):
        super().__init__()
        self.residual = residual
        self.down = ConvBn(inputs, outputs, pool=True)
        self.first = ConvBn(outputs, outputs, pool=False)
        self.second = ConvBn(outputs, outputs, pool=False)

    def forward(self, x):
        x = self.down(x).relu()
        refined = self.first(x)
        if self.second is not None:
            refined = self.second(refined.relu())
        return (x + refined if self.residual else refined).relu()


class PhotoNet(nn.Module):
    """32x32 RGB: fixed whitening of 2x2 patches, three stages, 216 features.

    It is trained with one convolution more than it keeps. Strangers hardly stand out
    in the features of the last one, so ITP's overconfidence test finds nothing to
    prune there. Those of the one before tell the classes apart as well, and strangers
    drive them above what any class does (measured in www/models/photos.md). So `cut`
    leaves the last one out, and `photos_head.py` fits the head to the one before.
    """

    logit_scale = 0.125

    def __init__(self, widths=(40, 112, 216), classes: int = 10, cut: bool = False):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2, bias=False)
        self.whiten.weight.requires_grad_(False)
        inputs = (24, *widths[:-1])
        sums = (True, True, False)
        self.stages = nn.Sequential(*(Stage(i, o, r) for i, o, r in zip(inputs, widths, sums)))
        if cut:
            self.stages[-1].second = None
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes, bias=True)

    @torch.no_grad()
    def set_whitening(self, pictures: torch.Tensor, epsilon: float = 1e-2):
        """Fill the first layer with the principal axes of 2x2 patches, and their negatives."""
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1)
        rows = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(rows.T.double() @ rows.double() / len(rows))
        axes = (vectors / (values + epsilon).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.whiten.weight.copy_(torch.cat([axes, -axes]))

    def features(self, x):
        x = self.stages(self.whiten(x).relu())
        return self.pool(x).flatten(1)

    def forward(self, x):
        return self.head(self.features(x)) * self.logit_scale


class DigitNet(nn.Module):
    """28x28 grey: four convolutions, 128 features."""

    logit_scale = 0.25

    def __init__(self, widths=(16, 32, 64, 128), classes: int = 10):
        super().__init__()
        inputs = (1, *widths[:-1])
        pools = (True, True, False, False)
        self.stages = nn.ModuleList(ConvBn(i, o, p) for i, o, p in zip(inputs, widths, pools))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes, bias=True)

    def features(self, x):
        for stage in self.stages:
            x = stage(x).relu()
        return self.pool(x).flatten(1)

    def forward(self, x):
        return self.head(self.features(x)) * self.logit_scale
