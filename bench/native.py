"""The native command against onnxruntime's Python package: images a second of a calibration, in turn.

    cargo build --release && python bench/native.py MODEL.onnx IMAGES_FOLDER [--threads 2]

IMAGES_FOLDER holds class folders of 32x32 images. Both sides decode, normalise as the preset `cifar`, run
the model and keep the moments of each class. onnxruntime is given its best of two ways: batches of 64 with
N threads in the model, or N Python threads with one image and one thread each; decoding is done by N
threads in both. Its start and the loading of the model are left out, those of the command are not.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32).reshape(3, 1, 1)
STD = np.array([0.2023, 0.1994, 0.2010], np.float32).reshape(3, 1, 1)
BATCH = 64


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.float32)
    return (pixels.transpose(2, 0, 1) / 255 - MEAN) / STD


def session(model: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, ["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("images", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--itp", default="target/release/itp")
    args = parser.parse_args()
    files = sorted(path for path in args.images.rglob("*") if path.is_file())
    together, alone = session(args.model, args.threads), session(args.model, 1)
    name = alone.get_inputs()[0].name
    pool = ThreadPoolExecutor(args.threads)
    sums = {}

    def moments(rows):
        rows = np.concatenate(rows).astype(np.float64)
        return rows.mean(0), rows.std(0)

    def in_batches():
        rows = []
        for start in range(0, len(files), BATCH):
            batch = np.stack(list(pool.map(read, files[start : start + BATCH])))
            # Models with a fixed batch of 1 can't do this.
            rows.append(together.run(None, {name: batch})[0])
        return moments(rows)

    def one_by_one():
        return moments(list(pool.map(lambda file: alone.run(None, {name: read(file)[None]})[0], files)))

    with tempfile.TemporaryDirectory() as folder:

        def ours():
            command = [args.itp, "calibrate", args.model, str(args.images), "-o", f"{folder}/out.safetensors"]
            command += ["--preset", "cifar", "--threads", str(args.threads), "--quiet"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        sides = {"ours": ours, "theirs, batches": in_batches, "theirs, one by one": one_by_one}
        times = {side: [] for side in sides}
        for round in range(-1, args.rounds):
            for side, work in list(sides.items()):
                start = time.perf_counter()
                try:
                    found = work()
                except Exception as error:
                    print(f"{side}: {error}")
                    del sides[side]
                    continue
                if round >= 0:
                    times[side].append(time.perf_counter() - start)
                if found:
                    sums[side] = float(found[0].sum())
    print(f"{len(files)} images, {args.threads} threads, {args.rounds} rounds; sums of mean logits: {sums}")
    medians = {side: statistics.median(each) for side, each in times.items() if each}
    best = min(value for side, value in medians.items() if side != "ours")
    for side, median in medians.items():
        spread = (max(times[side]) - min(times[side])) / median
        print(f"{side}: {len(files) / median:.0f} images a second, spread {spread:.0%}")
    print(f"ours / their best, images a second: {best / medians['ours']:.2f}")


if __name__ == "__main__":
    main()
