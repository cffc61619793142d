"""The stats file, in memory."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .errors import FileError, StatsError


class Stats:
    """What a detector knows of the images that its model was trained on: the contents of a ``.itp.safetensors``."""

    def __init__(self, source: bytes | str | os.PathLike[str]) -> None:
        if isinstance(source, (bytes, bytearray)):
            self._bytes = bytes(source)
        else:
            try:
                self._bytes = Path(source).read_bytes()
            except OSError as error:
                raise FileError(f"{os.fspath(source)} cannot be read: {error}") from error
        try:
            length = struct.unpack_from("<Q", self._bytes)[0]
            self._header: dict[str, Any] = json.loads(self._bytes[8 : 8 + length])
            self._data = memoryview(self._bytes)[8 + length :]
            self._metadata: dict[str, str] = self._header["__metadata__"]
        except (struct.error, ValueError, KeyError, TypeError) as error:
            raise StatsError("this is not a readable .itp.safetensors file; make one with `itp calibrate`") from error

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return self._bytes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, in one step."""
        write(path, self._bytes)

    def tensor(self, name: str) -> np.ndarray:
        """A tensor by its name (docs/stats-format.md), such as ``knn.bank.f16``."""
        entry = self._header.get(name)
        if entry is None:
            raise StatsError(f"the stats file has no tensor {name}; it has {', '.join(self.tensors)}")
        kinds = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
        try:
            start, end = entry["data_offsets"]
            values = np.frombuffer(self._data[start:end], dtype=kinds[entry["dtype"]])
            return values.reshape(entry["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise StatsError(f"tensor {name} is damaged: {error}; make the file again") from error

    @property
    def tensors(self) -> list[str]:
        """Names of all tensors."""
        return sorted(name for name in self._header if name != "__metadata__")

    @property
    def feature_mean(self) -> np.ndarray:
        """Class-conditional mean of the features, float32 [K, D]."""
        return self.tensor("feature_mean")

    @property
    def feature_std(self) -> np.ndarray:
        """Class-conditional standard deviation of the features (ddof 1), float32 [K, D]."""
        return self.tensor("feature_std")

    @property
    def counts(self) -> np.ndarray:
        """Number of training images of each class, int64 [K]."""
        return self.tensor("count")

    @property
    def labels(self) -> list[str]:
        """Name of each class, [K]."""
        return json.loads(self._metadata["labels"])

    @property
    def settings(self) -> dict[str, Any]:
        """Score, true-positive rate and hyperparameters of every detection."""
        return json.loads(self._metadata["settings"])

    @property
    def preprocess(self) -> dict[str, Any]:
        """How an image becomes the model's input."""
        return json.loads(self._metadata["preprocess"])

    @property
    def model_sha256(self) -> str:
        """Hash of the ONNX file; empty for statistics that no model was given for."""
        return self._metadata.get("model_sha256", "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stats) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __reduce__(self) -> Any:
        return Stats, (self._bytes,)

    def __repr__(self) -> str:
        classes, features = self.feature_mean.shape
        return f"Stats({classes} classes x {features} features, {int(self.counts.sum())} images)"


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file in one step: it is complete or not there."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error}") from error
