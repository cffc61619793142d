"""Writes the full-size models of docs/performance.md's table of families, with random weights.

    python families.py FOLDER [WORD ...]

`npm run zoo -- --families` calls it; `npm run bench -- --folder=FOLDER` measures them.
"""

import argparse
import pathlib
import shutil
import tempfile
import warnings

from catalogue import entries
from full import export

FAMILIES = [
    "timm_resnet18", "tv_densenet121", "timm_mobilenetv3_small_100", "timm_mobilenetv3_large_100",
    "timm_ghostnet_100", "timm_efficientnet_b0", "tv_regnet_y_400mf", "tv_shufflenet_v2_x1_0",
    "timm_convnext_atto", "hf_convnext", "timm_fastvit_t8", "timm_edgenext_xx_small",
    "timm_vit_tiny_patch16_224", "timm_deit_tiny_patch16_224", "tv_swin_t", "hf_beit",
    "timm_mobilevit_xxs", "timm_mvitv2_tiny", "timm_cait_xxs24_224", "timm_ghostnetv2_100",
    "timm_coat_lite_tiny",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    known = dict(entries())
    for name in FAMILIES:
        target = arguments.folder / f"{name}.onnx"
        if target.exists() or (arguments.words and not any(w in name for w in arguments.words)):
            continue
        with tempfile.TemporaryDirectory() as work:
            path, _ = export(known[name], pathlib.Path(work))
            shutil.move(path, target)
        print(name, f"{target.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
