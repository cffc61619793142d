"""Training images' features in, a stats file out; parts from several machines merge."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _native, arrays
from .errors import FileError, OptionsError
from .stats import Stats, write


class Calibrator:
    """Collects features of training images, class by class, and of held-out ones.

    ``Calibrator("model.onnx", "imagenet")`` takes images (:meth:`update_images`) and features;
    ``Calibrator(weight, bias)``, with the last layer [K, D] and [K], takes features alone, and its stats file is bound
    to no model. ``labels`` names the classes in the model's order. ``detectors`` are those that the file must serve
    beside the ones that the class moments suffice for: names, or ``["all"]``. ``preprocess`` is a preset's name, a
    ``preprocessor_config.json``, or a dict with ``mean``, ``std``, and ``resize``, ``crop``... where the model needs
    them.

    Memory does not grow with the number of training images, but for 8 bytes of each.
    """

    def __init__(
        self,
        model: Any,
        second: Any = None,
        *,
        bias: Any = None,
        preprocess: Any = None,
        labels: Sequence[str] | None = None,
        detectors: str | Sequence[str] = (),
        output: str | None = None,
        part: str | None = None,
    ) -> None:
        names = None if labels is None else [str(label) for label in labels]
        if isinstance(model, (str, os.PathLike)):
            preprocess = second if preprocess is None else preprocess
            if preprocess is None:
                raise OptionsError('say how images become the model\'s input: Calibrator(model, "imagenet"), or a dict')
            path = os.fspath(model)
            self._native = _native.Calibrator.of_model(path, arrays.preprocess(preprocess), names, output)
        else:
            weight = arrays.array(model, np.float32)
            bias = second if bias is None else bias
            bias = np.zeros(len(weight), np.float32) if bias is None else arrays.array(bias, np.float32)
            if weight.ndim != 2 or bias.ndim != 1:
                raise OptionsError(f"weight is [K, D] and bias [K], not {list(weight.shape)} and {list(bias.shape)}")
            how = arrays.preprocess(preprocess if preprocess is not None else "imagenet")
            self._native = _native.Calibrator.of_head(weight, bias, how, names)
        if detectors:
            self._native.learn(arrays.names(detectors))
        if part is not None:
            self._native.set_part(part)

    @classmethod
    def _of(cls, native: Any) -> Calibrator:
        made = cls.__new__(cls)
        made._native = native
        return made

    @classmethod
    def from_logits(cls, num_classes: int, *, detectors: str | Sequence[str] = ()) -> Calibrator:
        """For logits [n, K] in the place of features: detectors that need no more work (energy, gen, klm...)."""
        made = cls._of(_native.Calibrator.of_logits(num_classes, arrays.preprocess("imagenet")))
        if detectors:
            made._native.learn(arrays.names(detectors))
        return made

    @classmethod
    def from_partial(cls, partial: bytes | str | os.PathLike[str]) -> Calibrator:
        """Reads a partial: its bytes or its path (of :meth:`to_partial` or ``itp calibrate --shard``).

        It has no network: it takes features, and partials, but no images. So has a calibrator that was pickled.
        """
        if not isinstance(partial, (bytes, bytearray)):
            try:
                partial = Path(partial).read_bytes()
            except OSError as error:
                raise FileError(f"{partial!r} cannot be read: {error}") from error
        return cls._of(_native.Calibrator.of_partial(bytes(partial)))

    def update(self, features: arrays.ArrayLike, labels: arrays.ArrayLike) -> Calibrator:
        """Adds features [n, D] of training images to their true classes [n], whole numbers below K."""
        self._native.update(arrays.rows(features), arrays.classes(labels))
        return self

    def update_images(self, images: Iterable[Any], labels: Any, *, batch_size: int = 64, progress: bool = False) -> Calibrator:
        """Adds training images, as :meth:`Detector.detect` takes them, to their classes [n]."""
        labels = arrays.classes(labels)
        images = list(images) if not isinstance(images, (list, tuple, np.ndarray)) else images
        if len(labels) != len(images):
            raise OptionsError(f"{len(labels)} labels given for {len(images)} images; give one for each")
        for start in _steps(len(images), batch_size, progress):
            batch, _ = arrays.images(images[start : start + batch_size])
            self._native.update(self._native.extract(batch), labels[start : start + batch_size])
        return self

    def update_holdout(self, features: arrays.ArrayLike, places: Sequence[int] | None = None) -> Calibrator:
        """Adds features [n, D] of images that the model was not trained on: thresholds and p-values come from these.

        ``places`` are their numbers among all held-out images, where parts are merged: the result then doesn't depend
        on the parts.
        """
        self._native.update_holdout(arrays.rows(features), None if places is None else arrays.places(places, "places"))
        return self

    def update_holdout_images(self, images: Iterable[Any], *, batch_size: int = 64, progress: bool = False) -> Calibrator:
        """As :meth:`update_holdout`, with images."""
        images = list(images) if not isinstance(images, (list, tuple, np.ndarray)) else images
        for start in _steps(len(images), batch_size, progress):
            batch, _ = arrays.images(images[start : start + batch_size])
            self._native.update_holdout(self._native.extract(batch))
        return self

    def extract(self, images: Iterable[Any]) -> np.ndarray:
        """Features of images, float32 [n, D]."""
        batch, _ = arrays.images(list(images))
        return self._native.extract(batch)

    def merge(self, other: Calibrator | bytes | str | os.PathLike[str]) -> Calibrator:
        """Adds another part of the same model's images: a calibrator, or a partial. Whatever the order, the result is
        that of one run; a part that is in both raises :class:`DataError`.
        """
        other = other if isinstance(other, Calibrator) else Calibrator.from_partial(other)
        self._native.merge(other._native)
        return self

    def finish(self, holdout: arrays.ArrayLike | None = None, **options: Any) -> Stats:
        """The finished statistics; ``holdout`` adds features [n, D] of held-out images first.

        Options are ``score``, ``tpr`` and any hyperparameter (``p``, ``lambda_``, ``**{"knn.k": 200}``), the defaults
        of every detection.
        """
        if holdout is not None:
            self.update_holdout(holdout)
        return Stats(self._native.finish(arrays.options(options)))

    def to_partial(self) -> bytes:
        """All that was gathered, as a partial that any machine can merge (docs/distributed.md)."""
        return self._native.to_partial()

    def save_partial(self, path: str | os.PathLike[str]) -> None:
        """Writes the partial, in one step."""
        write(path, self.to_partial())

    @property
    def counts(self) -> np.ndarray:
        """Training images of each class so far, int64 [K]."""
        return np.asarray(self._native.counts(), dtype=np.int64)

    @property
    def num_holdout(self) -> int:
        """Held-out images so far."""
        return self._native.num_holdout()

    @property
    def num_features(self) -> int:
        """D."""
        return self._native.num_features()

    @property
    def labels(self) -> list[str]:
        """Name of each class, [K]."""
        return self._native.labels()

    @property
    def parts(self) -> list[str]:
        """Names of the parts that are in it."""
        return self._native.parts()

    @property
    def missing_parts(self) -> list[str]:
        """Parts such as ``3/8`` that are not in it, although others of as many are."""
        return self._native.missing_parts()

    def warnings(self) -> list[str]:
        """What a user should know before trusting the result, in sentences."""
        return self._native.warnings()

    def __reduce__(self) -> Any:
        return Calibrator.from_partial, (self.to_partial(),)

    def __repr__(self) -> str:
        return f"Calibrator({len(self.labels)} classes x {self.num_features} features, {int(self.counts.sum())} images, {self.num_holdout} held out)"


def _steps(total: int, step: int, progress: bool) -> Iterable[int]:
    steps = range(0, total, step)
    if not progress:
        return steps
    from tqdm.auto import tqdm

    return tqdm(steps, unit="batch")
