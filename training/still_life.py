"""Things that code renders for the gallery of `things`: round ones on a table, lit from a window.

Each is an ellipsoid, seen by parallel rays; what tells them apart is colour, relief and what is painted on.
"""

import numpy as np
from PIL import Image, ImageFilter

SIDE = 384
LIGHT = np.array([-0.45, -0.65, 0.62]) / np.linalg.norm([-0.45, -0.65, 0.62])


def _smooth(shape, cells: int, seed: int) -> np.ndarray:
    """Smooth noise, -1 to 1."""
    grid = np.random.default_rng(seed).normal(0, 90, (cells, cells)).clip(-255, 255)
    image = Image.fromarray((grid / 2 + 127.5).astype(np.uint8)).resize(shape[::-1], Image.Resampling.BICUBIC)
    return (np.asarray(image, np.float32) - 127.5) / 127.5


def _table(seed: int) -> np.ndarray:
    """A wooden table before a wall out of focus."""
    y, x = np.indices((SIDE, SIDE)) / SIDE
    wall = np.array([196, 190, 180]) * (0.75 + 0.25 * x[..., None]) + 12 * _smooth((SIDE, SIDE), 5, seed)[..., None]
    grain = np.sin(60 * (y + 0.03 * _smooth((SIDE, SIDE), 6, seed + 1))) * 6 + 8 * _smooth((SIDE, SIDE), 90, seed + 2)
    wood = np.array([164, 122, 82]) * (0.8 + 0.3 * (1 - x[..., None])) + grain[..., None] * np.array([1, 0.8, 0.6])
    edge = np.clip((y - 0.42) / 0.02, 0, 1)[..., None]
    scene = wall * (1 - edge) + wood * edge
    return np.asarray(Image.fromarray(scene.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(2)), np.float32)


def render(paint, radii=(0.3, 0.3, 0.3), relief: float = 0.0, cells: int = 60, gloss: float = 0.35, turn: float = 0.0, seed: int = 1) -> Image.Image:
    """An ellipsoid with half axes `radii` (parts of the side), turned by `turn` radians in the image's plane.

    `paint(p)` gives its colour, 0 to 255, at points p [..., 3] of the unit sphere: x right, y down, z to the viewer.
    """
    scene = _table(seed)
    y, x = np.indices((SIDE, SIDE)) / SIDE - 0.5
    y = y - 0.06
    floor = radii[1] if abs(turn) < 0.7 else radii[0]
    shade = np.exp(-(((x - 0.1) / (1.25 * max(radii))) ** 2 + ((y - floor * 0.92) / 0.09) ** 2) * 1.6)
    scene = scene * (1 - 0.62 * shade[..., None])
    u = (x * np.cos(turn) + y * np.sin(turn)) / radii[0]
    v = (-x * np.sin(turn) + y * np.cos(turn)) / radii[1]
    inside = 1 - u**2 - v**2
    w = np.sqrt(inside.clip(0))
    p = np.stack([u, v, w], -1)
    normal = p / np.array(radii)
    bump = _smooth((SIDE, SIDE), cells, seed + 5) * relief
    normal[..., 0] += np.gradient(bump, axis=1) * SIDE / 10
    normal[..., 1] += np.gradient(bump, axis=0) * SIDE / 10
    normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    nx, ny = normal[..., 0] * np.cos(turn) - normal[..., 1] * np.sin(turn), normal[..., 0] * np.sin(turn) + normal[..., 1] * np.cos(turn)
    normal = np.stack([nx, ny, normal[..., 2]], -1)
    diffuse = (normal @ LIGHT).clip(0)
    bounce = (normal @ np.array([0.3, 0.85, 0.2])).clip(0)[..., None] * np.array([0.16, 0.11, 0.07])
    half = LIGHT + np.array([0, 0, 1])
    shine = gloss * 255 * ((normal @ (half / np.linalg.norm(half))).clip(0) ** 45)[..., None]
    colour = np.asarray(paint(p), np.float32) * (0.24 + 0.86 * diffuse[..., None] + bounce) + shine
    cover = np.clip(inside * SIDE * min(radii) / 3, 0, 1)[..., None]
    image = Image.fromarray((scene * (1 - cover) + colour * cover).clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _mix(a, b, share):
    share = np.clip(share, 0, 1)[..., None]
    return np.array(a) * (1 - share) + np.array(b) * share


def _star(p, points: int, size: float):
    """Whether points lie on a star of leaves at the top."""
    angle, away = np.arctan2(p[..., 2] - 0.25, p[..., 0]), np.hypot(p[..., 0], p[..., 2] - 0.25)
    return (p[..., 1] < -0.55) & (away < size * (0.35 + 0.65 * np.abs(np.cos(angle * points / 2)) ** 2))


def orange():
    return render(lambda p: _mix((242, 138, 20), (250, 165, 40), _smooth(p.shape[:2], 20, 3)), (0.29, 0.28, 0.29), relief=0.045, cells=110, gloss=0.3)


def tomato():
    def paint(p):
        return np.where(_star(p, 5, 0.62)[..., None], (70, 120, 45), _mix((205, 30, 18), (220, 60, 25), _smooth(p.shape[:2], 6, 8)))

    return render(paint, (0.31, 0.26, 0.31), gloss=0.8, seed=2)


def lemon():
    return render(lambda p: _mix((245, 215, 40), (235, 200, 30), _smooth(p.shape[:2], 14, 3)), (0.33, 0.235, 0.235), relief=0.03, cells=80, gloss=0.35, turn=0.3, seed=3)


def aubergine():
    def paint(p):
        return np.where((p[..., 0] < -0.78)[..., None], (95, 125, 60), (58, 24, 62))

    return render(paint, (0.4, 0.19, 0.19), gloss=0.9, turn=0.25, seed=4)


def plum():
    return render(lambda p: _mix((78, 30, 80), (110, 50, 95), _smooth(p.shape[:2], 8, 4)), (0.27, 0.25, 0.25), gloss=0.35, seed=5)


def kiwi():
    return render(lambda p: _mix((122, 88, 48), (98, 68, 36), _smooth(p.shape[:2], 120, 4)), (0.31, 0.235, 0.235), relief=0.05, cells=150, gloss=0.05, turn=0.15, seed=6)


def melon():
    """A watermelon."""

    def paint(p):
        stripe = np.sin(9 * np.arctan2(p[..., 2], p[..., 1]) + 1.6 * _smooth(p.shape[:2], 24, 4))
        return _mix((112, 150, 66), (30, 72, 34), stripe * 2 + 0.5)

    return render(paint, (0.38, 0.3, 0.3), gloss=0.3, seed=7)


def potato():
    return render(lambda p: _mix((190, 152, 96), (160, 122, 72), _smooth(p.shape[:2], 40, 4)), (0.36, 0.24, 0.24), relief=0.09, cells=28, gloss=0.06, turn=-0.2, seed=8)


def _icosahedron():
    g = (1 + 5**0.5) / 2
    corners = np.array([(a, b * g, 0) for a in (-1, 1) for b in (-1, 1)] + [(0, a, b * g) for a in (-1, 1) for b in (-1, 1)] + [(b * g, 0, a) for a in (-1, 1) for b in (-1, 1)])
    return corners / np.linalg.norm(corners[0])


def soccer_ball():
    turned = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0]
    corners = _icosahedron() @ turned
    faces = np.array([a + b + c for i, a in enumerate(corners) for j, b in enumerate(corners[:i]) for c in corners[:j] if min(a @ b, b @ c, a @ c) > 0.4])
    faces = faces / np.linalg.norm(faces, axis=1, keepdims=True)

    def paint(p):
        pentagon = (p @ corners.T).max(-1) - 0.934
        best = np.sort(np.concatenate([p @ faces.T, p @ corners.T + 0.006], -1), -1)
        seam = (best[..., -1] - best[..., -2]) < 0.014
        return np.where((pentagon > 0)[..., None], (22, 22, 26), np.where(seam[..., None], (90, 90, 90), (238, 238, 234)))

    return render(paint, (0.36, 0.36, 0.36), gloss=0.25, seed=9)


def marble():
    """A glass marble, as no model of ours knows."""
    return render(lambda p: _mix((30, 60, 190), (240, 240, 250), 0.5 + np.sin(7 * p[..., 0] + 5 * p[..., 1] + 3 * p[..., 2])), (0.3, 0.3, 0.3), gloss=1.0, seed=10)


def beach_ball():
    colours = np.array([(220, 40, 40), (245, 245, 245), (40, 90, 200), (245, 245, 245), (245, 205, 40), (245, 245, 245)])

    def paint(p):
        return colours[((np.arctan2(p[..., 0] + 0.3 * p[..., 1], p[..., 2]) / (2 * np.pi) + 1) * 6).astype(int) % 6]

    return render(paint, (0.37, 0.37, 0.37), gloss=0.5, seed=11)


def globe():
    return render(lambda p: _mix((40, 95, 170), (110, 140, 70), _smooth(p.shape[:2], 7, 12) * 12 - 1), (0.36, 0.36, 0.36), gloss=0.3, seed=12)


# file: (what draws it, title, class)
STILL_LIFE = {
    "still-orange": (orange, "An orange, rendered", "orange or grapefruit"),
    "still-tomato": (tomato, "A tomato, rendered", "tomato"),
    "still-lemon": (lemon, "A lemon, rendered", "lemon or lime"),
    "still-aubergine": (aubergine, "An aubergine, rendered", "aubergine"),
    "still-plum": (plum, "A plum, rendered", "plum"),
    "still-kiwi": (kiwi, "A kiwi, rendered", "kiwi"),
    "still-melon": (melon, "A watermelon, rendered", "melon"),
    "still-potato": (potato, "A potato, rendered", "potato"),
    "still-soccer-ball": (soccer_ball, "A soccer ball, rendered", "soccer ball"),
    "still-marble": (marble, "A marble, rendered", None),
    "still-beach-ball": (beach_ball, "A beach ball, rendered", None),
    "still-globe": (globe, "A globe, rendered", None),
}
