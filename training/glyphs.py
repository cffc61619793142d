"""The digits: curves with several ways of writing each, stroke fonts and outline fonts."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.morphology import skeletonize

from strokes import arc, by_hand, smooth

HERSHEY = Path("/usr/share/hershey-fonts")
HERSHEY_FONTS = ["futural", "rowmans", "scripts", "cursive"]
FONTS = Path("/usr/share/fonts")
OUTLINE_FONTS = [
    "truetype/breip/Breip.ttf",
    "truetype/fifthhorseman/dkg.ttf",
    "truetype/fifthhorseman/dkgIt.ttf",
    "truetype/humor-sans/Humor-Sans.ttf",
    "opentype/comic-neue/ComicNeue-Light.otf",
    "opentype/comic-neue/ComicNeue-Italic.otf",
    "opentype/bwht/BecauseWeBuild-Regular.otf",
    "opentype/bwht/BecauseWeConnect-Regular.otf",
    "opentype/bwht/BecauseWeCreate-Regular.otf",
    "opentype/bwht/BecauseWeLearn-Regular.otf",
    "opentype/bwht/BecauseWeMentor-Regular.otf",
    "opentype/bwht/BecauseWeOrganize-Regular.otf",
    "truetype/ecolier-court/Ecolier-court.ttf",
    "truetype/comfortaa/Comfortaa-Light.ttf",
    "truetype/quicksand/Quicksand-Light.ttf",
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/liberation/LiberationSans-Regular.ttf",
]


def _zero(rng):
    start, way = rng.uniform(-140, -40), rng.choice([-1, 1])
    over = rng.uniform(-25, 45)
    return [arc(0.5, 0.5, rng.uniform(0.26, 0.42), 0.5, start, start + way * (360 + over), 17)]


def _one(rng):
    lean = rng.uniform(-0.03, 0.12)
    stem = [(0.5 + lean, 0), (0.5 - lean, 1)]
    kind = rng.integers(0, 4)
    if kind == 0:
        return [stem]
    reach, drop = rng.uniform(0.12, 0.32), rng.uniform(0.12, 0.32)
    flagged = [(0.5 + lean - reach, drop), stem[0], stem[0], stem[1]]
    if kind < 3:
        return [flagged]
    foot = rng.uniform(0.15, 0.3)
    return [flagged, [(0.5 - lean - foot, 1), (0.5 - lean + foot, 1)]]


def _two(rng):
    r = rng.uniform(0.2, 0.3)
    top = arc(0.5, r, rng.uniform(0.26, 0.36), r, rng.uniform(-185, -150), rng.uniform(15, 40), 7)
    left = rng.uniform(0.1, 0.22)
    kind = rng.integers(0, 3)
    if kind == 0:  # a straight foot, with a corner
        foot = [(left, 1), (left, 1), (rng.uniform(0.75, 0.92), rng.uniform(0.95, 1.03))]
        return [np.concatenate([top, foot])]
    if kind == 1:  # a loop at the corner
        loop = [(left + 0.1, 0.93), (left - 0.02, 0.98), (left + 0.02, 0.86), (left + 0.2, 0.88), (0.6, 0.99), (0.9, rng.uniform(0.88, 0.98))]
        return [np.concatenate([top, loop])]
    foot = [(left + 0.2, 0.8), (left, 0.98), (left, 0.98), (0.5, rng.uniform(0.9, 1.0)), (0.88, rng.uniform(0.93, 1.02))]
    return [np.concatenate([top, foot])]


def _three(rng):
    low = np.concatenate([
        [(rng.uniform(0.42, 0.55), rng.uniform(0.42, 0.5))] * 2,
        arc(0.48, 0.72, rng.uniform(0.28, 0.38), 0.28, -50, rng.uniform(140, 165), 8),
    ])
    kind = rng.integers(0, 4)
    if kind == 0:  # a flat top
        return [np.concatenate([[(0.18, 0.02), (0.78, 0), (0.78, 0)], low])]
    high = arc(0.47, 0.23, rng.uniform(0.24, 0.32), 0.23, rng.uniform(-165, -140), 55, 7)
    if kind == 1:  # a small loop where the two bows meet
        loop = [(0.5, 0.46), (0.4, 0.46), (0.42, 0.4), (0.55, 0.46)]
        return [np.concatenate([high, loop, low[3:]])]
    return [np.concatenate([high, low])]


def _four(rng):
    bar, stem = rng.uniform(0.55, 0.7), rng.uniform(0.58, 0.75)
    right = rng.uniform(0.82, 1.0)
    kind = rng.integers(0, 4)
    if kind == 0:  # closed, in one go
        return [[(stem, 0), (stem, 0), (0.08, bar), (0.08, bar), (right, bar)], [(stem, 0), (stem, 1)]]
    top = rng.uniform(0.15, 0.4)
    if kind == 1:  # open, the stem in a second stroke
        return [[(top, 0), (0.1, bar), (0.1, bar), (right, bar)], [(stem, rng.uniform(0.05, 0.35)), (stem - 0.04, 1)]]
    if kind == 2:  # open and round, the stem as tall as the rest
        bowl = [(0.15, 0), (0.13, bar - 0.2), (0.22, bar - 0.02), (0.45, bar), (stem, bar - 0.08)]
        return [bowl, [(stem, 0), (stem, 1)]]
    # one stroke without lifting
    return [[(stem, 1), (stem, 0), (stem, 0), (0.06, bar), (0.06, bar), (right, bar)]]


def _five(rng):
    neck = rng.uniform(0.38, 0.46)
    left = rng.uniform(0.2, 0.28)
    bowl = arc(0.45, 0.69, rng.uniform(0.3, 0.4), 0.31, -105, rng.uniform(135, 160), 9)
    right = rng.uniform(0.7, 0.88)
    kind = rng.integers(0, 3)
    if kind == 0:  # the bar last
        return [
            np.concatenate([[(left, 0.02), (left - 0.04, neck), (left - 0.04, neck)], bowl]),
            [(left, 0.02), (right, rng.uniform(-0.04, 0.04))],
        ]
    if kind == 1:  # in one go
        start = [(right, 0), (left, 0.02), (left, 0.02), (left - 0.04, neck), (left - 0.04, neck)]
        return [np.concatenate([start, bowl])]
    start = [(right, 0.02), (left + 0.1, 0.05), (left, 0.25), (left + 0.02, neck - 0.02)]
    return [np.concatenate([start, bowl[1:]])]


def _six(rng):
    loop_y, r = rng.uniform(0.66, 0.74), rng.uniform(0.27, 0.36)
    half = 1 - loop_y
    kind = rng.integers(0, 2)
    back = rng.uniform(330, 395)
    loop = arc(0.5, loop_y, r, half, 190, 190 - back, 13)
    if kind == 0:  # a bent back
        top = [(rng.uniform(0.6, 0.82), rng.uniform(0, 0.06)), (0.42, 0.12), (0.24, 0.4)]
    else:  # a straight back
        top = [(rng.uniform(0.4, 0.6), 0), (0.3, 0.33)]
    return [np.concatenate([top, loop])]


def _seven(rng):
    right, foot = rng.uniform(0.75, 0.9), rng.uniform(0.25, 0.5)
    bar = [(0.12, rng.uniform(0, 0.08)), (right, 0), (right, 0)]
    stem = [(foot, 1)] if rng.random() < 0.5 else [(foot + 0.12, 0.5), (foot, 1)]
    strokes = [bar + stem]
    if rng.random() < 0.3:  # a serif at the left
        strokes[0] = [(0.12, rng.uniform(0.12, 0.22)), bar[0], bar[0]] + strokes[0][1:]
    if rng.random() < 0.35:  # a stroke through the stem
        x, y = (right + foot) / 2, rng.uniform(0.42, 0.58)
        strokes.append([(x - 0.22, y), (x + 0.22, y + rng.uniform(-0.05, 0.05))])
    return strokes


def _eight(rng):
    waist = rng.uniform(0.42, 0.5)
    a, b = rng.uniform(0.2, 0.3), rng.uniform(0.26, 0.36)
    if rng.random() < 0.3:  # two rings
        over = rng.uniform(350, 385)
        return [
            arc(0.5, waist / 2, a, waist / 2, 90, 90 - over, 13),
            arc(0.5, (1 + waist) / 2, b, (1 - waist) / 2, -90, -90 + over, 13),
        ]
    # one line that crosses itself, begun at the top right
    top = arc(0.5, waist / 2, a, waist / 2, rng.uniform(-60, -20), -205, 8)
    low = arc(0.5, (1 + waist) / 2, b, (1 - waist) / 2, -35, 215, 11)
    back = [(0.5, waist), (0.5 + a * 0.95, waist * rng.uniform(0.25, 0.6))]
    path = np.concatenate([top, [(0.5, waist)], low, back])
    if rng.random() < 0.4:
        path = path * [-1, 1] + [1, 0]
    return [path]


def _nine(rng):
    half = rng.uniform(0.23, 0.3)
    r = rng.uniform(0.24, 0.34)
    ring = arc(0.5, half, r, half, rng.uniform(-50, -5), rng.uniform(-375, -345), 13)
    kind = rng.integers(0, 3)
    if kind == 0:  # a straight stem
        tail = [(0.5 + r, half * 0.8)] * 2 + [(0.5 + r * rng.uniform(0.3, 1.0), 1)]
    elif kind == 1:  # a bow
        tail = [(0.5 + r * 0.98, 0.55), (0.66, 0.88), (0.45, 1), (rng.uniform(0.15, 0.3), 0.93)]
    else:
        tail = [(0.5 + r * 0.9, 0.6), (rng.uniform(0.42, 0.6), 1)]
    return [np.concatenate([ring, tail])]


WRITERS = [_zero, _one, _two, _three, _four, _five, _six, _seven, _eight, _nine]


@cache
def hershey(font: str):
    """A stroke font as {character: list of strokes}, one unit per font unit."""
    glyphs, text = {}, (HERSHEY / f"{font}.jhf").read_text(encoding="latin-1")
    lines, code, at = text.split("\n"), 32, 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip():
            continue
        count = int(line[5:8])
        while len(line) < 8 + 2 * count and at < len(lines):  # long glyphs are broken into lines
            line += lines[at]
            at += 1
        pairs = [line[i : i + 2] for i in range(10, 8 + 2 * count, 2)]
        strokes, stroke = [], []
        for pair in pairs:
            if pair == " R":
                strokes.append(stroke)
                stroke = []
            else:
                stroke.append((ord(pair[0]) - ord("R"), ord(pair[1]) - ord("R")))
        strokes.append(stroke)
        glyphs[chr(code)] = [np.array(s, float) for s in strokes if s]
        code += 1
    return glyphs


@cache
def outline(font: str, character: str):
    """The middle line of an outline font's glyph, as a cloud of one-point strokes."""
    face = ImageFont.truetype(str(FONTS / font), 160)
    image = Image.new("L", (320, 320))
    ImageDraw.Draw(image).text((80, 60), character, font=face, fill=255)
    ys, xs = np.nonzero(skeletonize(np.asarray(image) > 127))
    if len(xs) < 20:
        raise ValueError(f"{font} draws nothing for {character!r}")
    return np.stack([xs, ys], 1).astype(float)


def unit(strokes):
    """Scale a drawing to the unit height (or width, if it is wider), kept in proportion."""
    points = np.concatenate(strokes)
    low, high = points.min(0), points.max(0)
    scale = max((high - low).max(), 1e-9)
    centred = 0.5 - (low + high) / 2 / scale
    return [s / scale + centred for s in strokes]


def bend_cloud(points, rng):
    """Deform a cloud of points: `by_hand` without an order of drawing."""
    care = rng.uniform(0.3, 1.0)
    bend = rng.normal(0, 0.03 * care, (2, 2))
    rhythm, phase = rng.uniform(0.4, 1.6, (2, 2)), rng.uniform(0, 2 * np.pi, (2, 2))
    p = points + sum(bend[i] * np.sin(2 * np.pi * rhythm[i] * points[:, ::-1] + phase[i]) for i in range(2))
    slant, turn = rng.normal(0, 0.13), rng.normal(0, 0.08)
    affine = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = affine @ np.array([[rng.uniform(0.75, 1.15), -slant], [0, 1]])
    return (p @ affine.T)[:, None, :]


def digit(value: int, rng):
    """One drawing of a digit, in any unit."""
    source = rng.random()
    if source < 0.8:
        controls = WRITERS[value](rng)
        jittered = [np.asarray(c, float) for c in controls]
        for i, c in enumerate(jittered):
            # A doubled point is a corner: both halves must move together.
            move = rng.normal(0, 0.018, c.shape)
            for k in range(1, len(c)):
                if np.array_equal(c[k], c[k - 1]):
                    move[k] = move[k - 1]
            jittered[i] = c + move
        return by_hand([smooth(c) for c in jittered], rng)
    if source < 0.88:
        glyph = unit(hershey(HERSHEY_FONTS[rng.integers(len(HERSHEY_FONTS))])[str(value)])
        return by_hand(glyph, rng)
    font = OUTLINE_FONTS[rng.integers(len(OUTLINE_FONTS))]
    return list(bend_cloud(unit([outline(font, str(value))])[0], rng))
