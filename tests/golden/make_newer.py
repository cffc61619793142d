"""Expected scores of newer detectors on last_layer.safetensors, in float64 with NumPy alone.

Formulas as in the publications and their code: GEN (Liu et al., CVPR 2023), fDBD (Liu & Qin, ICML 2024),
JointEnergy (Wang et al., NeurIPS 2021), LAPS (He et al. 2024) with its shift counted in deviations of the
means, NCI (Liu & Qin, CVPR 2025), RAS (arXiv 2604.08572), MDS++ and RMDS++ (Mueller & Hein 2025), NNGuide
(Park et al., ICCV 2023), WeiPer+KLD (Granz et al., NeurIPS 2024). Writes newer.json. Needs numpy and
safetensors.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
golden = load_file(HERE / "last_layer.safetensors")
train, test = (golden[f"{name}_features"].astype(np.float64) for name in ("train", "test"))
labels = golden["train_labels"]
weight, bias = golden["weight"].astype(np.float64), golden["bias"].astype(np.float64)

logits = test @ weight.T + bias
p = np.exp(logits - logits.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)


def gen(gamma, m):
    top = np.sort(p, axis=1)[:, ::-1][:, :m]
    return -np.sum(top**gamma * (1 - top) ** gamma, axis=1)


def fdbd():
    predicted = logits.argmax(1)
    mean = train.mean(0)
    scores = []
    for h, f, c in zip(test, logits, predicted):
        others = [k for k in range(len(f)) if k != c]
        terms = [abs(f[k] - f[c]) / np.linalg.norm(weight[k] - weight[c]) for k in others]
        scores.append(np.mean(terms) / np.linalg.norm(h - mean))
    return np.array(scores)


def joint_energy():
    return np.sum(np.log1p(np.exp(logits)), axis=1)


def energy(features):
    f = features @ weight.T + bias
    return f.max(1) + np.log(np.sum(np.exp(f - f.max(1, keepdims=True)), axis=1))


def laps(limit, shift):
    mean, std = train.mean(0), train.std(0, ddof=1)
    offset = shift * (mean.mean() - mean) / mean.std()
    upper, lower = mean + (limit + offset) * std, mean - (limit - offset) * std
    return energy(np.maximum(np.minimum(test, upper), lower))


def nci(alpha):
    centred = test - train.mean(0)
    rows = weight[logits.argmax(1)]
    return (rows * centred).sum(1) / np.linalg.norm(centred, axis=1) + alpha * np.abs(test).sum(1)


def ras():
    profile = np.sort(train, axis=1)[:, ::-1].mean(0)
    shaped = np.zeros_like(test)
    for row, h in zip(shaped, test):
        row[np.argsort(-h, kind="stable")] = profile
    return energy(shaped)


def unit(features):
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, norm, out=np.zeros_like(features), where=norm > 0)


def mahalanobis_pp(relative):
    z, z_test = unit(train), unit(test)
    means = np.stack([z[labels == k].mean(0) for k in range(len(weight))])

    def distances(centred, mean):
        covariance = centred.T @ centred / len(centred)
        covariance += 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        precision = np.linalg.inv(covariance)
        return np.einsum("nd,de,ne->n", z_test - mean, precision, z_test - mean)

    nearest = np.min([distances(z - means[labels], mean) for mean in means], axis=0)
    return (distances(z - z.mean(0), z.mean(0)) if relative else 0) - nearest


def nnguide(k):
    bank = unit(train).astype(np.float32).astype(np.float16).astype(np.float64)
    guides = unit(test) @ (bank * energy(train)[:, None]).T
    return energy(test) * np.sort(guides, axis=1)[:, -k:].mean(1)


def knn_means():
    means = unit(np.stack([train[labels == k].mean(0) for k in range(len(weight))]))
    return -np.min(np.linalg.norm(unit(test)[:, None] - means, axis=2), axis=1)


def chacha8(words):
    """The first words of the stream of ChaCha with 8 rounds, key and nonce 0."""
    blocks = -(-words // 16)
    start = np.zeros((16, blocks), np.uint32)
    start[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    start[12] = np.arange(blocks)
    state = start.copy()

    def quarter(*at):
        a, b, c, d = at
        for x, y, z, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            state[x] += state[y]
            state[z] ^= state[x]
            state[z] = state[z] << np.uint32(turn) | state[z] >> np.uint32(32 - turn)

    for _ in range(4):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            at = [4 * row + (diagonal + row) % 4 for row in range(4)]
            quarter(*at)
    return (state + start).T.reshape(-1)[:words]


def weiper(lambda1, lambda2, smoothing, smoothing_perturbed):
    k, d = weight.shape
    repeats = min(100, 1000 // k)
    words = chacha8(repeats * k * d * 12).astype(np.float64).reshape(repeats, k, d, 12)
    noise = words.sum(-1) / 2**32 - 6
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    perturbed = weight + 2.1 * np.linalg.norm(weight, axis=1)[:, None] * noise
    tilde = [np.einsum("rkd,nd->nrk", perturbed, h) + bias for h in (train, test)]

    def densities(reference, values):
        edges = np.linspace(reference.min(), reference.max() + 1e-8, 101)
        return np.stack([np.histogram(v, edges)[0] / v.size for v in values])

    def divergence(reference, values, width, epsilon):
        p = densities(reference, reference).mean(0) + epsilon
        below = (width - 1) // 2
        padded = np.pad(densities(reference, values), ((0, 0), (below, width - 1 - below)), "edge")
        q = np.stack([np.convolve(row, np.ones(width) / width, "valid") for row in padded]) + epsilon
        p, q = p / p.sum(), q / q.sum(1, keepdims=True)
        return np.sum(p * np.log(p / q) + q * np.log(q / p), axis=1)

    top = np.exp(tilde[1] - tilde[1].max(-1, keepdims=True))
    msp = (1 / top.sum(-1)).mean(1)
    flat = [f.reshape(len(f), -1) for f in tilde]
    return -(
        divergence(train, test, smoothing, 0.01)
        + lambda1 * divergence(*flat, smoothing_perturbed, 0.025)
        - lambda2 * msp
    )


expected = {
    "gen": gen(0.1, 100),
    "gen gamma 0.5, m 2": gen(0.5, 2),
    "fdbd": fdbd(),
    "joint_energy": joint_energy(),
    "laps": laps(1.5, 0.33),
    "nci": nci(0.01),
    "ras": ras(),
    "mds_pp": mahalanobis_pp(relative=False),
    "rmds_pp": mahalanobis_pp(relative=True),
    "nnguide": nnguide(10),
    "knn_means": knn_means(),
    "weiper_kld": weiper(1, 1, 20, 20),
    "weiper_kld with settings": weiper(2.5, 0.1, 4, 15),
}
text = json.dumps({name: scores.tolist() for name, scores in expected.items()})
(HERE / "newer.json").write_text(text + "\n")
