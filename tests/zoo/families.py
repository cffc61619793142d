"""Writes the full-size models of docs/performance.md's table of families, with random weights, and
measures them natively.

    python families.py FOLDER LOGITS [WORD ...]

LOGITS is the built example `logits` of crates/backbone. It and ONNX Runtime take turns, each on one
thread; the wall time of an image counts, with its way to the example's process and back.
`npm run zoo -- --families` calls this; `npm run bench -- --folder=FOLDER` measures the same models in
WebAssembly.
"""

import pathlib
import shutil
import statistics
import tempfile
import time
import warnings

from catalogue import entries
from full import Ours, Theirs, distance, export, parsed, pictures

ROUNDS = 15

FAMILIES = [
    "timm_resnet18", "tv_densenet121", "timm_mobilenetv3_small_100", "timm_mobilenetv3_large_100",
    "timm_ghostnet_100", "timm_efficientnet_b0", "tv_regnet_y_400mf", "tv_shufflenet_v2_x1_0",
    "timm_convnext_atto", "hf_convnext", "timm_fastvit_t8", "timm_edgenext_xx_small",
    "timm_vit_tiny_patch16_224", "timm_deit_tiny_patch16_224", "tv_swin_t", "hf_beit",
    "timm_mobilevit_xxs", "timm_mvitv2_tiny", "timm_cait_xxs24_224", "timm_ghostnetv2_100",
    "timm_coat_lite_tiny",
]


def timed(work, times):
    start = time.perf_counter()
    row = work()[0]
    times.append(time.perf_counter() - start)
    return row


def measure(logits, path, size):
    image = pictures(size, 1)[0]
    theirs = Theirs(path)
    expected = theirs.run(image)[0]
    ours = Ours(logits, path, size, len(expected))
    our_times, their_times = [], []
    for _ in range(ROUNDS):
        timed(lambda: theirs.run(image), their_times)
        row = timed(lambda: ours.run(image), our_times)
    ours.close()
    median = statistics.median(our_times) / statistics.median(their_times)
    least = min(our_times) / min(their_times)
    return f"{median:.2f} ({least:.2f}) of ONNX Runtime's time, error {distance(row, expected):.0e}"


def main():
    arguments = parsed()
    warnings.simplefilter("ignore")
    known = dict(entries())
    for name in FAMILIES:
        if arguments.words and not any(word in name for word in arguments.words):
            continue
        target = arguments.folder / f"{name}.onnx"
        if not target.exists():
            with tempfile.TemporaryDirectory() as work:
                path, _ = export(known[name], pathlib.Path(work))
                shutil.move(path, target)
        print(name, measure(arguments.logits, target, known[name]["size"]()), flush=True)


if __name__ == "__main__":
    main()
