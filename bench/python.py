"""Fit and predict against pytorch-ood 0.4, or plain NumPy where it has no such detector, on the same features.

    python bench/python.py [--rows 50000] [--features 2048] [--classes 1000] [--threads 2] [--rounds 3] [--only knn,vim]

`fit(loader)` streams batches of 256 from a file, `predict` is given batches of 100, both through the classes' own methods.
Each case runs in a process of its own, the two libraries in turn; medians of the rounds. "cpu" is user and system time, "MB"
the peak of the process's memory beyond what it had before the fit. Needs the wheel, and `pip install pytorch-ood==0.4.0
scikit-learn torch`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

#: Class, and what it is given. Those that pytorch-ood hasn't are compared with NumPy.
CASES = {
    "energy": ("EnergyBased", "logits"),
    "gen": ("GEN", "logits"),
    "klm": ("KLMatching", "logits"),
    "knn": ("KNN", "features"),
    "mahalanobis": ("Mahalanobis", "features"),
    "vim": ("ViM", "features"),
    "dice": ("DICE", "features"),
    "fdbd": ("fDBD", "features"),
    "nci": ("NCI", "features"),
    "itp": ("ITP", "features"),
}
BATCH, PREDICT = 256, 100


def write_data(args, folder):
    """Made-up features like a ReLU's, of classes that lie apart; the last layer is that of the class means."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((args.classes, args.features), dtype=np.float32)
    weight = means / np.float32(args.features**0.5)
    np.save(folder / "weight.npy", weight)
    with (folder / "features").open("wb") as features, (folder / "logits").open("wb") as logits:
        for at in range(0, args.rows, 1000):
            labels = np.arange(at, min(at + 1000, args.rows)) % args.classes
            part = rng.standard_normal((len(labels), args.features), dtype=np.float32)
            part = np.maximum(part + means[labels], 0)
            part.tofile(features)
            (part @ weight.T).tofile(logits)


class Loader:
    """Batches (x, y) from a file. Its classes are known, as those of torchvision's data sets."""

    def __init__(self, path, columns, args):
        self.path, self.columns, self.args = path, columns, args
        self.tensors, self.dataset = args.library != "itp_ood", self
        self.classes = [str(k) for k in range(args.classes)]

    def batches(self, size, rows):
        with open(self.path, "rb") as file:
            for at in range(0, rows, size):
                n = min(size, rows - at)
                x = np.fromfile(file, np.float32, n * self.columns).reshape(n, self.columns)
                y = np.arange(at, at + n) % self.args.classes
                yield tuple(map(as_tensor, (x, y))) if self.tensors else (x, y)

    def __iter__(self):
        return self.batches(BATCH, self.args.rows)


def as_tensor(values):
    import torch

    return torch.from_numpy(values)


class NumpyItp:
    """The method as its paper has it: moments of the classes, and a mask for each image."""

    requires_fit = True

    def __init__(self, weight, p=10, scale=2.2):
        self.weight, self.p, self.scale = weight, p, scale

    def fit(self, loader):
        x, y = (np.concatenate(parts) for parts in zip(*((x.numpy(), y.numpy()) for x, y in loader)))
        of_class = [x[y == k] for k in range(len(self.weight))]
        mean = self.weight * np.stack([rows.mean(0) for rows in of_class])
        deviation = np.abs(self.weight) * np.stack([rows.std(0, ddof=1) for rows in of_class])
        self.coarse = np.where(mean > np.percentile(mean, self.p), self.weight, 0)
        self.limit = mean + self.scale * deviation

    def predict(self, x):
        found = []
        for row in x.numpy():
            contributions = self.coarse * row
            logits = np.where(contributions > self.limit, 0, contributions).sum(1)
            found.append(-np.logaddexp.reduce(logits))
        return np.array(found)


def detector(args, weight):
    """One detector of one library."""
    kind, _ = CASES[args.name]
    if args.library == "numpy":
        return NumpyItp(weight)
    bias = np.zeros(len(weight), np.float32)
    head = (weight, bias)
    if args.library == "itp_ood":
        import itp_ood.pytorch_ood as module
    else:
        import pytorch_ood.detector as module
        import torch

        torch.set_num_threads(args.threads)
        weight, bias = torch.from_numpy(weight), torch.from_numpy(bias)
        head = torch.nn.Linear(*reversed(weight.shape))
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)
    dimensions = 1000 if weight.shape[1] >= 2048 else weight.shape[1] // 2
    arguments = {
        "knn": {"k": 50},
        "vim": {"d": dimensions, "w": weight, "b": bias},
        "dice": {"w": weight, "b": bias, "p": 0.7},
        "fdbd": {"head": head},
        "nci": {"head": head},
        "itp": {"head": head, "p": 10, "lambda_": 2.2},
    }
    return getattr(module, kind)(lambda x: x, **arguments.get(args.name, {}))


def case(args):
    """Times one case; prints a line of JSON."""
    folder = Path(args.folder)
    weight = np.load(folder / "weight.npy")
    reads = CASES[args.name][1]
    loader = Loader(folder / reads, args.features if reads == "features" else args.classes, args)
    made = detector(args, weight)
    for batch, _ in loader.batches(1, 1):  # Whatever is loaded at the first use is.
        np.asarray(batch)
    before, times = memory(), [clocks()]
    if made.requires_fit:
        made.fit(loader)
    times.append(clocks())
    batches = loader.batches(PREDICT, args.test)
    first = next(batches)[0]
    made.predict(first)  # What is prepared at the first call is part of neither.
    times.append(clocks())
    for x, _ in batches:
        made.predict(x)
    times.append(clocks())
    (fit, fit_cpu), (predict, predict_cpu) = (
        tuple(end - start for start, end in zip(times[at], times[at + 1])) for at in (0, 2)
    )
    # For 1000 rows.
    scale = 1000 / (args.test - PREDICT)
    found = {"fit": fit, "fit cpu": fit_cpu, "predict": predict * scale, "predict cpu": predict_cpu * scale}
    print(json.dumps({**found, "MB": (memory() - before) / 1000}))


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def clocks():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"rows": 50000, "features": 2048, "classes": 1000, "threads": 2, "test": 500, "rounds": 3}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("library", "name", "folder"):
        parser.add_argument(f"--{name}", help="of a process of ours")
    parser.add_argument("--only", default=",".join(CASES))
    args = parser.parse_args()
    if args.name:
        case(args)
        return
    environment = {**os.environ, **{f"{name}_NUM_THREADS": str(args.threads) for name in ("RAYON", "OMP", "OPENBLAS", "MKL")}}
    print(f"{args.rows} x {args.features} x {args.classes}, {args.threads} threads, medians of {args.rounds}")
    print("| detector | library | fit s | cpu | predict of 1000, s | cpu | MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_data(args, Path(folder))
        for name in args.only.split(","):
            libraries = ["itp_ood", "numpy" if name == "itp" else "pytorch_ood"]
            rounds = {library: [] for library in libraries}
            for _ in range(args.rounds):
                for library in libraries:
                    command = [sys.executable, __file__, "--library", library, "--name", name, "--folder", folder]
                    for option in sizes:
                        command += [f"--{option}", str(getattr(args, option))]
                    done = subprocess.run(command, env=environment, capture_output=True, text=True)
                    if done.returncode:
                        print(f"| {name} | {library} | {done.stderr.strip().splitlines()[-1][:90]} |", flush=True)
                        break
                    rounds[library].append(json.loads(done.stdout.splitlines()[-1]))
            for library, found in rounds.items():
                if found:
                    values = [statistics.median(one[key] for one in found) for key in found[0]]
                    shown = " | ".join(f"{value:.2f}" for value in values[:4])
                    print(f"| {name} | {library} | {shown} | {values[4]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
