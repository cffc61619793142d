"""Real images and models: the README's lines, and the command line's answers to the bit."""

import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT, SHARED, itp, lines
from itp_ood import Calibrator, Detector

DENSENET, PHOTOS = SHARED / "models/densenet100_cifar10.onnx", ROOT / "www/models/photos.onnx"
MOMENTS = SHARED / "golden/class_stats_cifar10.safetensors"


def some_of(folder, each):
    """Some of CIFAR-10's test images of each class, as files in a folder for each."""
    data = SHARED / "data/cifar10-test.tar"
    if not data.exists() or not DENSENET.exists() or not MOMENTS.exists():
        pytest.skip("ITP_SHARED has no CIFAR-10, or no DenseNet with its moments")
    with tarfile.open(data) as archive:
        for member in archive:
            if not member.isfile():
                continue
            _, label, name = member.name.rsplit("/", 2)
            (folder / label).mkdir(exist_ok=True)
            if len(list((folder / label).iterdir())) < each:
                (folder / label / name).write_bytes(archive.extractfile(member).read())
    return sorted(folder.glob("*/*"))


def test_the_lines_of_the_readme_on_real_images(tmp_path, monkeypatch):
    code = re.search(r"## In Python\n\n```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S).group(1)
    (tmp_path / "images").mkdir()
    paths = some_of(tmp_path / "images", 3)
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").symlink_to(DENSENET)
    Image.open(paths[-1]).save("photo.jpg", quality=95)
    classes = sorted({path.parent.name for path in paths})
    names = {"classes": classes, "images": paths, "labels": [classes.index(path.parent.name) for path in paths]}
    exec(compile(code, "README.md", "exec"), names)
    assert names["calibrator"].counts.tolist() == [3] * 10
    assert names["result"].label == "truck" and np.isfinite(names["result"].score)


@pytest.mark.parametrize(
    ("model", "scores"), [(DENSENET, ["itp", "energy", "held"]), (PHOTOS, ["itp", "ftp", "held_t", "react", "gen", "fdbd"])]
)
def test_a_hundred_detections_are_the_command_lines_to_the_bit(tmp_path, model, scores):
    (tmp_path / "images").mkdir()
    paths = some_of(tmp_path / "images", 10)
    stats = model.with_name("photos.itp.safetensors")
    if model == DENSENET:
        stats = tmp_path / "stats"
        # Of all 50,000 training images.
        classes = tmp_path / "classes.txt"
        classes.write_text("\n".join(sorted({path.parent.name for path in paths})))
        itp("calibrate", model, "--from-moments", MOMENTS, "--counts", 5000, "--labels", classes, "--preset", "cifar", "-o", stats)
    detector = Detector(model, stats)
    features = detector.features(paths)
    right = [one.label == path.parent.name for one, path in zip(detector.detect_features(features), paths)]
    assert len(paths) == 100 and sum(right) > 85
    for score in scores:
        expected = lines(itp("score", model, stats, *paths, "--json", "--score", score))
        found = detector.detect_features(features, score=score)
        for ours, theirs, path in zip(found, expected, paths, strict=True):
            assert theirs.pop("path") == str(path)
            assert {name: value for name, value in ours.to_dict().items() if name in theirs} == theirs, (score, path)
        assert detector.scores(features, score=score).tolist() == [line["score"] for line in expected], score
    # Lossless: the same pixels, by another decoder.
    assert detector.detect([np.asarray(Image.open(path)) for path in paths[::10]]) == detector.detect(paths[::10])
