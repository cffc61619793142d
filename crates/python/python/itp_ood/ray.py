"""Calibration on many machines, by Ray (``pip install "itp-ood[ray]"``).

:func:`calibrate` runs the engine over image files that every node can read; :func:`calibrate_dataset` takes a
``ray.data.Dataset`` and any callable that gives features, such as a PyTorch model on GPUs.

Each task gathers one part of the images into a partial (sums, never features; docs/distributed.md), and tasks merge
partials as a tree. A task is a function of its part alone: what a dead worker had is computed again by Ray, and a part
that would be merged twice raises :class:`~itp_ood.DataError`. The statistics are those of one process to 1e-6, whatever
the number of workers, their order or their retries.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray

from . import _native, arrays
from .calibrator import Calibrator
from .errors import DataError, FileError, OodError, OptionsError
from .stats import write

#: Partials that a task merges into one.
FAN_IN = 4
#: Parts for each worker: small enough that a lost one costs little, large enough that merging costs less than gathering.
PARTS_PER_WORKER = 4


def calibrate(
    images: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    preprocess: Any,
    holdout: str | os.PathLike[str] | None = None,
    labels: Sequence[str] | None = None,
    detectors: str | Sequence[str] = (),
    parts: int | None = None,
    concurrency: int | None = None,
    num_cpus: int = 1,
    max_retries: int = 5,
    resume: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Calibrator:
    """The calibrator that one ``itp calibrate`` over all images would have, gathered by ``concurrency`` tasks at a time.

    ``images`` and ``holdout`` are what the command line takes (a folder with a folder for each class, a ``.tar``,
    ``.zip``, ``.parquet`` or a list), under a path that every node has, and so is ``model``. Without ``holdout`` a tenth
    of each class is held back. ``resume`` names a folder, again one that every node has, where finished parts are kept:
    after a run that was broken off they are taken from there; where the images changed, name another. Call ``finish()``
    on the result for the stats file.
    """
    workers = concurrency or max(1, int(ray.cluster_resources().get("CPU", 1) // num_cpus))
    parts = parts or PARTS_PER_WORKER * workers
    if parts < 1 or workers < 1:
        raise OptionsError("parts and concurrency are 1 or more")
    job = {
        "model": os.path.abspath(model),
        "model_sha256": hashlib.sha256(_read(model)).hexdigest(),
        "images": os.path.abspath(images),
        "holdout": None if holdout is None else os.path.abspath(holdout),
        "preprocess": json.loads(arrays.preprocess(preprocess)),
        "labels": None if labels is None else list(labels),
        "detectors": arrays.names(detectors),
        "parts": parts,
        "threads": num_cpus,
    }
    kept = None if resume is None else os.path.abspath(resume)
    if kept is not None:
        os.makedirs(kept, exist_ok=True)
    part = _part.options(num_cpus=num_cpus, max_retries=max_retries)
    tasks = ((lambda index=index: part.remote(job, index, kept)) for index in range(1, parts + 1))
    return _merged(tasks, parts, workers, max_retries, progress)


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"{os.fspath(path)} cannot be read: {error}") from error


def calibrate_dataset(
    dataset: ray.data.Dataset,
    features: type | Callable[[Any], Any],
    weight: Any,
    bias: Any,
    *,
    holdout: ray.data.Dataset | None = None,
    image: str = "image",
    label: str = "label",
    rows: int = 4096,
    preprocess: Any = "imagenet",
    labels: Sequence[str] | None = None,
    detectors: str | Sequence[str] = (),
    constructor: Mapping[str, Any] | None = None,
    **resources: Any,
) -> Calibrator:
    """The calibrator of a ``ray.data.Dataset``, such as ``ray.data.read_images``, ``read_webdataset`` or ``read_parquet``.

    ``features`` maps a column ``image`` (an array [n, ...]) to features [n, D]: a function, or a class, which is made
    once a worker with the arguments ``constructor`` and holds a model. ``label`` is the column of classes, whole numbers;
    ``weight`` [K, D] and ``bias`` [K] are the last layer. ``rows`` images make one partial. ``resources`` go to
    ``map_batches`` (``concurrency``, ``num_gpus``, ``num_cpus``).
    """
    head = arrays.array(weight, np.float32), arrays.array(bias, np.float32)
    start = {"preprocess": preprocess, "labels": labels, "detectors": arrays.names(detectors)}
    total: Calibrator | None = None
    for data, holds_out in ((dataset, False), (holdout, True)):
        if data is None:
            continue
        options = {
            "head": head,
            "start": start,
            "features": features,
            "constructor": dict(constructor or {}),
            "columns": (image, label),
            "holds_out": holds_out,
        }
        partials = data.map_batches(
            _Gather,
            fn_constructor_args=(options,),
            batch_size=rows,
            **{"concurrency": 1, **resources},
        ).map_batches(_merge_batch, batch_size=FAN_IN)
        for batch in partials.iter_batches(batch_size=1):
            for partial in batch["partial"]:
                found = Calibrator.from_partial(bytes(partial))
                total = found if total is None else total.merge(found)
    if total is None:
        raise DataError("the dataset has no images")
    return total


class _Gather:
    """A worker: features of a batch, gathered into a partial of its own."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        features = options["features"]
        self.features = features(**options["constructor"]) if isinstance(features, type) else features

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        image, label = self.options["columns"]
        found = arrays.rows(self.features(batch[image]))
        # The same images give the same name: merged twice, they are found out.
        digest = hashlib.sha256(found.tobytes())
        if label in batch:
            digest.update(np.ascontiguousarray(batch[label]).tobytes())
        calibrator = Calibrator(*self.options["head"], part=f"rows {digest.hexdigest()[:24]}", **self.options["start"])
        if self.options["holds_out"]:
            calibrator.update_holdout(found)
        else:
            calibrator.update(found, batch[label])
        return {"partial": [calibrator.to_partial()]}


def _merge_batch(batch: dict[str, Any]) -> dict[str, Any]:
    first, *others = batch["partial"]
    calibrator = Calibrator.from_partial(bytes(first))
    for other in others:
        calibrator.merge(bytes(other))
    return {"partial": [calibrator.to_partial()]}


@ray.remote(retry_exceptions=False, num_returns=2)
def _part(job: dict[str, Any], index: int, kept: str | None) -> tuple[bytes, int]:
    """One part of the images, as a partial, and how many they are: by the command line, whose rules for images and
    classes hold here, too.
    """
    name = f"part-{index}-of-{job['parts']}-{hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]}"
    there = None if kept is None else Path(kept) / f"{name}.itp-partial.safetensors"
    if there is not None and there.exists():
        partial = there.read_bytes()
        try:
            return partial, int(Calibrator.from_partial(partial).counts.sum())
        except OodError:
            pass  # Damaged: made again below.
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "partial")
        args = ["itp", "calibrate", job["model"], job["images"], "-o", output, "--quiet"]
        args += ["--shard", f"{index}/{job['parts']}", "--threads", str(job["threads"])]
        args += _flags(job["preprocess"])
        if job["holdout"]:
            args += ["--holdout", job["holdout"]]
        if job["detectors"]:
            args += ["--detectors", ",".join(job["detectors"])]
        if job["labels"]:
            listed = os.path.join(folder, "labels.txt")
            Path(listed).write_text("\n".join(job["labels"]), encoding="utf-8")
            args += ["--labels", listed]
        _native.command(args)
        partial = Path(output).read_bytes()
    if there is not None:
        write(there, partial)
    return partial, int(Calibrator.from_partial(partial).counts.sum())


def _flags(preprocess: dict[str, Any]) -> list[str]:
    """A preprocessing as the command line takes it."""
    numbers = lambda values: ",".join(repr(float(value)) for value in values)  # noqa: E731
    flags = ["--mean", numbers(preprocess["mean"]), "--std", numbers(preprocess["std"])]
    if preprocess.get("stretch"):
        raise OptionsError("a preprocessing with stretch can't be calibrated in parts; resize the images first")
    if preprocess.get("resize"):
        flags += ["--resize", str(preprocess["resize"])]
    if preprocess.get("crop"):
        flags += ["--crop", "{}x{}".format(*preprocess["crop"])]
    flags += ["--bicubic"] if preprocess.get("interpolation") == "bicubic" else []
    flags += ["--grey"] if preprocess.get("channels") == "grey" else []
    return flags


@ray.remote(retry_exceptions=False)
def _merge(*partials: bytes) -> bytes:
    calibrator = Calibrator.from_partial(partials[0])
    for partial in partials[1:]:
        calibrator.merge(partial)
    return calibrator.to_partial()


class _Tree:
    """Merges partials where they lie, some at a time: of a lost one, only its branch is computed again."""

    def __init__(self, max_retries: int) -> None:
        self._merge = _merge.options(max_retries=max_retries)
        self._levels: list[list[Any]] = [[]]

    def add(self, partial: Any, level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(partial)
        if len(self._levels[level]) == FAN_IN:
            branch = self._merge.remote(*self._levels[level])
            self._levels[level] = []
            self.add(branch, level + 1)

    def root(self) -> Any:
        return self._merge.remote(*[partial for level in self._levels for partial in level])


def _merged(tasks: Any, total: int, concurrency: int, max_retries: int, progress: bool) -> Calibrator:
    """Starts tasks, some at a time, and merges what they give; the driver reads one partial in the end."""
    tree = _Tree(max_retries)
    running: dict[Any, Any] = {}
    bar = None
    if progress:
        from tqdm.auto import tqdm

        bar = tqdm(total=total, desc="parts")
    try:
        while True:
            while len(running) < concurrency and (task := next(tasks, None)) is not None:
                partial, images = task()
                running[images] = partial
            if not running:
                return Calibrator.from_partial(ray.get(tree.root()))
            for images in ray.wait(list(running), num_returns=1)[0]:
                ray.get(images)  # Raises what its task failed with, without fetching the partial.
                tree.add(running.pop(images))
                if bar is not None:
                    bar.update()
    except ray.exceptions.RayTaskError as error:
        # The task's own error, rather than what Ray makes of it.
        raise (error.cause if isinstance(error.cause, OodError) else error) from None
    finally:
        if bar is not None:
            bar.close()
