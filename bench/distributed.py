"""Calibration on a local Ray cluster of three nodes: equality with one process, losses, time, memory.

    python bench/distributed.py images TRAIN.tar [--model www/models/digits.onnx] [--preset digits] [--parts 12]
    python bench/distributed.py rows [--rows 1280000] [--features 2048] [--classes 1000] [--detectors all]

`images` calibrates by the command line in one process, then by Ray with 1 and 2 workers, with a node removed in the
middle and with a worker killed. `rows` makes features up inside the workers, row by row from its number, and follows the
memory. Needs the wheel, `ray[data]` and psutil. Memory is private memory, without the object store that all share.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster

import itp_ood.ray
from itp_ood import Calibrator

MIB = 1 << 20
#: Otherwise Ray's workers wait for everything else on the machine.
os.environ.setdefault("RAY_worker_niceness", "0")


def start(object_store):
    each = {"num_cpus": 1, "object_store_memory": object_store * MIB}
    cluster = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    nodes = [cluster.add_node(**each) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    return cluster, nodes


def processes(name):
    """Ray's processes that do something of this name."""
    for process in psutil.Process().children(recursive=True):
        try:
            title = "".join(process.cmdline()[:1])
            if title.startswith(f"ray::{name}") and not title.endswith("Agent"):
                yield process
        except psutil.Error:
            continue


def private(process):
    try:
        memory = process.memory_info()
    except psutil.Error:
        return 0
    return (memory.rss - memory.shared) / MIB


class Watch(threading.Thread):
    """Follows the memory of the driver and of the largest worker, in MiB."""

    def __init__(self, progress=lambda: 0.0):
        super().__init__(daemon=True)
        self.progress, self.samples, self.done = progress, [], threading.Event()

    def run(self):
        while not self.done.wait(0.3):
            workers = [private(process) for process in processes("")]
            self.samples.append((self.progress(), private(psutil.Process()), max(workers, default=0), sum(workers)))

    def peaks(self, least=0.0, most=1.0):
        """Largest memory of the driver, of a worker and of all workers, within some of the work."""
        chosen = [sample[1:] for sample in self.samples if least <= sample[0] <= most]
        return [round(max(values)) for values in zip(*chosen)] if chosen else [0, 0, 0]

    def __enter__(self):
        self.start()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_):
        self.seconds = time.perf_counter() - self.began
        self.done.set()
        self.join()


def difference(ours, theirs):
    """The largest difference of any tensor, by its largest value."""
    assert ours.tensors == theirs.tensors and ours.labels == theirs.labels
    assert np.array_equal(ours.counts, theirs.counts)
    worst = 0.0
    for name in ours.tensors:
        a, b = (stats.tensor(name).astype(np.float64) for stats in (ours, theirs))
        worst = max(worst, np.abs(a - b).max(initial=0) / max(1.0, np.abs(b).max(initial=0)))
    return worst


def images(args):
    chosen = ["--detectors", args.detectors] if args.detectors else []
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / "whole"
        command = [sys.executable, "-m", "itp_ood.cli", "calibrate", args.model, args.images, "--preset", args.preset]
        command += [*chosen, "--shard", "1/1", "--threads", "1", "--quiet", "-o", str(partial)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0
        seconds, size = time.perf_counter() - began, partial.stat().st_size
        whole = Calibrator.from_partial(partial)
    total, expected = int(whole.counts.sum()) + whole.num_holdout, whole.finish(p=10, lambda_=2.2)
    print(f"{args.images}: {total} images, a partial has {size / 1e6:.1f} MB", flush=True)
    print(f"{'':48} {'s':>6} {'driver':>7} {'worker':>7} MiB, difference")
    print(f"{'itp calibrate, one process':48} {seconds:6.1f} {'':7} {used.ru_maxrss / 1024:7.0f}", flush=True)

    def run(concurrency):
        names = [name for name in args.detectors.split(",") if name]
        options = {"preprocess": args.preset, "detectors": names, "parts": args.parts, "concurrency": concurrency}
        return itp_ood.ray.calibrate(args.images, args.model, **options)

    def report(name, watch, found):
        assert int(found.counts.sum()) + found.num_holdout == total and found.missing_parts == []
        driver, worker, _ = watch.peaks()
        worst = difference(found.finish(p=10, lambda_=2.2), expected)
        assert worst < 1e-6, worst
        print(f"{name:48} {watch.seconds:6.1f} {driver:7} {worker:7}      {worst:.1e}", flush=True)

    cluster, nodes = start(args.object_store)
    # Workers are started and have loaded the package.
    warm = ray.remote(lambda: (time.sleep(1), __import__("itp_ood")) and None)
    ray.get([warm.remote() for _ in range(3)])
    for workers in (1, 2) if "times" in args.what else ():
        with Watch() as watch:
            found = run(workers)
        report(f"Ray, {workers} worker(s), {args.parts} parts", watch, found)
    for what in ("a node removed", "a worker killed") if "losses" in args.what else ():
        with tempfile.TemporaryDirectory() as begun, ThreadPoolExecutor(1) as pool, Watch() as watch:
            itp_ood.ray._part = noting(begun)
            running = pool.submit(run, 3)
            lose = [node.node_id for node in nodes[:1]] if what == "a node removed" else None
            pid = at_work(Path(begun), args.parts, lose, running)
            if lose:
                cluster.remove_node(nodes[0], allow_graceful=False)
            else:
                os.kill(pid, signal.SIGKILL)
            found = running.result()
            again = len(list(Path(begun).glob("*.begun"))) - args.parts
        assert again > 0, "nothing was lost"
        report(f"Ray, 3 workers, {what}, {again} part(s) again", watch, found)
    ray.shutdown()
    cluster.shutdown()


def noting(begun, gather=itp_ood.ray._part._function):
    """The task that gathers a part, with a note when it begins and ends."""

    def part(job, index, kept):
        note = Path(begun) / f"{index} {ray.get_runtime_context().get_node_id()} {os.getpid()} {time.time_ns()}"
        note.with_suffix(".begun").touch()
        found = gather(job, index, kept)
        note.with_suffix(".ended").touch()
        return found

    return ray.remote(num_returns=2)(part)


def at_work(notes, parts, nodes, running):
    """A process in the middle of a part, on one of these nodes, once a quarter of the parts is done."""
    while not running.done():
        begun, ended = ({note.stem for note in notes.glob(f"*.{kind}")} for kind in ("begun", "ended"))
        for note in begun - ended if len(ended) >= parts // 4 else ():
            _, node, pid, since = note.split()
            if (nodes is None or node in nodes) and time.time_ns() - int(since) > 3e8:
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("too fast to lose anything")


class Made:
    """Features like a ReLU's, made from the numbers of their rows; notes how many."""

    def __init__(self, features, classes, notes):
        self.means = means(features, classes)
        self.notes = Path(notes) / str(os.getpid())

    def __call__(self, numbers):
        rows = np.empty((len(numbers), self.means.shape[1]), np.float32)
        for row, number in zip(rows, numbers):
            rng = np.random.Generator(np.random.SFC64(int(number)))
            rng.standard_normal(out=row, dtype=np.float32)
            row += self.means[number % len(self.means)]
        np.maximum(rows, 0, out=rows)
        with self.notes.open("a") as notes:
            notes.write(f"{len(rows)}\n")
        return rows


def means(features, classes):
    return np.random.default_rng(0).standard_normal((classes, features), dtype=np.float32)


def rows(args):
    weight = means(args.features, args.classes) / np.float32(args.features**0.5)
    names = [name for name in args.detectors.split(",") if name]
    cluster, _ = start(args.object_store)
    ray.data.DataContext.get_current().enable_progress_bars = False
    classes = args.classes
    dataset = ray.data.range(args.rows, override_num_blocks=max(1, args.rows // args.batch))
    dataset = dataset.map_batches(lambda batch: {"image": batch["id"], "label": batch["id"] % classes}, batch_size=None)
    with tempfile.TemporaryDirectory() as notes:

        def progress():
            made = sum(int(line) for file in Path(notes).iterdir() for line in file.read_text().splitlines())
            return made / args.rows

        with Watch(progress) as watch:
            constructor = {"features": args.features, "classes": args.classes, "notes": notes}
            options = {"rows": args.batch, "detectors": names, "concurrency": args.workers}
            bias = np.zeros(args.classes, np.float32)
            found = itp_ood.ray.calibrate_dataset(dataset, Made, weight, bias, constructor=constructor, **options)
    assert int(found.counts.sum()) == args.rows
    size = len(found.to_partial()) - 8 * args.rows
    shape = f"{args.rows} x {args.features} x {args.classes}"
    print(f"{shape}, detectors: {args.detectors or 'none'}, {args.workers} worker(s)")
    print(f"{watch.seconds:.0f} s; the partial has {size / 1e6:.1f} MB, and 8 bytes for each row")
    print("rows done   driver  largest worker  all workers, MiB")
    for share in (0.1, 0.5, 1.0):
        driver, worker, every = watch.peaks(share - 0.1, share)
        print(f"{share:8.0%} {driver:8} {worker:15} {every:12}")
    ray.shutdown()
    cluster.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detectors", default="", help="names separated by commas, or all")
    parser.add_argument("--object-store", type=int, default=1000, help="MiB a node")
    kinds = parser.add_subparsers(required=True)
    of_images = kinds.add_parser("images")
    of_images.add_argument("images")
    of_images.add_argument("--model", default="www/models/digits.onnx")
    of_images.add_argument("--preset", default="digits")
    of_images.add_argument("--parts", type=int, default=12)
    of_images.add_argument("--what", default="times,losses")
    of_images.set_defaults(run=images)
    of_rows = kinds.add_parser("rows")
    for name, default in (("rows", 1_280_000), ("features", 2048), ("classes", 1000), ("batch", 16384), ("workers", 2)):
        of_rows.add_argument(f"--{name}", type=int, default=default)
    of_rows.set_defaults(run=rows)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
