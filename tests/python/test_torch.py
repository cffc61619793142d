"""From a PyTorch module and a loader to the files for the browser."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

import itp_ood.torch  # noqa: E402
from itp_ood import Detector, ModelError, pytorch_ood  # noqa: E402

PREPROCESS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def net(dropout=0.5):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Dropout(dropout),
        torch.nn.Linear(8, 3),
    )


def pixels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


def loader(images, batch=10):
    """As torchvision's ToTensor and Normalize make it."""
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    labels = torch.arange(len(images)) % 3
    return [(x[at : at + batch], labels[at : at + batch]) for at in range(0, len(images), batch)]


def test_one_call_makes_model_and_stats_that_detect(tmp_path):
    module = net().train()
    images = pixels(60)
    made = itp_ood.torch.export(
        module, loader(images), tmp_path, holdout=loader(pixels(30, 1)), preprocess=PREPROCESS, detectors=["knn"]
    )
    assert made.difference < 1e-4 and module.training
    detector = Detector(made.model, made.stats_file)
    features = itp_ood.torch.Features(module)
    expected, logits = features.with_logits(torch.cat([x for x, _ in loader(images)]))
    assert np.allclose(detector.features(images), expected.numpy(), atol=1e-4)
    found = detector.detect(images)
    assert np.allclose([one.logits for one in found], logits.numpy(), atol=1e-4)
    assert found[0].threshold is not None and "knn" in detector.scores_available()
    # Without ONNX, the same statistics.
    alone = itp_ood.torch.calibrate(module, loader(images), preprocess=PREPROCESS).finish()
    assert np.allclose(alone.feature_mean, made.stats.feature_mean, atol=1e-6)


def test_tensors_in_and_out_of_pytorch_oods_classes():
    module = net().eval()
    encoder = itp_ood.torch.Features(module)
    made = pytorch_ood.ITP(encoder, module[-1], p=20).fit(loader(pixels(60)))
    x = loader(pixels(7, 2))[0][0]
    scores = made(x)
    assert isinstance(scores, torch.Tensor) and scores.shape == (7,)
    assert torch.equal(scores, made.predict_features(encoder(x)))
    assert torch.equal(pytorch_ood.EnergyBased(module)(x), -pytorch_ood.EnergyBased(None).score_logits(module(x)))


def test_what_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no nn.Linear"):
        itp_ood.torch.head(torch.nn.ReLU())
    twice = net()
    layer = twice[-1]
    module = torch.nn.Sequential(twice[:-1], torch.nn.Linear(8, 8))
    with pytest.raises(ModelError, match="last layer"):
        itp_ood.torch.Features(module, layer)(loader(pixels(3))[0][0])
    with pytest.raises(itp_ood.DataError):
        itp_ood.torch.export(net(), [], tmp_path, preprocess=PREPROCESS)


def test_a_module_that_computes_something_else_than_its_export_is_refused(tmp_path):
    class Batchwise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.last = net(), torch.nn.Linear(3, 3)

        def forward(self, x):
            return self.last(self.body(x) + x.shape[0])

    with pytest.raises(itp_ood.MismatchError, match="depend on the batch"):
        itp_ood.torch.export(Batchwise(), loader(pixels(30)), tmp_path, preprocess=PREPROCESS)
