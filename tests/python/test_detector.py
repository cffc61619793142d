"""The same answers as the command line, to the bit; errors, pickles, options."""

import pickle
import struct

import numpy as np
import pytest
from PIL import Image

import itp_ood
from conftest import MODEL, PREPROCESS, itp, lines, listed
from itp_ood import Calibrator, Detector, Stats


@pytest.fixture(scope="module")
def detector(stats):
    return Detector(MODEL, stats)


def test_detections_are_the_command_lines(detector, stats, images):
    paths, _ = listed(images / "val")
    expected = lines(itp("score", MODEL, stats, *paths, "--json"))
    found = detector.detect(paths)
    assert len(found) == len(expected) == 60
    for ours, theirs in zip(found, expected):
        theirs.pop("path")
        # It prints the logits where it explains, as below.
        assert {name: value for name, value in ours.to_dict().items() if name in theirs} == theirs
    one, explained = found[0], lines(itp("score", MODEL, stats, paths[0], "--json", "--explain"))[0]
    for name, value in one.to_dict().items():
        assert explained[name] == value, name
    assert detector.explain(one).to_dict() == explained["explain"]
    assert (one.label, one.class_index, one.score) == (one.to_dict()["label"], one.to_dict()["classIndex"], one.to_dict()["score"])
    assert one.in_distribution == (one.score >= one.threshold) and one.logits.shape == (4,)


def test_scores_are_the_command_lines(detector, stats, images):
    paths, _ = listed(images / "val")
    assert len(detector.scores_available()) > 30
    features = detector.features(paths)
    assert features.shape == (60, 6) and features.dtype == np.float32
    for name in ("energy", "knn", "vim", "mahalanobis", "klm", "held_t", "react"):
        expected = [line["score"] for line in lines(itp("score", MODEL, stats, *paths[:5], "--json", "--score", name))]
        assert detector.scores(features, score=name)[:5].tolist() == expected, name
    changed = lines(itp("score", MODEL, stats, paths[0], "--json", "--set", "knn.k=3", "--score", "knn"))[0]
    assert detector.scores(features[:1], score="knn", **{"knn.k": 3})[0] == changed["score"]


def test_an_image_is_an_array_a_path_bytes_or_of_pil(detector, images):
    path = images / "val/bee/003.png"
    pixels = np.asarray(Image.open(path))
    expected = detector.detect(path)
    for same in (str(path), path.read_bytes(), pixels, Image.open(path), pixels[:, ::1].copy(order="F")):
        assert detector.detect(same) == expected
    assert detector.detect(np.stack([pixels, pixels])) == [expected, expected]
    grey = Image.fromarray(pixels).convert("L")
    assert detector.detect(np.asarray(grey)) == detector.detect(grey)


def test_options_rescoring_and_explanations(detector, images):
    found = detector.detect(images / "val/cat/001.png")
    other = detector.rescore(found, p=50, lambda_=0.5, tpr=0.8)
    assert other.settings["p"] == 50 and other.settings["lambda"] == 0.5 and other.settings["tpr"] == 0.8
    assert other == detector.detect(images / "val/cat/001.png", p=50, lambda_=0.5, tpr=0.8)
    assert detector.rescore(found, lambda_=float("inf"), score="ftp").score == pytest.approx(found.unpruned_score, abs=1e-9)
    assert detector.rescore(found, threshold=found.score + 1, top_k=2).in_distribution is False
    why = detector.explain(found, class_index=2)
    assert why.to_dict() and why == detector.explain(found.features, 2)
    with pytest.raises(itp_ood.OptionsError, match="react"):
        detector.rescore(found, score="reakt")


def test_what_fails_is_raised_with_a_code(detector, stats, images, tmp_path):
    cases = [
        (lambda: Detector(tmp_path / "no.onnx", stats), itp_ood.FileError, "io"),
        (lambda: Detector(MODEL, b"nothing"), itp_ood.StatsError, "stats"),
        (lambda: Detector(MODEL.replace("gemm", "matmul"), stats), itp_ood.MismatchError, "mismatch"),
        (lambda: Detector(str(stats), stats), itp_ood.MismatchError, "mismatch"),
        (lambda: detector.detect(b"no image"), itp_ood.ImageError, "image"),
        (lambda: detector.detect(np.zeros((4, 4, 3))), itp_ood.ImageError, "image"),
        (lambda: detector.detect(np.zeros((4, 4, 7), np.uint8)), itp_ood.ImageError, "image"),
        (lambda: detector.scores(np.zeros((2, 5))), itp_ood.FeaturesError, "features"),
        (lambda: detector.scores(np.full((2, 6), np.nan)), itp_ood.FeaturesError, "features"),
        (lambda: detector.scores(np.zeros((2, 6)), p=200), itp_ood.OptionsError, "options"),
        (lambda: detector.scores(np.zeros((2, 6)), nonsense=1), itp_ood.OptionsError, "options"),
        (lambda: detector.explain(np.zeros(6), -1), itp_ood.OptionsError, "options"),
        (lambda: detector.explain(np.zeros(6), 4), itp_ood.OptionsError, "options"),
        (lambda: detector.tune([images / "val/bee/003.png"], [-1]), itp_ood.OptionsError, "options"),
        (lambda: Calibrator(MODEL, PREPROCESS).update_holdout(np.zeros((1, 6)), [-1]), itp_ood.OptionsError, "options"),
        (lambda: Stats(struct.pack("<Q", 2) + b"[]"), itp_ood.StatsError, "stats"),
        (lambda: Calibrator(MODEL, "imagenett"), itp_ood.OptionsError, "options"),
        (lambda: Calibrator(MODEL, PREPROCESS, labels=["a"]), itp_ood.DataError, "data"),
    ]
    for at, (call, kind, code) in enumerate(cases):
        with pytest.raises(kind) as raised:
            call()
        assert raised.value.code == code and len(raised.value.message) > 15, at
        assert isinstance(raised.value, itp_ood.OodError)
    assert issubclass(itp_ood.OptionsError, ValueError) and issubclass(itp_ood.FileError, OSError)


def test_pickles_copies_and_representations(detector, stats, images):
    again = pickle.loads(pickle.dumps(detector))
    path = images / "val/dog/002.png"
    assert again.detect(path) == detector.detect(path)
    found = detector.detect(path)
    copied = pickle.loads(pickle.dumps(found))
    assert copied == found and np.array_equal(copied.features, found.features)
    assert "4 classes x 6 features" in repr(detector) and "label='" in repr(found)
    assert detector.get_params()["p"] == 10
    assert Stats(stats) == detector.stats and detector.stats.labels[1] == "bee"
    assert detector.info.classes == 4


def test_saved_statistics_are_the_files(detector, stats, tmp_path):
    detector.save(tmp_path / "copy.itp.safetensors")
    assert (tmp_path / "copy.itp.safetensors").read_bytes() == stats.read_bytes()


def test_tuning_gives_what_the_command_line_does(detector, stats, images, tmp_path):
    paths, labels = listed(images / "val")
    tuned, report = detector.tune(paths, labels, per_kind=5)
    itp("tune", MODEL, stats, images / "val", "-o", tmp_path / "tuned", "--per-kind", 5)
    assert tuned.stats == Stats(tmp_path / "tuned")
    assert report.holdout == 60 and report.markdown.startswith("# Settings")
