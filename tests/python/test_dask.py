"""The example of docs/distributed.md on Dask's local cluster: any scheduler needs `update` and `merge` only."""

import re

import pytest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

from conftest import CLASSES, MODEL, PREPROCESS, ROOT, listed  # noqa: E402
from itp_ood import Calibrator  # noqa: E402
from test_calibrator import equal, gathered  # noqa: E402


def test_the_dask_example_of_the_documentation_gives_one_runs_statistics(images):
    page = (ROOT / "docs/distributed.md").read_text(encoding="utf-8")
    example = re.search(r"## Dask\n.*?```python\n(.*?)```", page, re.S).group(1)
    paths, labels = listed(images / "train")
    held, _ = listed(images / "val")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            names = {
                "client": client, "paths": paths, "labels": labels, "model": MODEL, "preprocess": PREPROCESS,
                "class_names": CLASSES,
            }
            exec(compile(example, "docs/distributed.md", "exec"), names)
    calibrator = names["calibrator"]
    assert calibrator.counts.tolist() == [30] * 4 and calibrator.missing_parts == []
    calibrator.update_holdout(Calibrator(MODEL, PREPROCESS).extract(held))
    equal(calibrator.finish(p=10, lambda_=2.2), gathered(images, detectors=["knn", "vim"]).finish(p=10, lambda_=2.2))

