"""What users hand in, as the engine takes it: no copy where the memory fits already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .errors import FeaturesError, ImageError, OptionsError
from . import _native

#: An image: uint8 [height, width] or [height, width, 1, 3 or 4], a PIL image, a path, or a file's bytes.
ImageLike = Any
#: [n, D]: a NumPy array or anything with ``__array__`` or ``__dlpack__``, such as a tensor of PyTorch.
ArrayLike = Any


def array(values: ArrayLike, dtype: Any) -> np.ndarray:
    """A NumPy array; shares memory where type and layout fit."""
    if not isinstance(values, np.ndarray):
        if getattr(values, "requires_grad", False):
            values = values.detach()
        if hasattr(values, "is_cuda") and values.is_cuda:
            values = values.cpu()
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            values = np.from_dlpack(values)
    return np.ascontiguousarray(values, dtype=dtype)


def rows(features: ArrayLike) -> np.ndarray:
    """Features as float32 [n, D]; one row for a vector."""
    try:
        found = array(features, np.float32)
    except (TypeError, ValueError) as error:
        raise FeaturesError(f"the features are no numbers: {error}") from error
    if found.ndim == 1:
        found = found[None]
    if found.ndim != 2:
        raise FeaturesError(f"features have shape [n, D], not {list(found.shape)}; flatten or pool them first")
    return found


def classes(labels: ArrayLike) -> np.ndarray:
    """Classes as int64 [n]."""
    found = np.atleast_1d(np.asarray(labels) if isinstance(labels, (list, tuple)) else array(labels, None))
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise FeaturesError(
            f"classes are whole numbers [n], not {found.dtype} {list(found.shape)}; give the index of each one's class"
        )
    return np.ascontiguousarray(found, dtype=np.int64)


def places(values: Any, what: str) -> list[int]:
    """Whole numbers from 0 on."""
    found = classes(values).tolist()
    if any(value < 0 for value in found):
        raise OptionsError(f"{what} count from 0, and {min(found)} was given")
    return found


def names(values: str | Iterable[str]) -> list[str]:
    """Names; one alone may stand without a list."""
    return [values] if isinstance(values, str) else [str(value) for value in values]


def image(value: ImageLike) -> Any:
    """One image for the engine."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if hasattr(value, "getbands") and hasattr(value, "convert"):  # PIL, without importing it
        mode = value.mode if value.mode in ("L", "RGB", "RGBA") else "RGB"
        return np.asarray(value.convert(mode))
    found = np.asarray(value)
    if found.dtype != np.uint8:
        raise ImageError(
            f"an image's pixels are uint8, 0 to 255, [height, width, channels], not {found.dtype}; "
            "give it before any normalisation"
        )
    return found


def images(values: Any) -> tuple[list[Any], bool]:
    """Images for the engine, and whether it was one alone."""
    if isinstance(values, np.ndarray) and values.ndim == 4:
        return [image(one) for one in values], False
    single = (bytes, bytearray, str, os.PathLike, np.ndarray)
    if isinstance(values, single) or hasattr(values, "getbands") or not isinstance(values, Iterable):
        return [image(values)], True
    if hasattr(values, "__array__"):
        return images(np.asarray(values))
    return [image(one) for one in values], False


_NAMES = {"top_k": "topK", "held_lambda": "heldLambda", "held_a": "heldA"}


def options(given: Mapping[str, Any]) -> str:
    """Options of a call as JSON. ``lambda`` is a keyword in Python: it is ``lambda_`` here."""
    named = {_NAMES.get(name, name.rstrip("_")): value for name, value in given.items() if value is not None}
    for name, value in named.items():
        if isinstance(value, float) and value == float("inf"):
            named[name] = "inf"
        elif isinstance(value, (np.integer, np.floating)):
            named[name] = value.item()
    try:
        return json.dumps(named, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionsError(f"the options can't be read: {error}; they are numbers and names") from error


def preprocess(given: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    """A preprocessing as JSON: a preset's name, a ``preprocessor_config.json``, or a dict with ``mean``, ``std``..."""
    if isinstance(given, Mapping):
        return json.dumps(dict(given))
    path = os.fspath(given)
    if path.endswith(".json"):
        try:
            with open(path, encoding="utf-8") as file:
                return _native.preprocess(file.read())
        except OSError as error:
            raise OptionsError(f"{path} cannot be read: {error}") from error
    return _native.preprocess(path)
