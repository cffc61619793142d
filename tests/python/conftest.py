"""Made-up images and what the tests share. The package is installed beside: scripts/lib/python.mjs builds it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("ITP_SHARED", ROOT.parent / "shared"))
CLASSES = ["ant", "bee", "cat", "dog"]
#: What tests/models/gemm.onnx takes: 3 x 8 x 8.
PREPROCESS = {"resize": 8, "crop": [8, 8], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
FLAGS = ["--resize", "8", "--crop", "8", "--mean", ".5,.5,.5", "--std", ".25,.25,.25"]
MODEL = str(ROOT / "tests/models/gemm.onnx")


def picture(seed: int) -> np.ndarray:
    """An image, uint8 [11, 9, 3]."""
    y, x = np.mgrid[:11, :9]
    values = [(seed // 1000 * 60 + x * 7 * c + y * (seed % 7) * 5 + seed % 13 * 11) % 256 for c in (1, 2, 3)]
    return np.stack(values, axis=-1).astype(np.uint8)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with `train` and `val`, a folder for each class in them."""
    folder = tmp_path_factory.mktemp("images")
    for name, each, offset in (("train", 30, 0), ("val", 15, 500)):
        for class_index, label in enumerate(CLASSES):
            (folder / name / label).mkdir(parents=True)
            for i in range(each):
                pixels = picture(class_index * 1000 + offset + i)
                Image.fromarray(pixels).save(folder / name / label / f"{i:03}.png")
    return folder


def listed(folder):
    """Paths and classes of a folder's images, in the command line's order."""
    paths = sorted(folder.glob("*/*.png"))
    return [str(path) for path in paths], [CLASSES.index(path.parent.name) for path in paths]


def itp(*args):
    """Standard output of the command line, as the package brings it."""
    done = subprocess.run([sys.executable, "-m", "itp_ood.cli", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def stats(images, tmp_path_factory):
    """The stats file that the command line makes, with every detector."""
    path = tmp_path_factory.mktemp("stats") / "cli.itp.safetensors"
    args = ["calibrate", MODEL, images / "train", "--holdout", images / "val", "-o", path, "--detectors", "all"]
    itp(*args, *FLAGS, "--p", 10, "--lambda", 2.2)
    return path


def lines(text):
    """Lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]
