"""Fit and predict against pytorch-ood 0.4 and plain NumPy on the same features, with the same number of threads.

    python bench/python.py [--rows 50000] [--features 2048] [--classes 1000] [--threads 2]

Each case runs in a process of its own, which tells its peak memory beyond that of the features. Needs the wheel, and
`pip install pytorch-ood==0.4.0 torch` for that column.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

CASES = {
    "energy": ("EnergyBased", "logits"),
    "klm": ("KLMatching", "logits"),
    "knn": ("KNN", "features"),
    "mahalanobis": ("Mahalanobis", "features"),
    "vim": ("ViM", "features"),
    "dice": ("DICE", "features"),
    "fdbd": ("fDBD", "features"),
    "nci": ("NCI", "features"),
}


def data(args):
    """Made-up features like a ReLU's, of classes that lie apart; the last layer is that of the class means."""
    import numpy as np

    rng = np.random.default_rng(0)
    means = rng.standard_normal((args.classes, args.features), dtype=np.float32)
    labels = np.arange(args.rows) % args.classes
    features = np.empty((args.rows, args.features), np.float32)
    for at in range(0, args.rows, 1000):
        part = labels[at : at + 1000]
        noise = rng.standard_normal((len(part), args.features), dtype=np.float32)
        features[at : at + 1000] = np.maximum(means[part] + noise, 0)
    bias = np.zeros(args.classes, np.float32)
    return features, labels, (means / args.features**0.5).astype(np.float32), bias


def detector(library, name, weight, bias):
    """One detector of one library: (fit, predict)."""
    kind, reads = CASES[name]
    if library == "itp_ood":
        import itp_ood.pytorch_ood as module
    else:
        import pytorch_ood.detector as module
    made = getattr(module, kind)
    head = (weight, bias)
    if library == "pytorch_ood":
        import torch

        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        head = linear
        weight, bias = torch.from_numpy(weight), torch.from_numpy(bias)
    arguments = {
        "knn": {"k": 50},
        "vim": {"d": 1000 if weight.shape[1] >= 2048 else weight.shape[1] // 2, "w": weight, "b": bias},
        "dice": {"w": weight, "b": bias, "p": 0.7},
    }
    if name in ("fdbd", "nci"):
        return made(None, head), reads
    return made(None, **arguments.get(name, {})), reads


def case(args):
    """Times one case; prints a line of JSON."""
    import numpy as np

    features, labels, weight, bias = data(args)
    inputs = features
    if CASES[args.name][1] == "logits":
        inputs = features @ weight.T + bias
    test = inputs[: min(5000, args.rows)]
    made, reads = detector(args.library, args.name, weight, bias)
    y = labels
    if args.library == "pytorch_ood":
        import torch

        torch.set_num_threads(args.threads)
        inputs, test, y = (torch.from_numpy(np.ascontiguousarray(values)) for values in (inputs, test, labels))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if made.requires_fit:
        getattr(made, f"fit_{reads}", made.fit_features if args.library == "itp_ood" else None)(inputs, y)
    fitted = time.perf_counter()
    getattr(made, f"predict_{reads}")(test)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"fit": fitted - start, "predict": end - fitted, "memory": peak / 1024}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 50000), ("features", 2048), ("classes", 1000), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--library")
    parser.add_argument("--name")
    args = parser.parse_args()
    if args.name:
        case(args)
        return
    threads = str(args.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    print(f"{args.rows} x {args.features} x {args.classes}, {threads} threads")
    print("detector     library       fit s  predict s of 5000   MB beyond the features")
    for name in CASES:
        for library in ("itp_ood", "pytorch_ood"):
            command = [sys.executable, __file__, "--library", library, "--name", name]
            for option in ("rows", "features", "classes", "threads"):
                command += [f"--{option}", str(getattr(args, option))]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"{name:12} {library:12} {done.stderr.strip().splitlines()[-1][:80]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:12} {library:12} {found['fit']:6.2f} {found['predict']:12.2f} {found['memory']:20.0f}")


if __name__ == "__main__":
    main()
