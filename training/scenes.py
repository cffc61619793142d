"""Pictures that code renders: scenes of the ten CIFAR-10 kinds, and patterns of no kind."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LARGE = 384
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"


def _sky(top, bottom, horizon=LARGE, ground=None):
    """A vertical gradient, with ground below the horizon."""
    ramp = np.linspace(0, 1, horizon)[:, None, None]
    rows = np.array(top) * (1 - ramp) + np.array(bottom) * ramp
    picture = np.broadcast_to(rows, (horizon, LARGE, 3))
    if ground is not None:
        near, far = np.array(ground[1]), np.array(ground[0])
        ramp = np.linspace(0, 1, LARGE - horizon)[:, None, None]
        below = np.broadcast_to(far * (1 - ramp) + near * ramp, (LARGE - horizon, LARGE, 3))
        picture = np.concatenate([picture, below])
    return picture


def _canvas(background, grain=6.0, seed=1):
    noise = np.random.default_rng(seed).normal(0, grain, background.shape)
    image = Image.fromarray(np.clip(background + noise, 0, 255).astype(np.uint8))
    return image, ImageDraw.Draw(image)


def ship():
    image, d = _canvas(_sky((120, 165, 210), (205, 220, 230), 215, ((70, 105, 135), (25, 55, 85))))
    d.polygon([(40, 205), (350, 205), (318, 258), (75, 258)], fill=(35, 40, 60))
    d.polygon([(46, 215), (345, 215), (337, 228), (53, 228)], fill=(165, 40, 35))
    d.rectangle((110, 165, 290, 205), fill=(235, 235, 232))
    d.rectangle((145, 130, 265, 165), fill=(225, 225, 222))
    for x in range(122, 285, 20):
        d.rectangle((x, 178, x + 9, 188), fill=(60, 80, 100))
    for x in (170, 215):
        d.polygon([(x, 130), (x + 26, 130), (x + 22, 88), (x + 4, 88)], fill=(190, 70, 40))
        d.rectangle((x + 3, 88, x + 23, 98), fill=(30, 30, 30))
    d.line([(315, 205), (315, 110)], fill=(60, 60, 60), width=4)
    for i, y in enumerate(range(262, 380, 14)):
        d.line([(10 + 31 * i % 60, y), (120 + 47 * i % 200, y)], fill=(110, 145, 170), width=3)
    return image.filter(ImageFilter.GaussianBlur(1.2))


def airplane():
    image, d = _canvas(_sky((70, 125, 200), (175, 205, 235)))
    body = (225, 228, 232)
    d.polygon([(150, 205), (235, 195), (180, 320), (150, 322)], fill=(170, 175, 182))
    d.polygon([(60, 190), (330, 165), (362, 182), (330, 205), (75, 222), (45, 208)], fill=body)
    d.polygon([(48, 205), (22, 120), (58, 120), (105, 192)], fill=(40, 70, 140))
    d.polygon([(60, 212), (20, 250), (45, 250), (105, 215)], fill=(170, 175, 182))
    d.polygon([(170, 188), (215, 182), (250, 110), (230, 110)], fill=(185, 190, 196))
    for x in range(120, 310, 18):
        d.ellipse((x, 184 - (x - 120) // 14, x + 7, 192 - (x - 120) // 14), fill=(70, 80, 95))
    d.polygon([(330, 172), (352, 178), (336, 184)], fill=(50, 60, 75))
    return image.filter(ImageFilter.GaussianBlur(1.2))


def automobile():
    image, d = _canvas(_sky((190, 205, 215), (225, 228, 226), 200, ((120, 122, 120), (85, 86, 88))))
    d.rectangle((0, 150, 384, 202), fill=(95, 120, 80))
    red, dark = (190, 25, 30), (130, 12, 18)
    d.polygon([(95, 175), (140, 118), (255, 118), (305, 178)], fill=red)
    d.polygon([(112, 174), (148, 128), (195, 128), (195, 174)], fill=(60, 75, 90))
    d.polygon([(204, 128), (248, 128), (284, 174), (204, 174)], fill=(60, 75, 90))
    d.rounded_rectangle((32, 172, 356, 245), 26, fill=red)
    d.rectangle((40, 225, 350, 247), fill=dark)
    d.ellipse((335, 185, 356, 205), fill=(250, 245, 210))
    d.ellipse((30, 185, 48, 203), fill=(240, 120, 60))
    for x in (105, 285):
        d.ellipse((x - 40, 205, x + 40, 285), fill=(22, 22, 24))
        d.ellipse((x - 20, 225, x + 20, 265), fill=(165, 168, 172))
    return image.filter(ImageFilter.GaussianBlur(1.2))


def truck():
    image, d = _canvas(_sky((150, 185, 225), (215, 225, 235), 230, ((140, 135, 125), (95, 92, 88))))
    d.rectangle((20, 80, 245, 240), fill=(228, 226, 220))
    d.rectangle((20, 80, 245, 95), fill=(190, 188, 182))
    d.polygon([(255, 120), (325, 120), (358, 185), (358, 250), (255, 250)], fill=(35, 80, 165))
    d.polygon([(275, 135), (318, 135), (342, 185), (275, 185)], fill=(185, 205, 220))
    d.rectangle((15, 240, 360, 258), fill=(50, 50, 52))
    d.rectangle((340, 225, 360, 240), fill=(250, 240, 190))
    for x in (75, 150, 305):
        d.ellipse((x - 36, 228, x + 36, 300), fill=(20, 20, 22))
        d.ellipse((x - 16, 248, x + 16, 280), fill=(150, 150, 152))
    return image.filter(ImageFilter.GaussianBlur(1.2))


def house():
    image, d = _canvas(_sky((135, 190, 240), (210, 230, 245), 250, ((110, 165, 80), (60, 115, 45))))
    d.rectangle((95, 165, 290, 300), fill=(215, 185, 140))
    d.polygon([(75, 170), (192, 75), (310, 170)], fill=(150, 55, 45))
    d.rectangle((170, 225, 215, 300), fill=(95, 60, 35))
    for x in (115, 235):
        d.rectangle((x, 195, x + 36, 230), fill=(140, 185, 215))
    d.ellipse((310, 30, 360, 80), fill=(255, 225, 90))
    return image


def checkerboard():
    y, x = np.indices((LARGE, LARGE)) // 48
    return Image.fromarray(np.where(((x + y) % 2 == 0)[..., None], (240, 240, 240), (20, 20, 20)).astype(np.uint8))


def stripes():
    y, x = np.indices((LARGE, LARGE))
    wave = np.sin((x + 0.6 * y) / 14)[..., None] > 0
    return Image.fromarray(np.where(wave, (230, 60, 90), (30, 60, 160)).astype(np.uint8))


def rings():
    y, x = np.indices((LARGE, LARGE)) - LARGE / 2
    wave = 0.5 + 0.5 * np.sin(np.hypot(x, y)[..., None] / 9 + np.array([0, 2, 4]))
    return Image.fromarray((255 * wave).astype(np.uint8))


def noise():
    fine = np.random.default_rng(3).integers(0, 256, (96, 96, 3), np.uint8)
    return Image.fromarray(fine).resize((LARGE, LARGE), Image.Resampling.NEAREST)


def blobs():
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    return coarse.resize((LARGE, LARGE), Image.Resampling.BICUBIC)


def gradient():
    y, x = np.indices((LARGE, LARGE)) / LARGE
    return Image.fromarray((255 * np.stack([x, y, 1 - x], -1)).astype(np.uint8))


def fractal():
    y, x = np.indices((LARGE, LARGE)) / LARGE
    c = (x * 3 - 2.2) + 1j * (y * 3 - 1.5)
    z, steps = np.zeros_like(c), np.zeros(c.shape)
    for _ in range(40):
        inside = np.abs(z) < 2
        z[inside] = z[inside] ** 2 + c[inside]
        steps += inside
    t = (steps / 40)[..., None]
    return Image.fromarray((255 * np.concatenate([t**0.4, t, 1 - t], -1)).astype(np.uint8))


def sign():
    image = Image.new("RGB", (LARGE, LARGE), (20, 90, 60))
    d = ImageDraw.Draw(image)
    d.rounded_rectangle((18, 18, 366, 366), 30, outline="white", width=10)
    d.text((192, 130), "OPEN", font=ImageFont.truetype(FONT, 104), fill="white", anchor="mm")
    d.text((192, 255), "24 h", font=ImageFont.truetype(FONT, 96), fill=(255, 220, 60), anchor="mm")
    return image


def house_number():
    image, d = _canvas(_sky((150, 90, 60), (120, 70, 50)), grain=12)
    d.text((192, 192), "37", font=ImageFont.truetype(FONT, 250), fill=(240, 235, 220), anchor="mm")
    return image.filter(ImageFilter.GaussianBlur(2))


def page_of_text():
    image = Image.new("RGB", (LARGE, LARGE), (250, 248, 240))
    d = ImageDraw.Draw(image)
    words = "what a model was not trained on it should not name " * 12
    font = ImageFont.truetype(FONT, 26)
    for i in range(11):
        d.text((14, 14 + 33 * i), words[i * 23 : i * 23 + 22], font=font, fill=(30, 30, 35))
    return image


def night_sky():
    rng = np.random.default_rng(9)
    image, d = _canvas(_sky((5, 5, 25), (20, 20, 50)), grain=2)
    for x, y, r in zip(rng.uniform(0, LARGE, 90), rng.uniform(0, LARGE, 90), rng.uniform(1, 5, 90)):
        d.ellipse((x - r, y - r, x + r, y + r), fill=(255, 250, 220))
    return image


def flat():
    return Image.new("RGB", (LARGE, LARGE), (128, 90, 200))


# file: (what draws it, title)
SCENES = {
    "drawn-ship": (ship, "A steamer, drawn"),
    "drawn-airplane": (airplane, "An airplane, drawn"),
    "drawn-car": (automobile, "A car, drawn"),
    "drawn-truck": (truck, "A truck, drawn"),
    "drawn-house": (house, "A house, drawn"),
    "checkerboard": (checkerboard, "A checkerboard"),
    "stripes": (stripes, "Stripes"),
    "rings": (rings, "Coloured rings"),
    "noise": (noise, "Noise"),
    "blobs": (blobs, "Blurred blobs"),
    "gradient": (gradient, "A gradient"),
    "fractal": (fractal, "The Mandelbrot set"),
    "sign": (sign, "A sign"),
    "house-number": (house_number, "A house number"),
    "text": (page_of_text, "A page of text"),
    "stars": (night_sky, "A night sky, drawn"),
    "flat": (flat, "One flat colour"),
}
