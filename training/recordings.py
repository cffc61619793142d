"""Read the recorded strokes of recordings.json: the test that no generator made."""

import json
from pathlib import Path

import numpy as np

from strokes import SMALLEST, picture

PAD = 280


def read(path=Path(__file__).with_name("recordings.json")):
    """Return [(label, hand, strokes)] with the points in pixels of a 280x280 pad."""
    return [
        (r["label"], r["hand"], [np.array(s, float) for s in r["strokes"]])
        for r in json.loads(path.read_text())["recordings"]
    ]


def pictures(recordings):
    return np.stack([picture(strokes, smallest=SMALLEST * PAD) for _, _, strokes in recordings])
