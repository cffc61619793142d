"""Detectors with pytorch-ood's habits: its sign, its constructors, and the values of this package's own scores."""

import pickle

import numpy as np
import pytest

import itp_ood
from conftest import ROOT
from itp_ood import Calibrator, Detector, pytorch_ood
from itp_ood.pytorch_ood import *  # noqa: F403
from safetensors_of import read

GOLDEN = read(ROOT / "tests/golden/last_layer.safetensors")
WEIGHT, BIAS = GOLDEN["weight"], GOLDEN["bias"]
TRAIN, LABELS, TEST = GOLDEN["train_features"], GOLDEN["train_labels"], GOLDEN["test_features"]
HEAD = (WEIGHT, BIAS)
LOGITS = (TEST.astype(np.float64) @ WEIGHT.T.astype(np.float64) + BIAS).astype(np.float32)


def ours(score, **options):
    calibrator = Calibrator(WEIGHT, BIAS, detectors=[score]).update(TRAIN, LABELS)
    return Detector.from_head(WEIGHT, BIAS, calibrator.finish()).scores(TEST, score=score, **options)


@pytest.mark.parametrize(
    ("detector", "score", "options"),
    [
        (lambda: KNN(None, k=7), "knn", {"knn.k": 7}),
        (lambda: Mahalanobis(None), "mahalanobis", {}),
        (lambda: MahalanobisPP(None), "mds_pp", {}),
        (lambda: RMDPP(None), "rmds_pp", {}),
        (lambda: ViM(None, 12, WEIGHT, BIAS), "vim", {}),
        (lambda: DICE(None, WEIGHT, BIAS, 0.7), "dice", {"dice.p": 70}),
        (lambda: ReAct(None, HEAD, percentile=0.9), "react", {"react.percentile": 90}),
        (lambda: ReAct(None, HEAD, threshold=0.5), "react", {"react": 0.5}),
        (lambda: VRA(None, HEAD, 0.05, 0.9), "vra", {"vra.low": 5, "vra.high": 90}),
        (lambda: ASH("ash-s", None, HEAD, 0.65), "ash_s", {"ash.p": 65}),
        (lambda: SCALE(None, HEAD, 0.85), "scale", {"scale.p": 85}),
        (lambda: NNGuide(None, HEAD, 10), "nnguide", {"nnguide.k": 10}),
        (lambda: NCI(None, HEAD, 0.001), "nci", {"nci.alpha": 0.001}),
        (lambda: fDBD(None, HEAD), "fdbd", {}),
        (lambda: GradNorm(None, HEAD), "gradnorm", {}),
        (lambda: ITP(None, HEAD, p=20, lambda_=1.6), "itp", {"p": 20, "lambda_": 1.6}),
        (lambda: HELD(None, HEAD), "held", {}),
        (lambda: PostHoc(None, HEAD, score="itp+react"), "itp+react", {}),
    ],
)
def test_scores_are_the_packages_with_pytorch_oods_sign(detector, score, options):
    made = detector()
    if made.requires_fit:
        with pytest.raises(RequiresFittingError):
            made.predict_features(TEST)
        assert made.fit_features(TRAIN, LABELS) is made
    expected = ours(score, **options)
    assert np.allclose(made.score_features(TEST), expected, rtol=1e-9, atol=1e-9)
    assert np.array_equal(made.predict_features(TEST), -made.score_features(TEST))


def test_scores_of_logits_need_no_last_layer():
    shifted = LOGITS.astype(np.float64)
    energy = np.log(np.exp(shifted / 2).sum(axis=1)) * 2
    assert np.allclose(EnergyBased(None, t=2.0).predict_logits(LOGITS), -energy, rtol=1e-6)
    softmax = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    assert np.allclose(np.exp(MaxSoftmax().score_logits(LOGITS)), softmax.max(axis=1), rtol=1e-6)
    assert np.allclose(MaxLogit().score_logits(LOGITS), LOGITS.max(axis=1))
    gen = -(softmax**0.1 * (1 - softmax) ** 0.1).sum(axis=1)
    assert np.allclose(GEN().score_logits(LOGITS), gen, rtol=1e-6)
    train = (TRAIN @ WEIGHT.T + BIAS).astype(np.float32)
    fitted = KLMatching().fit_logits(train, LABELS)
    assert np.isfinite(fitted.predict_logits(LOGITS)).all()
    with pytest.raises(RequiresFittingError):
        KLMatching().predict_logits(LOGITS)


def test_loaders_stream_and_outliers_are_left_out():
    encoder = lambda x: x.reshape(len(x), -1)  # noqa: E731
    loader = [(TRAIN[at : at + 50].reshape(-1, 4, 6), LABELS[at : at + 50]) for at in range(0, len(TRAIN), 50)]
    loader.append((np.full((9, 4, 6), 99, np.float32), np.full(9, -1)))
    for made in (ITP(encoder, HEAD), KNN(encoder, k=7)):
        streamed = made.fit(loader).predict(TEST.reshape(-1, 4, 6))
        direct = type(made)(None, *([HEAD] if isinstance(made, ITP) else []), **({"k": 7} if isinstance(made, KNN) else {}))
        assert np.allclose(streamed, direct.fit_features(TRAIN, LABELS).predict_features(TEST), rtol=1e-6)
        assert np.array_equal(streamed, made(TEST.reshape(-1, 4, 6)))


@pytest.mark.parametrize("num_classes", [None, 5])
def test_without_a_head_a_loader_gives_what_its_features_give(num_classes):
    loader = [(TRAIN[at : at + 7], LABELS[at : at + 7]) for at in range(0, len(TRAIN), 7)]
    for kind in (Mahalanobis, MahalanobisPP, KNN):
        streamed = kind(lambda x: x).fit(loader, num_classes=num_classes).predict(TEST)
        assert np.allclose(streamed, kind(None).fit_features(TRAIN, LABELS).predict_features(TEST), rtol=1e-6)
    logits = [(x @ WEIGHT.T + BIAS, y) for x, y in loader]
    streamed = KLMatching(lambda x: x).fit(logits)
    direct = KLMatching(None).fit_logits(np.concatenate([x for x, _ in logits]))
    assert np.allclose(streamed.predict_logits(LOGITS), direct.predict_logits(LOGITS), rtol=1e-6)
    with pytest.raises(itp_ood.DataError, match="no batch"):
        Mahalanobis(lambda x: x).fit([])


def test_logits_alone_have_a_detector_of_their_own():
    calibrator = Calibrator.from_logits(5, detectors="klm").update(TRAIN @ WEIGHT.T + BIAS, LABELS)
    detector = pickle.loads(pickle.dumps(Detector.from_logits(5, calibrator.finish())))
    assert "logits" in repr(detector) and "klm" in detector.scores_available()
    with_head = Detector.from_head(WEIGHT, BIAS, Calibrator(WEIGHT, BIAS).update(TRAIN, LABELS).finish())
    assert np.allclose(detector.scores(LOGITS, score="energy"), with_head.scores(TEST, score="energy"), rtol=1e-5)


def test_what_is_not_available_says_so():
    for call in (
        lambda: KNN(None, normalize=False),
        lambda: ASH("ash-x", None, HEAD),
        lambda: PostHoc(None, HEAD),
        lambda: ITP(None, "no head"),
        lambda: ITP(None, HEAD, nonsense=3).fit_features(TRAIN, LABELS),
        lambda: ITP(None, HEAD).fit([(TRAIN, LABELS)]),
    ):
        with pytest.raises(itp_ood.OptionsError):
            call()
    again = pickle.loads(pickle.dumps(RequiresFittingError()))
    assert isinstance(again, RequiresFittingError) and "fit()" in again.message
    with pytest.raises(itp_ood.OptionsError, match="last layer"):
        pytorch_ood.SCALE(None, None).predict_features(TEST)
    with pytest.warns(UserWarning, match="12 dimensions"):
        ViM(None, 3, WEIGHT, BIAS)


def test_parameters_and_names():
    made = ITP(None, HEAD, p=20).fit_features(TRAIN, LABELS)
    before = made.predict_features(TEST)
    assert made.get_params() == {"p": 20} and "ITP(p=20)" == repr(made)
    assert not np.array_equal(made.set_params(p=80).predict_features(TEST), before)
    assert made.stats.labels == [f"class {k}" for k in range(5)]
    assert all(getattr(pytorch_ood, name).__doc__ for name in pytorch_ood.__all__)
