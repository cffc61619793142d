"""Out-of-distribution detection for image classifiers: whether an image belongs to what a model was trained on.

>>> from itp_ood import Detector  # doctest: +SKIP
>>> detector = Detector("model.onnx", "model.itp.safetensors")  # doctest: +SKIP
>>> result = detector.detect("photo.jpg")  # doctest: +SKIP
>>> result.label, result.in_distribution, result.score, result.threshold  # doctest: +SKIP

:class:`Detector` rates images, :class:`Calibrator` makes the stats file. :mod:`itp_ood.pytorch_ood` has a class for
each detector with the habits of pytorch-ood, :mod:`itp_ood.torch` goes from a PyTorch model and a DataLoader to the
files for the browser, :mod:`itp_ood.ray` calibrates on many machines.
"""

from ._native import __version__, hold_back as _hold_back
from .calibrator import Calibrator
from .detector import Detector
from .errors import (
    AbortedError,
    DataError,
    FeaturesError,
    FileError,
    ImageError,
    MismatchError,
    ModelError,
    OodError,
    OptionsError,
    StatsError,
)
from .stats import Stats
from .wire import Detection, Explanation, Info, TuneReport

__all__ = [
    "AbortedError",
    "Calibrator",
    "DataError",
    "Detection",
    "Detector",
    "Explanation",
    "FeaturesError",
    "FileError",
    "ImageError",
    "Info",
    "MismatchError",
    "ModelError",
    "OodError",
    "OptionsError",
    "Stats",
    "StatsError",
    "TuneReport",
    "__version__",
    "hold_back",
]


def hold_back(labels, seed: int = 0):  # type: ignore[no-untyped-def]
    """Which training images to hold back where there are no others, bool [n], given the class of each, [n]: a tenth of
    every class, as ``itp calibrate`` does without ``--holdout``.
    """
    from .arrays import classes

    return _hold_back(classes(labels), seed)
