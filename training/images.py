"""Reading image sets: a folder of class folders, a flat folder, or a .tar of either."""

import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

SUFFIXES = {".webp", ".png", ".jpg", ".jpeg"}


def _decode(data: bytes, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def _entries(path: Path):
    """Yield (path inside the set, bytes) in sorted order."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with tarfile.open(path) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        for member in sorted(members, key=lambda m: m.name):
            if PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                yield member.name, tar.extractfile(member).read()


def read_set(path, mode: str = "RGB"):
    """Return (uint8 pictures [N, H, W, C], names [N], classes [N]).

    The class of a picture is the name of the folder that it lies in. All
    pictures of a set must have one size.
    """
    pictures, names, classes = [], [], []
    for name, data in _entries(Path(path)):
        picture = _decode(data, mode)
        pictures.append(picture.reshape(*picture.shape[:2], -1))
        names.append(name)
        classes.append(PurePosixPath(name).parent.name)
    if not pictures:
        raise SystemExit(f"{path}: no pictures found (looked for {sorted(SUFFIXES)})")
    return np.stack(pictures), names, classes
