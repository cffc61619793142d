"""What the digit classifier must not take for a digit: letters, shapes, scribbles, empty pages."""

import numpy as np

from glyphs import HERSHEY_FONTS, hershey, unit
from strokes import SIDE, arc, by_hand, picture, smooth

# Without the letters that are digits in somebody's hand: B b D g I i l O o q S s Z z.
LETTERS = "ACEFGHJKLMNPQRTUVWXYacdefhjkmnprtuvwxy"


def letter(rng, character: str | None = None):
    """A letter of a stroke font, drawn by the hand that draws the digits."""
    character = character or LETTERS[rng.integers(len(LETTERS))]
    font = HERSHEY_FONTS[rng.integers(len(HERSHEY_FONTS))]
    return by_hand(unit(hershey(font)[character]), rng)


def _polygon(corners, turn, closed=True):
    t = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    p = np.stack([0.5 + 0.5 * np.sin(t), 0.5 - 0.5 * np.cos(t)], 1)
    return np.concatenate([p, p[:1]]) if closed else p


def _corners(points):
    return smooth(np.repeat(np.asarray(points, float), 2, 0)[1:-1])


SHAPES = {
    "triangle": lambda rng: [_corners(_polygon(3, rng.normal(0, 0.2)))],
    "square": lambda rng: [_corners(_polygon(4, np.pi / 4 + rng.normal(0, 0.1)))],
    "hexagon": lambda rng: [_corners(_polygon(6, rng.normal(0, 0.3)))],
    "star": lambda rng: [_corners(_polygon(5, 0, False)[[0, 2, 4, 1, 3, 0]])],
    "plus": lambda rng: [_corners([(0.5, 0), (0.5, 1)]), _corners([(0, 0.5), (1, 0.5)])],
    "asterisk": lambda rng: [_corners(_polygon(6, 0.3, False)[[i, i + 3]]) for i in range(3)],
    "arrow": lambda rng: [_corners([(0, 0.5), (1, 0.5)]), _corners([(0.65, 0.2), (1, 0.5), (0.65, 0.8)])],
    "heart": lambda rng: [
        smooth([(0.5, 0.25), (0.35, 0.02), (0.08, 0.1), (0.05, 0.4), (0.5, 1), (0.5, 1), (0.95, 0.4), (0.92, 0.1), (0.65, 0.02), (0.5, 0.25)])
    ],
    "house": lambda rng: [_corners([(0.1, 1), (0.1, 0.4), (0.5, 0), (0.9, 0.4), (0.9, 1), (0.1, 1)]), _corners([(0.1, 0.4), (0.9, 0.4)])],
    "face": lambda rng: [
        arc(0.5, 0.5, 0.5, 0.5, 0, 360, 40),
        arc(0.33, 0.38, 0.03, 0.05, 0, 360, 6),
        arc(0.67, 0.38, 0.03, 0.05, 0, 360, 6),
        arc(0.5, 0.55, 0.28, 0.22, 15, 165, 10),
    ],
    "zigzag": lambda rng: [_corners([(i / 6, 0.3 + 0.4 * (i % 2)) for i in range(7)])],
    "wave": lambda rng: [smooth([(i / 12, 0.5 + 0.18 * np.sin(i * np.pi / 2)) for i in range(13)])],
    "spiral": lambda rng: [np.stack([0.5 + t / 14 * np.cos(t) * 0.5, 0.5 + t / 14 * np.sin(t) * 0.5], 1) for t in [np.linspace(0, 14, 60)]],
    "grid": lambda rng: [_corners([(a, 0), (a, 1)]) for a in (0.33, 0.66)] + [_corners([(0, a), (1, a)]) for a in (0.33, 0.66)],
    "tick": lambda rng: [_corners([(0, 0.55), (0.35, 0.95), (1, 0.1)])],
    "target": lambda rng: [arc(0.5, 0.5, r, r, 0, 360, 40) for r in (0.5, 0.22)],
}


def shape(rng, name: str | None = None):
    name = name or list(SHAPES)[rng.integers(len(SHAPES))]
    return by_hand(SHAPES[name](rng), rng, 0.7)


def scribble(rng):
    """One or two strokes that wander through the square with no aim."""
    strokes = []
    for _ in range(rng.integers(1, 3)):
        turns = rng.integers(4, 11)
        strokes.append(smooth(rng.random((turns, 2)) if rng.random() < 0.6 else _hatching(turns, rng)))
    return by_hand(strokes, rng)


def _hatching(turns, rng):
    along = np.linspace(0, 1, turns) + rng.normal(0, 0.03, turns)
    across = 0.5 + (0.3 + 0.2 * rng.random(turns)) * (-1.0) ** np.arange(turns)
    angle = rng.uniform(0, np.pi)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.stack([along, across], 1) @ turned.T


def blank(rng) -> np.ndarray:
    """A page with nothing on it: empty, full, grey, noisy, or with a few specks of ink."""
    kind = rng.integers(0, 4)
    if kind == 0:
        return np.full((SIDE, SIDE), rng.choice([0, 255, rng.integers(0, 256)]), np.uint8)
    if kind == 1:
        return np.clip(rng.normal(rng.uniform(0, 60), rng.uniform(2, 25), (SIDE, SIDE)), 0, 255).astype(np.uint8)
    if kind == 2:
        return np.linspace(rng.uniform(0, 90), rng.uniform(0, 90), SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint8)
    specks = [rng.random((1, 2)) for _ in range(rng.integers(1, 5))]
    return picture(specks, smallest=1.0)


def letter_picture(rng):
    return picture(letter(rng))


def shape_picture(rng):
    return picture(shape(rng))


def scribble_picture(rng):
    return picture(scribble(rng))


SETS = {"letters": letter_picture, "shapes": shape_picture, "scribbles": scribble_picture, "blank": blank}
