"""Images in; class, score, verdict and explanation out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np

from . import _native, arrays
from .errors import OptionsError
from .stats import Stats
from .wire import Detection, Explanation, Info, TuneReport


class Detector:
    """A classifier with the statistics of its training images.

    >>> detector = Detector("model.onnx", "model.itp.safetensors")  # doctest: +SKIP
    >>> detector.detect("photo.jpg").in_distribution  # doctest: +SKIP
    True

    ``model`` is the path of an ONNX file, ``stats`` that of its stats file, or a :class:`Stats`. ``output`` names the
    output to use where the model has several classifiers.

    Options of a call are those of the stats file but for what is given: ``score`` (such as ``"itp"``, ``"energy"``,
    ``"knn"``; :meth:`scores_available`), ``threshold``, ``tpr`` (in (0, 1)), ``top_k``, and any hyperparameter:
    ``p``, ``lambda_``, or ``**{"knn.k": 200}``.
    """

    def __init__(
        self, model: str | os.PathLike[str], stats: Stats | str | os.PathLike[str] | bytes, *, output: str | None = None
    ) -> None:
        stats = stats if isinstance(stats, Stats) else Stats(stats)
        self._source: tuple[Any, ...] = (os.fspath(model), output)
        self._native = _native.Detector(os.fspath(model), stats.to_bytes(), output)

    @classmethod
    def from_head(cls, weight: Any, bias: Any, stats: Stats) -> Detector:
        """A detector for features alone, from the last layer: ``weight`` [K, D], ``bias`` [K]."""
        made = cls.__new__(cls)
        made._source = (arrays.array(weight, np.float32), arrays.array(bias, np.float32))
        made._native = _native.Detector.of_head(*made._source, stats.to_bytes())
        return made

    @classmethod
    def from_logits(cls, num_classes: int, stats: Stats) -> Detector:
        """A detector for logits [n, K] alone, given in the place of features; ``stats`` are those of
        :meth:`Calibrator.from_logits`.
        """
        made = cls.__new__(cls)
        made._source = (None, num_classes)
        made._native = _native.Detector.of_logits(num_classes, stats.to_bytes())
        return made

    @overload
    def detect(self, images: Sequence[arrays.ImageLike], **options: Any) -> list[Detection]: ...
    @overload
    def detect(self, images: arrays.ImageLike, **options: Any) -> Detection: ...
    def detect(self, images: Any, **options: Any) -> Any:
        """Class, score and verdict of an image, or of each of several.

        An image is a uint8 array [height, width] or [height, width, 1, 3 or 4], a PIL image, a path, or the bytes of
        a file; several are a list of them or a uint8 array [n, height, width, channels]. Paths and bytes are decoded
        as the command line does.
        """
        several, alone = arrays.images(images)
        found = self.detect_features(self._native.extract(several), **options)
        return found[0] if alone else found

    def detect_features(self, features: arrays.ArrayLike, **options: Any) -> list[Detection]:
        """As :meth:`detect`, from features [n, D]; the network does not run."""
        rows = arrays.rows(features)
        texts = self._native.detect(rows, arrays.options(options))
        return [_detection(text, row) for text, row in zip(texts, rows)]

    def features(self, images: Any) -> np.ndarray:
        """Penultimate-layer features of images, float32 [n, D]; of one alone, [D]."""
        several, alone = arrays.images(images)
        found = self._native.extract(several)
        return found[0] if alone else found

    def scores(self, features: arrays.ArrayLike, **options: Any) -> np.ndarray:
        """The score of each row of features [n, D]: float64 [n], higher is more in-distribution."""
        return self._native.scores(arrays.rows(features), arrays.options(options))

    def id_scores(self, **options: Any) -> np.ndarray | None:
        """Sorted scores of held-out in-distribution images, float32 [n], that threshold and p-value rest on."""
        return self._native.id_scores(arrays.options(options))

    def rescore(self, detection: Detection | arrays.ArrayLike, **options: Any) -> Detection:
        """Decides again with other options, from a detection's features; the network does not run."""
        return self.detect_features(_features(detection), **options)[0]

    def explain(self, detection: Detection | arrays.ArrayLike, class_index: int | None = None, **options: Any) -> Explanation:
        """Every weight of a class, and why it was pruned; of the predicted class unless ``class_index`` says another."""
        features = arrays.rows(_features(detection))[0]
        if class_index is None:
            class_index = self.detect_features(features, **options)[0].class_index
        (index,) = arrays.places([class_index], "classes")
        return Explanation.from_json(self._native.explain(features, index, arrays.options(options)))

    def tune(self, images: Iterable[arrays.ImageLike], labels: Any = None, **options: Any) -> tuple[Detector, TuneReport]:
        """Chooses hyperparameters from in-distribution images that the model was not trained on, 500 or more of at
        least two classes; ``labels`` are their classes, [n], the predicted ones without.

        Options: ``rule`` (``"r1"`` or ``"rStar"``), ``seed``, ``per_kind``, ``detector`` (``"keep"``, ``"auto"``,
        ``"ensemble"``). Gives the tuned detector and the report.
        """
        several, _ = arrays.images(list(images))
        classes = [None] * len(several) if labels is None else arrays.places(labels, "classes")
        if len(classes) != len(several):
            raise OptionsError(f"{len(classes)} labels given for {len(several)} images; give one for each, or none")
        if "per_kind" in options:
            options["perKind"] = options.pop("per_kind")
        stats, report, markdown = self._native.tune(several, classes, arrays.options(options))
        return self.with_stats(Stats(stats)), TuneReport(_json(report), markdown)

    def with_stats(self, stats: Stats) -> Detector:
        """The same model with other statistics."""
        made = type(self).__new__(type(self))
        made._source = self._source
        made._native = self._native.with_stats(stats.to_bytes())
        return made

    @property
    def info(self) -> Info:
        """What is known of the model and its stats file."""
        return Info.from_json(self._native.info())

    @property
    def stats(self) -> Stats:
        """The statistics."""
        return Stats(self._native.stats())

    def scores_available(self) -> list[str]:
        """Names of the scores that the statistics suffice for."""
        return self._native.scores_available()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the stats file."""
        self.stats.save(path)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings of every detection, as scikit-learn's estimators have them."""
        del deep
        return self.stats.settings

    def __reduce__(self) -> Any:
        return _restore, (type(self), self._source, self.stats)

    def __repr__(self) -> str:
        first = self._source[0]
        source = repr(first) if isinstance(first, str) else "logits" if first is None else "last layer"
        settings = self.get_params()
        return (
            f"{type(self).__name__}({source}, {self._native.num_classes()} classes x {self._native.num_features()} features, "
            f"score={settings['score']!r}, p={settings['p']}, lambda_={settings['lambda']})"
        )


def _restore(cls: type[Detector], source: tuple[Any, ...], stats: Stats) -> Detector:
    if isinstance(source[0], str):
        return cls(source[0], stats, output=source[1])
    if source[0] is None:
        return cls.from_logits(source[1], stats)
    return cls.from_head(*source, stats)


def _json(text: str) -> Any:
    import json

    return json.loads(text)


def _detection(text: str, features: np.ndarray) -> Detection:
    return Detection(_json(text), features)


def _features(detection: Any) -> Any:
    return detection.features if isinstance(detection, Detection) else detection
