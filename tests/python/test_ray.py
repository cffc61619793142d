"""Calibration on a local Ray cluster of three nodes: equal to one process, with a node removed, a worker killed, a part
taken from disk; nothing is lost or counted twice.
"""

import os
import signal
import time

# Workers would wait for everything else on the machine.
os.environ.setdefault("RAY_worker_niceness", "0")

import numpy as np
import pytest

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

import itp_ood  # noqa: E402
import itp_ood.ray  # noqa: E402
from conftest import CLASSES, MODEL, PREPROCESS, listed  # noqa: E402
from itp_ood import Calibrator  # noqa: E402
from test_calibrator import DETECTORS, equal, gathered  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200 << 20})
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=200 << 20)
    ray.init(
        address=cluster.address,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])}},
        log_to_driver=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def whole(images):
    return gathered(images, detectors=DETECTORS).finish(p=10, lambda_=2.2)


def run(images, **options):
    options = {"preprocess": PREPROCESS, "holdout": images / "val", "detectors": DETECTORS, **options}
    return itp_ood.ray.calibrate(images / "train", MODEL, **options)


def check(calibrator, whole, parts):
    assert calibrator.counts.tolist() == [30] * 4 and calibrator.num_holdout == 60
    assert len(calibrator.parts) == parts and calibrator.missing_parts == []
    equal(calibrator.finish(p=10, lambda_=2.2), whole)


@pytest.mark.parametrize(("workers", "parts"), [(1, 1), (1, 5), (3, 9)])
def test_any_number_of_workers_and_parts_gives_the_same(cluster, images, whole, workers, parts):
    check(run(images, concurrency=workers, parts=parts), whole, parts)


def test_finished_parts_are_taken_from_disk(cluster, images, whole, tmp_path):
    kept = tmp_path / "kept"
    check(run(images, parts=4, resume=kept), whole, 4)
    files = sorted(kept.iterdir())
    assert len(files) == 4
    before = [file.stat().st_mtime_ns for file in files]
    files[2].write_bytes(b"damaged")
    check(run(images, parts=4, resume=kept), whole, 4)
    after = [file.stat().st_mtime_ns for file in files]
    assert [a == b for a, b in zip(before, after)] == [True, True, False, True]
    # Other parts are none of these.
    check(run(images, parts=3, resume=kept), whole, 3)
    assert len(list(kept.iterdir())) == 7


def test_what_a_part_fails_with_is_raised(cluster, images):
    with pytest.raises(itp_ood.DataError, match="at most 60 parts"):
        run(images, parts=150)
    with pytest.raises(itp_ood.OptionsError):
        run(images, parts=2, detectors=["nonsense"])


class Slow:
    """Features from the engine, slowly enough for a worker to be killed; says who works."""

    def __init__(self, folder):
        self.folder, self.calibrator = folder, Calibrator(MODEL, PREPROCESS)
        with open(os.path.join(folder, str(os.getpid())), "w"):
            pass

    def __call__(self, images):
        time.sleep(0.4)
        return self.calibrator.extract(list(images))


def dataset(images):
    from PIL import Image

    paths, labels = listed(images)
    rows = [{"image": np.asarray(Image.open(path)), "label": label} for path, label in zip(paths, labels)]
    return ray.data.from_items(rows, override_num_blocks=6)


#: The last layer's bias matters for nothing that is compared, but must be the same everywhere.
BIAS = np.zeros(4, np.float32)


def gather(images, folder, **options):
    return itp_ood.ray.calibrate_dataset(
        dataset(images / "train"),
        Slow,
        Calibrator(MODEL, PREPROCESS)._native.weight(),
        BIAS,
        constructor={"folder": str(folder)},
        rows=10,
        preprocess=PREPROCESS,
        labels=CLASSES,
        detectors=DETECTORS,
        **options,
    )


@pytest.fixture(scope="module")
def of_rows(images):
    """What one process gathers from the same rows."""
    paths, labels = listed(images / "train")
    native = Calibrator(MODEL, PREPROCESS)
    calibrator = Calibrator(native._native.weight(), BIAS, preprocess=PREPROCESS, labels=CLASSES, detectors=DETECTORS)
    return calibrator.update(native.extract(paths), labels)


def check_rows(calibrator, of_rows):
    assert calibrator.counts.tolist() == [30] * 4
    equal(calibrator.finish(p=10, lambda_=2.2), of_rows.finish(p=10, lambda_=2.2))


def test_a_dataset_gives_the_same_although_a_worker_is_killed(cluster, images, of_rows, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gather, images, tmp_path, concurrency=2)
        deadline = time.monotonic() + 120
        while not (workers := os.listdir(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(int(workers[0]), signal.SIGKILL)
        found = running.result(timeout=240)
    assert len(os.listdir(tmp_path)) > 1, "the killed worker had no successor"
    check_rows(found, of_rows)


def test_a_node_that_is_removed_in_the_middle_loses_nothing(cluster, images, whole, tmp_path, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    gathers, begun, doomed = itp_ood.ray._part._function, tmp_path / "begun", tmp_path / "doomed"
    begun.mkdir()

    def has_begun(node):
        return any(path.name.startswith(node) for path in begun.iterdir())

    def slowly(job, index, kept):
        where = ray.get_runtime_context().get_node_id()
        (begun / f"{where}-{index}-{time.monotonic_ns()}").touch()
        goes = doomed.read_text()
        # What runs on the node that goes doesn't end, and nothing else ends before that has begun.
        deadline = time.monotonic() + 600
        while (where == goes or not has_begun(goes)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return gathers(job, index, kept)

    monkeypatch.setattr(itp_ood.ray, "_part", ray.remote(num_returns=2)(slowly))
    node = cluster.add_node(num_cpus=2, object_store_memory=200 << 20)
    doomed.write_text(node.node_id)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, images, parts=30, concurrency=5)
        deadline = time.monotonic() + 120
        while not has_begun(node.node_id) and time.monotonic() < deadline:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        found = running.result(timeout=240)
    assert len(list(begun.iterdir())) > 30, "nothing was lost with the node"
    check(found, whole, 30)


def test_the_same_rows_twice_are_found_out(cluster, images, tmp_path):
    twice = dataset(images / "train").limit(10).repartition(1)
    gathered_twice = itp_ood.ray._Gather
    options = {
        "head": (Calibrator(MODEL, PREPROCESS)._native.weight(), BIAS),
        "start": {"preprocess": PREPROCESS, "labels": CLASSES, "detectors": []},
        "features": Slow,
        "constructor": {"folder": str(tmp_path)},
        "columns": ("image", "label"),
        "holds_out": False,
    }
    batch = next(iter(twice.iter_batches(batch_size=10)))
    partial = gathered_twice(options)(batch)["partial"][0]
    with pytest.raises(itp_ood.DataError, match="count twice"):
        Calibrator.from_partial(partial).merge(gathered_twice(options)(batch)["partial"][0])
