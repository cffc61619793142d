"""Stats files as the command line writes them; parts that merge."""

import pickle

import numpy as np
import pytest

import itp_ood
from conftest import CLASSES, FLAGS, MODEL, PREPROCESS, ROOT, itp, listed, picture
from itp_ood import Calibrator, Detector, Stats

DETECTORS = ["knn", "klm", "opnp", "ras", "react", "mds_pp", "vra"]


def equal(ours: Stats, theirs: Stats, tolerance=1e-6):
    assert ours.tensors == theirs.tensors
    assert ours.labels == theirs.labels and ours.settings.keys() == theirs.settings.keys()
    for name, value in ours.settings.items():
        expected = theirs.settings[name]
        assert value == (pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else expected), name
    for name in ours.tensors:
        a, b = (stats.tensor(name).astype(np.float64) for stats in (ours, theirs))
        assert a.shape == b.shape, name
        assert np.abs(a - b).max(initial=0) <= tolerance * max(1.0, np.abs(b).max(initial=0)), name


def gathered(images, **options):
    paths, labels = listed(images / "train")
    held, _ = listed(images / "val")
    calibrator = Calibrator(MODEL, PREPROCESS, labels=CLASSES, **options)
    return calibrator.update_images(paths, labels, batch_size=17).update_holdout_images(held)


def test_the_file_is_the_command_lines_to_the_bit(images, stats):
    calibrator = gathered(images, detectors=["all"])
    assert calibrator.counts.tolist() == [30] * 4 and calibrator.num_holdout == 60
    made = calibrator.finish(p=10, lambda_=2.2)
    assert made.to_bytes() == stats.read_bytes()


def test_golden_moments_and_scores():
    from safetensors_of import read

    golden, expected = read(ROOT / "tests/golden/last_layer.safetensors"), read(ROOT / "tests/golden/detectors.safetensors")
    weight, bias = golden["weight"], golden["bias"]
    calibrator = Calibrator(weight, bias, detectors=["all"])
    calibrator.update(golden["train_features"], golden["train_labels"])
    stats = calibrator.finish(**{"knn.k": 7})
    detector = Detector.from_head(weight, bias, stats)
    found = detector.scores(golden["test_features"], score="knn")
    scale = np.abs(expected["knn"]).max()
    assert np.abs(found - expected["knn"]).max() < 1e-4 * scale


def test_features_come_as_any_array_without_a_copy(images):
    calibrator = gathered(images)
    rng = np.random.default_rng(0)
    features = rng.random((50, 6), dtype=np.float32)
    labels = np.arange(50) % 4
    weight, bias = rng.random((4, 6)), rng.random(4)
    whole = Calibrator(weight, bias).update(features, labels).finish()
    for kind in (features.astype(np.float64), features[::1], features.tolist(), np.asfortranarray(features)):
        assert Calibrator(weight, bias).update(kind, labels.tolist()).finish() == whole
    from itp_ood import arrays

    assert arrays.rows(features) is features or np.shares_memory(arrays.rows(features), features)
    with pytest.raises(itp_ood.FeaturesError, match="row 1"):
        broken = features.copy()
        broken[1, 2] = np.inf
        calibrator.update(broken, labels)
    with pytest.raises(itp_ood.FeaturesError, match="whole numbers"):
        calibrator.update(features, labels + 0.5)
    with pytest.raises(itp_ood.FeaturesError, match="one class for each row"):
        calibrator.update(features, labels[:7])
    with pytest.raises(itp_ood.FeaturesError, match="count from 0"):
        calibrator.update(features, labels - 2)


def test_parts_merge_to_one_run_in_any_order(images):
    paths, labels = listed(images / "train")
    held, _ = listed(images / "val")
    whole = gathered(images, detectors=DETECTORS).finish(p=10, lambda_=2.2)
    parts = []
    for index in range(3):
        part = Calibrator(MODEL, PREPROCESS, labels=CLASSES, detectors=DETECTORS, part=f"{index + 1}/3")
        part.update_images(paths[index::3], labels[index::3])
        part.update_holdout(part.extract(held[index::3]), places=range(index, 60, 3))
        parts.append(part)
    assert parts[0].missing_parts == ["2/3", "3/3"]
    for order in ([0, 1, 2], [2, 0, 1]):
        merged = Calibrator.from_partial(parts[order[0]].to_partial())
        merged.merge(parts[order[1]].to_partial()).merge(parts[order[2]])
        assert merged.parts == ["1/3", "2/3", "3/3"] and merged.missing_parts == []
        equal(merged.finish(p=10, lambda_=2.2), whole)
    with pytest.raises(itp_ood.DataError, match="part 2/3"):
        merged.merge(parts[1])
    again = pickle.loads(pickle.dumps(merged))
    assert again.finish() == merged.finish()


def test_partials_of_the_command_line_and_of_python_are_the_same(images, tmp_path):
    for part in (1, 2):
        args = ["calibrate", MODEL, images / "train", "--holdout", images / "val", "--shard", f"{part}/2"]
        itp(*args, "-o", tmp_path / f"part-{part}", "--detectors", ",".join(DETECTORS), *FLAGS)
    merged = Calibrator.from_partial(tmp_path / "part-2").merge(tmp_path / "part-1")
    itp("merge", tmp_path / "part-1", tmp_path / "part-2", "-o", tmp_path / "merged", "--p", 10, "--lambda", 2.2)
    equal(merged.finish(p=10, lambda_=2.2), Stats(tmp_path / "merged"))
    equal(merged.finish(p=10, lambda_=2.2), gathered(images, detectors=DETECTORS).finish(p=10, lambda_=2.2))


def test_holding_back_is_the_command_lines():
    held = itp_ood.hold_back([0] * 30 + [1] * 30)
    assert held.dtype == bool and held.sum() == 6 and np.array_equal(held, itp_ood.hold_back([0] * 30 + [1] * 30, seed=0))


def test_images_that_were_drawn_are_used(images):
    # A made-up image in memory gives what its file gives.
    calibrator = Calibrator(MODEL, PREPROCESS)
    assert np.array_equal(calibrator.extract([picture(1003)]), calibrator.extract([images / "train/bee/003.png"]))
