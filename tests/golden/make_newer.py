"""Expected scores of newer detectors on last_layer.safetensors, in float64 with NumPy alone.

Formulas as in the publications: GEN (Liu et al., CVPR 2023), fDBD (Liu & Qin, ICML 2024), JointEnergy
(Wang et al., NeurIPS 2021). Writes newer.json. Needs numpy and safetensors.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).parent
golden = load_file(HERE / "last_layer.safetensors")
train, test = (golden[f"{name}_features"].astype(np.float64) for name in ("train", "test"))
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


expected = {"gen": gen(0.1, 100), "gen gamma 0.5, m 2": gen(0.5, 2), "fdbd": fdbd(),
            "joint_energy": joint_energy()}
text = json.dumps({name: scores.tolist() for name, scores in expected.items()})
(HERE / "newer.json").write_text(text + "\n")
