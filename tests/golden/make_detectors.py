#!/usr/bin/env python3
"""Expected scores of the detectors that last_layer.safetensors lacks, computed another way than
the crate does: PyTorch's autograd where the crate has a closed form, scikit-learn and NumPy
elsewhere. Writes detectors.safetensors next to this file.

    python tests/golden/make_detectors.py

Needs numpy, scipy, torch, scikit-learn. The constants are those of docs/method.md for five classes,
or else SETTINGS of tests/detectors.rs.
"""

import json
import struct
from pathlib import Path

import numpy as np
import torch
from scipy.special import rel_entr
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

HERE = Path(__file__).parent


def load(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    kinds = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "u1"}
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + length + start : 8 + length + end], kinds[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def save(path, tensors):
    header, body = {}, b""
    for name, array in sorted(tensors.items()):
        raw = np.ascontiguousarray(array, "<f8").tobytes()
        header[name] = {
            "dtype": "F64",
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


data = load(HERE / "last_layer.safetensors")
info = json.loads((HERE / "last_layer.json").read_text())
train, test = data["train_features"].astype(float), data["test_features"].astype(float)
labels = data["train_labels"]
W, b = data["weight"].astype(float), data["bias"].astype(float)
K, D = W.shape
crp, ftp = data["crp_mask"].astype(float), data["ftp_mask"].astype(float)
out = {}


def logits(h, weight=W):
    return h @ weight.T + b


def lse(f):
    return torch.logsumexp(torch.tensor(f), -1).numpy()


def softmax(f):
    return torch.softmax(torch.tensor(f), -1).numpy()


# GradNorm: the gradient itself, plain and through ITP's masks (default) or of the masked weights.
def gradnorm(h, mask, leaf):
    weight = torch.tensor(W * mask if leaf else W, requires_grad=True)
    masked = weight if leaf else weight * torch.tensor(mask)
    f = masked @ torch.tensor(h) + torch.tensor(b)
    loss = -torch.log_softmax(f, -1).sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    return gradient.abs().sum().item()


ones = np.ones((K, D))
out["gradnorm"] = np.array([gradnorm(h, ones, False) for h in test])
out["gradnorm+itp"] = np.array([gradnorm(h, crp * m, False) for h, m in zip(test, ftp)])
out["gradnorm_leaf+itp"] = np.array([gradnorm(h, crp * m, True) for h, m in zip(test, ftp)])

# ODIN without noise.
for name, f in [("odin", data["logits.plain"]), ("odin+itp", data["logits.itp"])]:
    out[name] = torch.log_softmax(torch.tensor(f / 1000.0), -1).max(-1).values.numpy()

# LINe: importance of feature j is the mean over the class of h_j df_y/dh_j, from autograd.
h = torch.tensor(train, requires_grad=True)
f = h @ torch.tensor(W).T + torch.tensor(b)
(gradient,) = torch.autograd.grad(f[torch.arange(len(labels)), torch.tensor(labels)].sum(), h)
shapley = (gradient * h).detach().numpy()
importance = np.stack([shapley[labels == c].mean(0) for c in range(K)])
line = []
for h in np.minimum(test, 1.0):
    c = logits(h).argmax()
    units = importance[c] > np.percentile(importance[c], 90)
    products = np.abs(importance[c])[None, :] * W
    weights = products > np.percentile(products, 90)
    line.append(lse(logits(h * units, W * weights)))
out["line"] = np.array(line)

# OPNP: mean over the training images of |dE/dW|, from autograd image by image.
sensitivity = np.zeros((K, D))
for h in train:
    weight = torch.tensor(W, requires_grad=True)
    energy = -torch.logsumexp(weight @ torch.tensor(h) + torch.tensor(b), -1)
    sensitivity += torch.autograd.grad(energy, weight)[0].abs().numpy() / len(train)
out["opnp.sensitivity"] = sensitivity
units = sensitivity.mean(0)


def inside(values):
    return (values >= np.percentile(values, 10)) & (values <= np.percentile(values, 99))


opnp = W * (inside(sensitivity) & inside(units)[None, :])
out["opnp"] = lse(logits(test, opnp))
clip = info["react_clip_p90"]
out["opnp+react"] = lse(logits(np.minimum(test, clip), opnp))

# Shaping. Means and deviations over all training images.
mean, std = train.mean(0), train.std(0, ddof=1)
out["bats"] = lse(logits(np.clip(test, mean - 3.25 * std, mean + 3.25 * std)))
low, high = np.quantile(train, 0.6, axis=0), np.quantile(train, 0.9, axis=0)
out["vra"] = lse(logits(np.where(test < low, 0, np.minimum(test, high))))


def ash(kind, p=95):
    k = D - int(np.round(D * p / 100.0))
    result = np.zeros_like(test)
    for row, h in zip(result, test):
        kept = np.argsort(-h, kind="stable")[:k]
        before, after = h.sum(), h[kept].sum()
        row[kept] = before / k if kind == "b" else h[kept]
        if kind == "s" and after > 0:
            row *= np.exp(before / after)
    return result


for kind in "pbs":
    out[f"ash_{kind}"] = lse(logits(ash(kind)))
scaled = []
for h in test:
    after = np.sort(h)[::-1][: D - int(np.round(D * 0.85))].sum()
    scaled.append(h * np.exp(h.sum() / after) if after > 0 else h)
out["scale"] = lse(logits(np.array(scaled)))

# KNN on half-precision unit vectors, as the stats file keeps them.
def unit(h):
    norm = np.linalg.norm(h, axis=1, keepdims=True)
    return np.divide(h, norm, out=np.zeros_like(h), where=norm > 0)


bank = unit(train).astype(np.float32).astype(np.float16).astype(float)
out["knn"] = -NearestNeighbors(n_neighbors=7).fit(bank).kneighbors(unit(test))[0][:, -1]

# Mahalanobis.
means = np.stack([train[labels == c].mean(0) for c in range(K)])
precision = EmpiricalCovariance(assume_centered=True).fit(train - means[labels]).precision_
distances = [np.einsum("nd,de,ne->n", test - m, precision, test - m) for m in means]
out["mahalanobis"] = -np.min(distances, axis=0)

# ViM.
u = -np.linalg.pinv(W) @ b
covariance = EmpiricalCovariance(assume_centered=True).fit(train - u).covariance_
values, vectors = np.linalg.eigh(covariance)
residual = vectors[:, np.argsort(values)[: D - D // 2]]
alpha = logits(train).max(1).mean() / np.linalg.norm((train - u) @ residual, axis=1).mean()
out["vim.alpha"] = np.array([alpha])
out["vim"] = lse(logits(test)) - alpha * np.linalg.norm((test - u) @ residual, axis=1)

# KL matching.
p_train, p_test = softmax(logits(train)), softmax(logits(test))
predicted = p_train.argmax(1)
templates = np.stack(
    [p_train[predicted == c].mean(0) if (predicted == c).any() else np.eye(K)[c] for c in range(K)]
)
divergence = rel_entr(p_test[:, None], templates[None]).sum(2)
out["klm"] = -divergence.min(1)

# AUPR of every score, both ways.
n = info["num_id"]
truth = np.arange(len(test)) < n
for name, scores in list(out.items()):
    if scores.shape == (len(test),):
        out[f"metrics.{name}"] = np.array(
            [
                roc_auc_score(truth, scores),
                average_precision_score(truth, scores),
                average_precision_score(~truth, -scores),
            ]
        )

save(HERE / "detectors.safetensors", out)
print(f"{len(out)} tensors, {(HERE / 'detectors.safetensors').stat().st_size} bytes")
