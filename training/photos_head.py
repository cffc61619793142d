"""Cut the last convolution off the trained photo classifier and fit a new head.

    python photos_head.py --train ../../shared/data/cifar10-train.tar \
                          --test ../../shared/data/cifar10-test.tar \
                          --weights build/photos/photos.pt --out build/photos/cut.pt

Why is told at `nets.PhotoNet`. The head is a plain softmax regression on the
features of the 48,000 training images as they are, neither shifted nor mirrored.
Features are divided by their standard deviation first, so that weight decay treats
them alike, and the divisor then goes into the weights. L-BFGS, no randomness.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from images import read_set
from nets import PhotoNet
from photos import accuracy, split_holdout, to_input
from regression import softmax_regression

WEIGHT_DECAY = 1e-3
STEPS = 300


@torch.no_grad()
def features(net, pictures: np.ndarray) -> torch.Tensor:
    net.eval()
    parts = [net.features(to_input(pictures[i : i + 500])) for i in range(0, len(pictures), 500)]
    return torch.cat(parts)


def fit_head(x: torch.Tensor, labels: torch.Tensor, classes: int):
    """Weight and bias that minimise cross-entropy plus weight decay."""
    deviation = x.std(0) + 1e-6
    weight, bias = softmax_regression(x / deviation, labels, torch.zeros(classes, x.shape[1]), WEIGHT_DECAY / 2, STEPS)
    return weight / deviation, bias


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    pictures, _, classes = read_set(args.train)
    test_pictures, _, test_classes = read_set(args.test)
    names = sorted(set(classes))
    labels = np.array([names.index(c) for c in classes])
    test_labels = np.array([names.index(c) for c in test_classes])
    rows, held = split_holdout(labels)

    net = PhotoNet(cut=True).to(memory_format=torch.channels_last)
    kept = {k: v for k, v in torch.load(args.weights).items() if k in net.state_dict()}
    net.load_state_dict(kept)
    weight, bias = fit_head(features(net, pictures[rows]), torch.from_numpy(labels[rows]), len(names))
    with torch.no_grad():
        net.head.weight.copy_(weight / net.logit_scale)
        net.head.bias.copy_(bias / net.logit_scale)
    for name, part, truth in [
        ("training", pictures[rows], labels[rows]),
        ("holdout", pictures[held], labels[held]),
        ("test", test_pictures, test_labels),
    ]:
        print(f"{name} accuracy {accuracy(net, part, truth):.4f}")
    torch.save(net.state_dict(), args.out)


if __name__ == "__main__":
    main()
