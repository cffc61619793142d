"""What Hugging Face's processors make of an image, with the preprocessor_config.json of each: writes
hugging_face.json. Needs the packages of ../zoo/requirements.txt.

The image is that of tests/preprocess.rs: 30 x 22 pixels from a linear congruential generator. Crops have
even margins.
"""

import json
from pathlib import Path

import numpy as np
import transformers
from PIL import Image

WIDTH, HEIGHT = 30, 22
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSORS = [
    ("ViTImageProcessor", {"size": {"height": 8, "width": 10}}),
    ("DeiTImageProcessor", {"size": {"height": 12, "width": 14},
                            "crop_size": {"height": 8, "width": 8}, **IMAGENET}),
    ("BeitImageProcessor", {"size": {"height": 8, "width": 8}, "do_center_crop": False}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 8}, "crop_pct": 0.8}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}, "do_resize": False}),
    ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 11},
                                   "crop_size": {"height": 7, "width": 9}}),
    ("BitImageProcessor", {"size": {"shortest_edge": 11}, "crop_size": {"height": 7, "width": 7}}),
    ("LevitImageProcessor", {"size": {"shortest_edge": 10},
                             "crop_size": {"height": 9, "width": 9}}),
    ("PoolFormerImageProcessor", {"size": {"shortest_edge": 9}, "crop_pct": 0.9,
                                  "crop_size": {"height": 8, "width": 9}}),
    ("SiglipImageProcessor", {"size": {"height": 8, "width": 8}}),
    ("EfficientNetImageProcessor", {"size": {"height": 8, "width": 8}, "resample": 3,
                                    **IMAGENET}),
    ("ViTImageProcessor", {"size": {"height": 6, "width": 6}, "do_rescale": True,
                           "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3,
                           "image_std": [1.0] * 3}),
    ("ViTImageProcessor", {"size": {"height": 6, "width": 6}, "do_normalize": False}),
]

state, values = 1, []
for _ in range(WIDTH * HEIGHT * 3):
    state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
    values.append(state >> 24)
image = Image.fromarray(np.array(values, np.uint8).reshape(HEIGHT, WIDTH, 3))

cases = []
for name, options in PROCESSORS:
    processor = getattr(transformers, name)(**options)
    pixels = processor(image, return_tensors="np")["pixel_values"][0]
    config = json.loads(processor.to_json_string())
    shape, flat = list(pixels.shape), pixels.reshape(-1)
    # Every seventh value: enough to tell any difference.
    cases.append({"config": config, "shape": shape, "values": [float(f"{v:.7g}") for v in flat[::7]]})
text = ",\n".join(json.dumps(case) for case in cases)
(Path(__file__).parent / "hugging_face.json").write_text(f"[\n{text}\n]\n")
