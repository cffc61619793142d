"""Results, under the names that the command line's ``--json`` and the JavaScript package have, in Python's spelling:
``classIndex`` is :attr:`Detection.class_index`. ``to_dict()`` gives the wire form itself.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


class Record:
    """An object of the wire form. Attributes are read-only; arrays of numbers are NumPy's."""

    _arrays: frozenset[str] = frozenset()

    def __init__(self, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "_fields", fields)
        for name, value in fields.items():
            value = _number(value)
            if name in self._arrays:
                value = np.asarray(value, dtype=np.float64)
            object.__setattr__(self, _snake(name), value)

    @classmethod
    def from_json(cls, text: str) -> Any:
        """Reads the wire form."""
        return cls(json.loads(text))

    def to_dict(self) -> dict[str, Any]:
        """The wire form, as ``--json`` prints it."""
        return dict(self._fields)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"results can't be changed ({name})")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._fields == self._fields

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return type(self), (self._fields,)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{_snake(name)}={value!r}"
            for name, value in self._fields.items()
            if not isinstance(value, (list, dict))
        )
        return f"{type(self).__name__}({shown})"


def _number(value: Any) -> Any:
    """JSON has no infinity; the wire form writes it as text."""
    return float("inf") if value == "inf" else value


class Detection(Record):
    """Class, score and verdict of one image.

    ``label``, ``class_index``: the predicted class. ``score``, ``score_name``: higher is more in-distribution.
    ``in_distribution``: ``score >= threshold``; None without a threshold. ``p_value``: the share of in-distribution
    images that score no higher, in (0, 1]. ``logits`` and ``pruned_logits``: float64 [K]. ``top_k``: dicts with
    ``label``, ``classIndex``, ``probability``. ``settings``: what decided. ``features``: float32 [D], what
    :meth:`Detector.rescore` and :meth:`Detector.explain` take.
    """

    _arrays = frozenset({"logits", "prunedLogits"})

    label: str
    class_index: int
    score: float
    score_name: str
    unpruned_score: float
    threshold: float | None
    in_distribution: bool | None
    p_value: float | None
    top_k: list[dict[str, Any]]
    energies: dict[str, float] | None
    counts: dict[str, int] | None
    settings: dict[str, Any]
    logits: np.ndarray
    pruned_logits: np.ndarray
    features: np.ndarray

    def __init__(self, fields: dict[str, Any], features: np.ndarray | None = None) -> None:
        super().__init__(fields)
        object.__setattr__(self, "features", features)

    def __reduce__(self) -> Any:
        return type(self), (self._fields, self.features)


class Explanation(Record):
    """Every weight of one class, and why it was pruned (docs/method.md)."""


class Info(Record):
    """What is known of a model and its stats file: ``classes``, ``features``, ``labels``, ``scores``, ``detectors``..."""


class TuneReport(Record):
    """What tuning tried and picked; :attr:`markdown` is the same for people."""

    markdown: str = ""

    def __init__(self, fields: dict[str, Any], markdown: str = "") -> None:
        super().__init__(fields)
        object.__setattr__(self, "markdown", markdown)

    def __reduce__(self) -> Any:
        return type(self), (self._fields, self.markdown)
