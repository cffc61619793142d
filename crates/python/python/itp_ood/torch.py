"""From a PyTorch model and its DataLoader to ``model.onnx`` and ``model.itp.safetensors`` for the browser.

    import itp_ood.torch
    itp_ood.torch.export(model, loader, "out/", preprocess="imagenet", holdout=val_loader)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .calibrator import Calibrator
from .errors import DataError, MismatchError, ModelError
from .stats import Stats

#: How far features of the exported model may lie from the module's, in lengths of the features: float32 rounding.
TOLERANCE = 1e-3


def last_linear(module: nn.Module) -> nn.Linear:
    """The last linear layer of a classifier: the one that stands last among its modules."""
    linears = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not linears:
        raise ModelError("the module has no nn.Linear; name its last layer with layer=")
    return linears[-1]


def head(module: nn.Module, layer: nn.Linear | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Weight, float32 [K, D], and bias, [K], of the last linear layer."""
    layer = layer or last_linear(module)
    weight = layer.weight.detach().float().cpu().numpy()
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().float().cpu().numpy()
    return weight, bias


class Features:
    """A module's penultimate-layer features: a callable that gives what its last linear layer takes, [n, D].

    The module runs as it is, in evaluation mode and without gradients, on the device it is on; a hook reads the layer's
    input. A shape other than [n, D] raises :class:`ModelError`.
    """

    def __init__(self, module: nn.Module, layer: nn.Linear | None = None) -> None:
        self.module = module
        self.layer = layer or last_linear(module)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.with_logits(x)[0]

    def with_logits(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [n, D] and the module's output [n, K]."""
        seen: list[torch.Tensor] = []
        hook = self.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        try:
            with _evaluating(self.module), torch.inference_mode():
                output = self.module(x.to(_device(self.module)))
        finally:
            hook.remove()
        if len(seen) != 1 or seen[0].ndim != 2 or len(seen[0]) != len(x):
            shapes = [list(features.shape) for features in seen]
            raise ModelError(
                f"the layer {self.layer} was given {shapes} for {len(x)} images; name the classifier's last layer "
                "with layer=, one that takes [n, D] once"
            )
        return seen[0].float(), output


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was)


def _device(module: nn.Module) -> torch.device:
    first = next(module.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def calibrate(
    module: nn.Module,
    loader: Iterable[Any],
    *,
    holdout: Iterable[Any] | None = None,
    layer: nn.Linear | None = None,
    preprocess: Any = "imagenet",
    labels: Sequence[str] | None = None,
    detectors: str | Sequence[str] = (),
    progress: bool = False,
) -> Calibrator:
    """A calibrator with the features of a loader's batches (x, y), and of ``holdout``'s (x, ...): images that the module
    was not trained on. Augmentations of training change the statistics: give a loader without.
    """
    features = Features(module, layer)
    calibrator = Calibrator(*head(module, features.layer), preprocess=preprocess, labels=labels, detectors=detectors)
    for batch in _watched(loader, "training images", progress):
        calibrator.update(features(batch[0]), batch[1])
    for batch in _watched(holdout or (), "held-out images", progress):
        calibrator.update_holdout(features(batch[0] if isinstance(batch, (tuple, list)) else batch))
    return calibrator


def _watched(loader: Iterable[Any], name: str, progress: bool) -> Iterable[Any]:
    if not progress:
        return loader
    from tqdm.auto import tqdm

    return tqdm(loader, desc=name)


@dataclass(frozen=True)
class Exported:
    """What :func:`export` wrote."""

    model: Path
    stats_file: Path
    stats: Stats
    #: The largest distance of features between the module and the exported model, in lengths of the features.
    difference: float


def export(
    module: nn.Module,
    loader: Iterable[Any],
    folder: str | os.PathLike[str],
    *,
    holdout: Iterable[Any] | None = None,
    layer: nn.Linear | None = None,
    preprocess: Any,
    labels: Sequence[str] | None = None,
    detectors: str | Sequence[str] = (),
    name: str = "model",
    opset: int = 17,
    progress: bool = False,
    **options: Any,
) -> Exported:
    """Writes ``model.onnx`` and ``model.itp.safetensors`` for a module, from batches (x, y) of training images.

    ``preprocess`` is what the loader does to an image, for those who detect later: a preset's name or a dict. The
    exported model is run on the first batch's input and must give the module's features, or :class:`MismatchError` is
    raised. ``options`` are those of :meth:`Calibrator.finish` (``score``, ``p``, ``lambda_``, ...).
    """
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise DataError("the loader has no batch; give training images")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    onnx = folder / f"{name}.onnx"
    onnx_of(module, first[0][:1], onnx, opset=opset)

    features = Features(module, layer)
    gathered = Calibrator(str(onnx), preprocess, labels=labels, detectors=detectors)
    difference = _difference(features, gathered, first[0][:8])

    def all_batches() -> Iterator[Any]:
        yield first
        yield from batches

    for batch in _watched(all_batches(), "training images", progress):
        gathered.update(features(batch[0]), batch[1])
    for batch in _watched(holdout or (), "held-out images", progress):
        gathered.update_holdout(features(batch[0] if isinstance(batch, (tuple, list)) else batch))
    stats = gathered.finish(**options)
    stats_file = folder / f"{name}.itp.safetensors"
    stats.save(stats_file)
    return Exported(onnx, stats_file, stats, difference)


def onnx_of(module: nn.Module, example: torch.Tensor, path: str | os.PathLike[str], *, opset: int = 17) -> None:
    """Exports a module to ONNX, for one input [1, C, H, W]."""
    with _evaluating(module):
        torch.onnx.export(
            module,
            (example.to(_device(module)),),
            os.fspath(path),
            input_names=["input"],
            output_names=["logits"],
            opset_version=opset,
            dynamo=False,
        )


def _difference(features: Features, gathered: Calibrator, x: torch.Tensor) -> float:
    """How far the exported model's features lie from the module's."""
    ours = features(x).cpu().numpy()
    weight = head(features.module, features.layer)[0]
    found = gathered._native.weight()
    if found.shape != weight.shape or np.abs(found - weight).max() > TOLERANCE * np.abs(weight).max():
        raise MismatchError(
            f"the exported model's last layer is {list(found.shape)}, the module's {list(weight.shape)}, or has other "
            "weights; name the last layer with layer="
        )
    theirs = gathered._native.run(np.ascontiguousarray(x.float().cpu().numpy()))
    lengths = np.maximum(np.linalg.norm(ours, axis=1), 1e-12)
    difference = float((np.linalg.norm(theirs - ours, axis=1) / lengths).max())
    if not difference <= TOLERANCE:
        raise MismatchError(
            f"the exported model's features differ from the module's by {difference:.2g} of their length; does the "
            "module compute something else in evaluation mode, or depend on the batch?"
        )
    return difference
