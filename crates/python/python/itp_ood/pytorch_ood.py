"""Detectors with the names and habits of pytorch-ood 0.4: a script changes by its import.

    from pytorch_ood.detector import EnergyBased, KNN, ViM      # before
    from itp_ood.pytorch_ood import EnergyBased, KNN, ViM       # after

The constructors take what pytorch-ood's take, in its order: ``model`` gives logits [n, K], ``encoder`` or ``backbone``
features [n, D], ``head`` is the last layer (an ``nn.Linear``, or a pair of weight [K, D] and bias [K]). They may be None
where only ``fit_features``, ``predict_features`` and their like are called. Features are those that the last layer takes:
one vector for an image, not feature maps.

**The sign.** :meth:`predict`, :meth:`predict_features`, :meth:`predict_logits` and a call give pytorch-ood's scores: larger
is more of an *outlier*. :meth:`score`, :meth:`score_features` and :meth:`score_logits` give this package's, which larger is
more *in-distribution*: the same numbers with the other sign. Values may differ from pytorch-ood's by a factor or an offset
(log softmax instead of softmax, say), which changes neither AUROC nor FPR95.

Fitting streams: batches go into sums, and no features are kept, but for at most 5000 of KNN, NNGuide, ViM and VRA. Where
there is no head, ``Mahalanobis`` and its like must know the number of classes to do so: from ``fit(loader,
num_classes=10)``, or from the ``classes`` of ``loader.dataset``.
Classes below 0 are outliers, and left out, as in pytorch-ood. Hyperparameters beyond pytorch-ood's go by the names of
docs/detectors.md: ``ITP(encoder, head, p=20, lambda_=1.6)``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import arrays
from .calibrator import Calibrator
from .detector import Detector as _Engine
from .errors import DataError, OptionsError
from .stats import Stats

__all__ = [
    "ASH",
    "BATS",
    "CADRef",
    "CRP",
    "DICE",
    "EnergyBased",
    "FTP",
    "GEN",
    "GradNorm",
    "HELD",
    "HELDT",
    "ITP",
    "JointEnergy",
    "KLMatching",
    "KNN",
    "LAPS",
    "LINe",
    "Mahalanobis",
    "MahalanobisPP",
    "MaxLogit",
    "MaxSoftmax",
    "NCI",
    "NNGuide",
    "OPNP",
    "PostHoc",
    "RAS",
    "RMDPP",
    "ReAct",
    "RequiresFittingError",
    "SCALE",
    "VRA",
    "ViM",
    "WeiPerKLD",
    "fDBD",
]


class RequiresFittingError(DataError):
    """``predict`` was called before ``fit``."""

    def __init__(self, message: str = "call fit() or fit_features() before predict()") -> None:
        super().__init__(message)


def _without_gradient(function: Callable[[Any], Any], x: Any) -> Any:
    torch = sys.modules.get("torch")  # Where nobody has loaded it, no tensor is about: loading takes seconds.
    if torch is None:
        return function(x)
    with torch.no_grad():
        return function(x)


def _weights(head: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weight [K, D] and bias [K] of a last layer."""
    if isinstance(head, (tuple, list)) and len(head) == 2:
        weight, bias = head
    elif hasattr(head, "weight") and getattr(head.weight, "ndim", 0) == 2:
        weight, bias = head.weight, getattr(head, "bias", None)
    else:
        raise OptionsError("the head is an nn.Linear, or a pair of weight [K, D] and bias [K]; features are what it takes")
    weight = arrays.array(weight, np.float32)
    return weight, np.zeros(len(weight), np.float32) if bias is None else arrays.array(bias, np.float32)


def _like(scores: np.ndarray, x: Any) -> Any:
    """Scores as a tensor where the input was one."""
    if isinstance(x, np.ndarray) or not hasattr(x, "new_tensor"):
        return scores
    import torch

    return torch.from_numpy(scores).to(x.device)


class PostHoc:
    """Any score of this package by its name (``itp detectors`` lists them), on features [n, D] and a last layer.

    ``hyperparameters`` by the names of docs/detectors.md; a dot in them is written as it is: ``**{"knn.k": 7}``.
    """

    score_name = ""
    #: Whether ``fit`` must be called first.
    requires_fit = True

    def __init__(self, encoder: Callable[[Any], Any] | None, head: Any = None, *, score: str = "", **hyperparameters: Any) -> None:
        self.encoder = encoder
        self.score_name = score or type(self).score_name
        if not self.score_name:
            raise OptionsError("give the score's name, such as score='itp'")
        #: The last layer, where one was given.
        self._given = None if head is None else _weights(head)
        #: The one that is in use; of logits alone, their number.
        self._head: Any = self._given
        self._options = hyperparameters
        self._engine: _Engine | None = None

    # fitting

    def fit(
        self, data_loader: Iterable[Any], *, num_classes: int | None = None, device: Any = None, progress: bool = False
    ) -> PostHoc:
        """Fits to batches (x, y) of training images, which ``encoder`` makes features of. Nothing where nothing is to
        be fitted. ``progress`` shows a bar by tqdm.
        """
        if not self.requires_fit:
            return self
        classes = num_classes or len(getattr(getattr(data_loader, "dataset", None), "classes", ()))
        calibrator, waiting = None, []
        for features, labels in self._batches(data_loader, device, progress):
            if calibrator is None and (self._given is not None or self._knows(classes)):
                calibrator = self._start(features, classes)
            if calibrator is None:
                waiting.append((features, labels))
            else:
                calibrator.update(features, self._classes(labels, int(calibrator.counts.sum())))
        if calibrator is not None:
            return self._finish(calibrator)
        if not waiting:
            raise DataError("the loader has no batch; give training images")
        features, labels = (np.concatenate(parts) for parts in zip(*waiting))
        return self.fit_features(features, labels)

    def fit_features(self, z: arrays.ArrayLike, y: arrays.ArrayLike) -> PostHoc:
        """Fits to features [n, D] of training images and their classes [n]."""
        features, labels = _known(arrays.rows(z), arrays.classes(y))
        calibrator = self._start(features, int(labels.max(initial=0)) + 1)
        return self._finish(calibrator.update(features, self._classes(labels, 0)))

    def _knows(self, classes: int) -> bool:
        """Whether so much is known of the classes that features need not wait; 0 stands for nothing."""
        return classes > 0

    def _classes(self, labels: np.ndarray, before: int) -> np.ndarray:
        """Classes that the engine is told of images with these, after so many others."""
        return labels

    def _start(self, features: np.ndarray, classes: int) -> Calibrator:
        self._head = self._given if self._given is not None else self._head_for(features.shape[1], classes)
        return self._calibrator()

    def _head_for(self, columns: int, classes: int) -> Any:
        # The score reads features alone: a last layer of zeros has the right shape.
        classes = max(classes, 2)
        return np.zeros((classes, columns), np.float32), np.zeros(classes, np.float32)

    def _batches(self, loader: Iterable[Any], device: Any, progress: bool) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        if progress:
            from tqdm.auto import tqdm

            loader = tqdm(loader, desc=type(self).__name__)
        for x, y in loader:
            features = self._encode(x.to(device) if device is not None else x)
            yield _known(features, arrays.classes(y))

    def _encode(self, x: Any) -> np.ndarray:
        if self.encoder is None:
            raise OptionsError("there is no model; call the methods that take features or logits")
        return arrays.rows(_without_gradient(self.encoder, x))

    def _calibrator(self) -> Calibrator:
        return Calibrator(*self._head, detectors=[self.score_name])

    def _engine_for(self, stats: Stats) -> _Engine:
        return _Engine.from_head(*self._head, stats)

    def _finish(self, calibrator: Calibrator) -> PostHoc:
        return self._set(calibrator.finish(score=self.score_name, **self._options))

    def _set(self, stats: Stats) -> PostHoc:
        self._engine = self._engine_for(stats)
        return self

    def _ready(self, features: np.ndarray) -> _Engine:
        if self._engine is None:
            if self.requires_fit:
                raise RequiresFittingError()
            # Such scores read nothing of the training images; a file of statistics has some all the same.
            classes = self._num_classes(features)
            calibrator = self._start(features, classes)
            self._finish(calibrator.update(np.zeros((2 * classes, features.shape[1])), np.arange(2 * classes) // 2))
        assert self._engine is not None
        return self._engine

    def _num_classes(self, features: np.ndarray) -> int:
        if self._given is None:
            raise OptionsError(f"{type(self).__name__} needs the last layer; give head=")
        return len(self._given[0])

    # scores

    def score_features(self, z: arrays.ArrayLike) -> Any:
        """Scores [n] of features [n, D]; larger is more in-distribution."""
        features = arrays.rows(z)
        return _like(self._ready(features).scores(features, **self._options), z)

    def predict_features(self, z: arrays.ArrayLike) -> Any:
        """Outlier scores [n] of features [n, D]; larger is more of an outlier."""
        return -self.score_features(z)

    def score(self, x: Any) -> Any:
        """Scores [n] of inputs, which ``encoder`` makes features of; larger is more in-distribution."""
        return _like(np.asarray(self.score_features(self._encode(x))), x)

    def predict(self, x: Any) -> Any:
        """Outlier scores [n] of inputs; larger is more of an outlier."""
        return -self.score(x)

    def __call__(self, x: Any) -> Any:
        return self.predict(x)

    # the habits of others

    @property
    def stats(self) -> Stats:
        """What was fitted, as a stats file."""
        if self._engine is None:
            raise RequiresFittingError()
        return self._engine.stats

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Hyperparameters that were given, as scikit-learn's estimators have them."""
        del deep
        return dict(self._options)

    def set_params(self, **hyperparameters: Any) -> PostHoc:
        """Gives hyperparameters other values; what was fitted stays."""
        self._options.update(hyperparameters)
        return self

    get_hyperparameters = get_params
    set_hyperparameters = set_params

    def to(self, device: Any) -> PostHoc:
        """Moves the model; scores are computed on the CPU."""
        if hasattr(self.encoder, "to"):
            self.encoder = self.encoder.to(device)  # type: ignore[union-attr]
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"{type(self).__name__}({given})"


def _known(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without outliers."""
    known = labels >= 0
    return (features, labels) if known.all() else (features[known], labels[known])


class _OnLogits(PostHoc):
    """A score of the logits [n, K]."""

    requires_fit = False

    def __init__(self, model: Callable[[Any], Any] | None = None, **hyperparameters: Any) -> None:
        super().__init__(model, **hyperparameters)

    def _knows(self, classes: int) -> bool:
        return True

    def _num_classes(self, features: np.ndarray) -> int:
        return features.shape[1]

    def _head_for(self, columns: int, classes: int) -> Any:
        return columns

    def _calibrator(self) -> Calibrator:
        return Calibrator.from_logits(self._head, detectors=[self.score_name] if self.requires_fit else ())

    def _engine_for(self, stats: Stats) -> _Engine:
        return _Engine.from_logits(self._head, stats)

    @property
    def model(self) -> Any:
        """What gives logits."""
        return self.encoder

    def score_logits(self, logits: arrays.ArrayLike) -> Any:
        """Scores [n] of logits [n, K]; larger is more in-distribution."""
        return self.score_features(logits)

    def predict_logits(self, logits: arrays.ArrayLike) -> Any:
        """Outlier scores [n] of logits [n, K]; larger is more of an outlier."""
        return self.predict_features(logits)


class MaxSoftmax(_OnLogits):
    """Maximum softmax probability, as its logarithm; ``t`` is the temperature."""

    score_name = "msp"

    def __init__(self, model: Any = None, t: float = 1.0) -> None:
        super().__init__(model, temperature=float(t))


class MaxLogit(_OnLogits):
    """The largest logit."""

    score_name = "mls"


class EnergyBased(_OnLogits):
    """Energy; ``t`` is the temperature."""

    score_name = "energy"

    def __init__(self, model: Any = None, t: float | None = 1.0) -> None:
        super().__init__(model, temperature=1.0 if t is None else float(t))


class GEN(_OnLogits):
    """Generalised entropy of the ``M`` largest probabilities, all without."""

    score_name = "gen"

    def __init__(self, model: Any = None, gamma: float | None = 0.1, M: int | None = None) -> None:  # noqa: N803
        super().__init__(model, **{"gen.gamma": 0.1 if gamma is None else gamma, "gen.m": 1_000_000 if M is None else M})


class JointEnergy(_OnLogits):
    """Energies of all classes added up, for models with several labels an image."""

    score_name = "joint_energy"


class KLMatching(_OnLogits):
    """KL divergence from the mean probabilities of the nearest class."""

    score_name = "klm"
    requires_fit = True

    def fit_logits(self, logits: arrays.ArrayLike, labels: arrays.ArrayLike | None = None) -> PostHoc:
        """Fits to logits [n, K]; classes [n] only tell outliers (below 0)."""
        rows = arrays.rows(logits)
        return self.fit_features(rows, np.zeros(len(rows), np.int64) if labels is None else labels)

    def _classes(self, labels: np.ndarray, before: int) -> np.ndarray:
        # What the model predicts counts; but a file of statistics has two images of each class at least.
        return np.arange(before, before + len(labels)) % self._head


class KNN(PostHoc):
    """Distance to the k-th nearest of at most 5000 training images, of unit features; k shrinks with their share."""

    score_name = "knn"

    def __init__(self, encoder: Any, k: int = 50, normalize: bool = True) -> None:
        if not normalize:
            raise OptionsError("KNN scales features to length 1; normalize=False is not available")
        super().__init__(encoder, **{"knn.k": k})

    def _knows(self, classes: int) -> bool:
        return True

    def _head_for(self, columns: int, classes: int) -> Any:
        return super()._head_for(columns, 2)

    def _classes(self, labels: np.ndarray, before: int) -> np.ndarray:
        # Which class an image is of doesn't matter.
        return np.arange(before, before + len(labels)) % 2


class Mahalanobis(PostHoc):
    """Squared Mahalanobis distance to the nearest class."""

    score_name = "mahalanobis"

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)


class MahalanobisPP(PostHoc):
    """MDS++: the same of features scaled to length 1."""

    score_name = "mds_pp"

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)


class RMDPP(PostHoc):
    """RMDS++: relative Mahalanobis distance of features scaled to length 1."""

    score_name = "rmds_pp"

    def __init__(self, encoder: Any) -> None:
        super().__init__(encoder)


class ViM(PostHoc):
    """Virtual-logit matching. The principal subspace has the dimensions of its authors' code (1000 from 2048 features
    on, 512 from 768 on, else half); another ``d`` is not available, and a warning says so.
    """

    score_name = "vim"

    def __init__(self, encoder: Any, d: int | None, w: Any, b: Any) -> None:
        super().__init__(encoder, (w, b))
        features = arrays.array(w, np.float32).shape[1]
        ours = 1000 if features >= 2048 else 512 if features >= 768 else features // 2
        if d is not None and d != ours:
            warnings.warn(f"ViM's principal subspace has {ours} dimensions here, not {d}", stacklevel=2)


class DICE(PostHoc):
    """Energy of the weights with the largest mean contributions; ``p``, in [0, 1], of the weights are left out."""

    score_name = "dice"

    def __init__(self, encoder: Any, w: Any, b: Any, p: float) -> None:
        super().__init__(encoder, (w, b), **{"dice.p": 100.0 * p})


class ReAct(PostHoc):
    """Energy of features clipped at a percentile, in [0, 1], of all training features, or at ``threshold``."""

    score_name = "react"

    def __init__(self, backbone: Any, head: Any, threshold: float | None = None, percentile: float = 0.9) -> None:
        options = {"react.percentile": 100.0 * percentile} if threshold is None else {"react": threshold}
        super().__init__(backbone, head, **options)
        self.requires_fit = threshold is None


class VRA(PostHoc):
    """Energy of features that are zeroed below one percentile and clipped at another, multiples of 0.05 in [0, 1]."""

    score_name = "vra"

    def __init__(self, backbone: Any, head: Any, lower_percentile: float = 0.6, upper_percentile: float = 0.95) -> None:
        super().__init__(backbone, head, **{"vra.low": 100.0 * lower_percentile, "vra.high": 100.0 * upper_percentile})


class ASH(PostHoc):
    """Energy of an image's largest features; ``percentile``, in [0, 1], of them are left out."""

    requires_fit = False

    def __init__(self, variant: str, backbone: Any, head: Any, percentile: float = 0.65) -> None:
        score = variant.replace("-", "_")
        if score not in ("ash_p", "ash_b", "ash_s"):
            raise OptionsError(f"the variants are ash-p, ash-b and ash-s, not {variant}")
        super().__init__(backbone, head, score=score, **{"ash.p": 100.0 * percentile})


class SCALE(PostHoc):
    """Energy of features scaled by the share of the largest; ``percentile``, in [0, 1], are not among these."""

    score_name = "scale"
    requires_fit = False

    def __init__(self, backbone: Any, head: Any, percentile: float = 0.65) -> None:
        super().__init__(backbone, head, **{"scale.p": 100.0 * percentile})


class GradNorm(PostHoc):
    """Norm of the gradient of the last layer."""

    score_name = "gradnorm"
    requires_fit = False


class NNGuide(PostHoc):
    """Energy times the similarity to the nearest of at most 5000 training images."""

    score_name = "nnguide"

    def __init__(self, encoder: Any, head: Any, k: int = 10) -> None:
        super().__init__(encoder, head, **{"nnguide.k": k})


class NCI(PostHoc):
    """Alignment with the predicted class's weights."""

    score_name = "nci"

    def __init__(self, encoder: Any, head: Any, alpha: float = 0.0) -> None:
        super().__init__(encoder, head, **{"nci.alpha": alpha})


class fDBD(PostHoc):  # noqa: N801
    """Distance to the decision boundaries."""

    score_name = "fdbd"


def _named(name: str, score: str, summary: str) -> type[PostHoc]:
    return type(name, (PostHoc,), {"score_name": score, "__doc__": summary, "__module__": __name__})


ITP = _named("ITP", "itp", "Instance-aware test pruning: energy without the weights that CRP or FTP prunes.")
CRP = _named("CRP", "crp", "Energy without the weights that hardly ever matter for their class.")
FTP = _named("FTP", "ftp", "Energy without the weights that contribute far more than for training images.")
HELD = _named("HELD", "held", "Energy of contributions held at what training images showed.")
HELDT = _named("HELDT", "held_t", "HELD, less the features' atypicality; ``held_t.a`` weighs it.")
BATS = _named("BATS", "bats", "Energy of features held within their typical range.")
LAPS = _named("LAPS", "laps", "Energy of features held within a range that shifts with their mean.")
LINe = _named("LINe", "line", "Energy of important features and weights of the predicted class.")
OPNP = _named("OPNP", "opnp", "Energy without the weights of extreme sensitivity.")
RAS = _named("RAS", "ras", "Energy of the training images' mean profile, in an image's order.")
CADRef = _named("CADRef", "cadref", "Deviation from the class mean, decoupled by sign.")
WeiPerKLD = _named("WeiPerKLD", "weiper_kld", "Divergence of the densities of perturbed logits and features.")
