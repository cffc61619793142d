"""Writes resize_golden.json and resize_golden.bin: what PIL makes of 50 sizes (and torchvision's
centre crop of it). The input images follow a formula, so that only the outputs are stored.

    python tests/images/make_resize_golden.py        # needs numpy and pillow
"""
import json
import pathlib

import numpy
import PIL
from PIL import Image

HERE = pathlib.Path(__file__).parent
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def formula(width, height, channels):
    """Ramps, products and steps; tests/preprocess.rs has the same formula."""
    y, x, c = numpy.ogrid[0:height, 0:width, 0:channels]
    value = x * (3 + c) + y * (5 - c) + (x * y) // (7 + c)
    return ((value ^ ((x // 9 + y // 6) * 37)) & 255).astype(numpy.uint8)


def resize(image, size, resample):
    """Across first, then down: what one call does up to Pillow 12. Pillow 13 goes down first where
    an image is tall (python-pillow/Pillow#9549), and may then differ by one."""
    two_calls = image.resize((size[0], image.size[1]), resample).resize(size, resample)
    one_call = image.resize(size, resample)
    difference = numpy.asarray(two_calls).astype(int) - numpy.asarray(one_call)
    assert abs(difference).max() <= 1, image.size
    return two_calls


def torchvision_size(width, height, size):
    short, long = min(width, height), max(width, height)
    new_long = int(size * long / short)
    return (size, new_long) if width <= height else (new_long, size)


def torchvision_crop(image, crop_height, crop_width):
    width, height = image.size
    if crop_width > width or crop_height > height:
        left = (crop_width - width) // 2 if crop_width > width else 0
        top = (crop_height - height) // 2 if crop_height > height else 0
        padded = Image.new(image.mode, (max(width, crop_width), max(height, crop_height)))
        padded.paste(image, (left, top))
        image, (width, height) = padded, padded.size
    top = int(round((height - crop_height) / 2.0))
    left = int(round((width - crop_width) / 2.0))
    return image.crop((left, top, left + crop_width, top + crop_height))


sizes = [
    (1, 1, 8), (1, 2, 8), (2, 1, 5), (2, 2, 32), (3, 7, 9), (5, 3, 16), (7, 7, 28), (8, 8, 8),
    (13, 8, 8), (16, 16, 17), (17, 33, 32), (28, 28, 32), (31, 33, 32), (32, 32, 32), (33, 32, 32),
    (32, 48, 24), (36, 36, 32), (40, 30, 28), (47, 61, 23), (50, 200, 12), (64, 64, 32),
    (64, 63, 31), (65, 97, 30), (96, 96, 32), (100, 37, 20), (101, 103, 29), (120, 90, 32),
    (128, 128, 28), (150, 400, 14), (160, 120, 24), (199, 211, 25), (224, 224, 32), (240, 320, 21),
    (256, 256, 32), (257, 255, 32), (300, 7, 4), (301, 299, 27), (333, 500, 22), (375, 500, 32),
    (400, 400, 16), (431, 640, 18), (480, 640, 32), (500, 333, 26), (511, 513, 24), (600, 800, 20),
    (640, 427, 28), (720, 486, 19), (768, 512, 15), (900, 1000, 24), (1024, 768, 32),
]
assert len(sizes) == 50
crops = [None, (16, 16), None, (24, 21), None, (11, 40), None]

cases, outputs = [], []
for i, (width, height, size) in enumerate(sizes):
    channels = 1 if i % 4 == 3 else 3
    name = "bicubic" if i % 3 == 2 else "bilinear"
    pixels = formula(width, height, channels)
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    image = resize(image, torchvision_size(width, height, size), FILTERS[name])
    crop = crops[i % len(crops)]
    if crop:
        image = torchvision_crop(image, *crop)
    out = numpy.asarray(image)
    cases.append({
        "width": width, "height": height, "channels": channels, "resize": size, "crop": crop,
        "interpolation": name, "outWidth": image.size[0], "outHeight": image.size[1],
        "bytes": out.size,
    })
    outputs.append(out.tobytes())

(HERE / "resize_golden.bin").write_bytes(b"".join(outputs))
lines = ",\n".join("  " + json.dumps(case) for case in cases)
header = f'{{\n "made_with": "Pillow {PIL.__version__}",\n "cases": [\n'
(HERE / "resize_golden.json").write_text(header + lines + "\n ]\n}\n")
