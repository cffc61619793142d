"""Drawings as strokes: how a hand bends them, and how a page turns them into a picture.

A drawing is a list of strokes, a stroke an array [n, 2] of (x, y) points joined
by straight lines, x to the right and y downwards, in any unit.

The rule that turns a drawing into a picture (`place`, `draw`) is the one of the
page's draw pad; README.md states it in words.
"""

import numpy as np
from PIL import Image, ImageDraw

SIDE = 28  # pixels that the network sees
INK = 18.0  # longer side of the box around the points, in those pixels
PEN = 2.2  # width of the line, in those pixels
SMALLEST = 20 / 280  # of the pad: a drawing smaller than this isn't enlarged any further
SUPERSAMPLED = 6 * SIDE


def place(strokes, size: float, smallest: float = 0.0):
    """Scale and centre a drawing in a square of side `size`, keeping its proportions."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = size * INK / SIDE / max((high - low).max(), smallest, 1e-9)
    middle = (low + high) / 2
    return [(stroke - middle) * scale + size / 2 for stroke in strokes]


def draw(strokes, size: int, pen: float) -> np.ndarray:
    """White lines of width `pen` with round ends and joins on black: uint8 [size, size]."""
    image = Image.new("L", (size, size))
    canvas = ImageDraw.Draw(image)
    reach = pen / 2
    for stroke in strokes:
        line = [tuple(point) for point in stroke - 0.5]
        if len(line) > 1:
            canvas.line(line, fill=255, width=max(1, round(pen)))
        for x, y in line:
            canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    return np.asarray(image)


def picture(strokes, size: int = SIDE, smallest: float = 0.0, pen: float = PEN) -> np.ndarray:
    """A drawing as the detector sees it: placed, drawn large, brought down to `size`."""
    large = SUPERSAMPLED * max(1, round(size / SIDE))
    inked = draw(place(strokes, large, smallest), large, pen * large / SIDE)
    image = Image.fromarray(inked).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def arc(cx, cy, rx, ry, start, end, points=9):
    """Points on an ellipse from angle `start` to `end` in degrees; 0 is right, 90 is down."""
    t = np.radians(np.linspace(start, end, points))
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)


def smooth(controls, step: float = 0.02) -> np.ndarray:
    """A Catmull-Rom curve through the points; a point given twice is a corner."""
    p = np.asarray(controls, float)
    if len(p) < 3:
        return _even(p, step)
    pieces = np.split(p, [i + 1 for i in range(len(p) - 1) if np.array_equal(p[i], p[i + 1])])
    return np.concatenate([_catmull_rom(piece, step) for piece in pieces if len(piece) > 1])


def _catmull_rom(p, step):
    if len(p) == 2:
        return _even(p, step)
    padded = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, 12, endpoint=False)[:, None, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - 3 * c + d - a) * t**3)
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return _even(np.concatenate([curve, p[-1:]]), step)


def _even(line, step):
    """The same line with points at even distances of about `step`."""
    lengths = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    if along[-1] == 0:
        return line[:1]
    at = np.linspace(0, along[-1], max(2, int(np.ceil(along[-1] / step)) + 1))
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], 1)


def by_hand(strokes, rng, strength: float = 1.0):
    """Redraw a drawing in the unit square as some hand would: slant, width, wobble, speed.

    `strength` scales every deformation; 1 spans from neat to careless.
    """
    care = strength * rng.uniform(0.3, 1.0)
    width = rng.uniform(0.6, 1.15)
    slant, turn = rng.normal(0, 0.16) * strength, rng.normal(0, 0.09) * strength
    affine = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = affine @ np.array([[width, -slant], [0, 1]])
    bend = rng.normal(0, 0.035 * care, (2, 2))
    rhythm, phase = rng.uniform(0.4, 1.6, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    step = rng.uniform(0.02, 0.09)
    tremble = rng.uniform(0, 0.007) * care
    result = []
    for stroke in strokes:
        p = np.asarray(stroke, float)
        # A slow bend of the whole plane, so that parts that touch still touch.
        p = p + sum(bend[i] * np.sin(2 * np.pi * rhythm[i] * p[:, ::-1] + phase[i]) for i in range(2))
        # A stroke lands a little off its place.
        p = p + rng.normal(0, 0.015 * care, 2)
        # A hand starts late or ends early, and its speed decides how many points it leaves.
        if len(p) > 12:
            p = p[rng.integers(0, 1 + len(p) // 20) : len(p) - rng.integers(0, 1 + len(p) // 20)]
        p = _even(p, step)
        result.append((p + rng.normal(0, tremble, p.shape)) @ affine.T)
    return result
