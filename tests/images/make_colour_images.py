"""Writes tests/images/colour: one picture in files that browsers show in different colours.

    python tests/images/make_colour_images.py        # needs numpy and pillow

pixels.json has, of each file, the size and the SHA-256 of the RGB pixels that Pillow reads, which knows
nothing of colour profiles: what a training pipeline sees. Alpha is composited over white, EXIF's
orientation is applied, and of an animation the first frame counts.
"""
import hashlib
import io
import json
import pathlib
import struct
import zlib

import numpy
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent / "colour"
WIDTH, HEIGHT = 48, 36


def picture(seed):
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH]
    random = numpy.random.default_rng(seed)
    channels = [128 + 90 * numpy.sin(random.uniform(0, 6) + x * random.uniform(.03, .2) + y * random.uniform(.03, .2))
                + random.normal(0, 10, (HEIGHT, WIDTH)) for _ in range(3)]
    pixels = numpy.clip(numpy.stack(channels, 2), 0, 255).astype(numpy.uint8)
    pixels[4:14, 8:22] = [230, 30, 40]
    pixels[18:30, 30:44] = [20, 200, 60]
    return pixels


def profile(red, green, blue, gamma):
    """An ICC profile of three primaries (XYZ, D50) and one gamma."""
    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = [(b"desc", name), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", xyz((.9642, 1, .8249))), (b"rXYZ", xyz(red)),
            (b"gXYZ", xyz(green)), (b"bXYZ", xyz(blue)), (b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve)]
    table, body = struct.pack(">I", len(tags)), b""
    for kind, data in tags:
        table += kind + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s6H4s", 132 + 12 * len(tags) + len(body), bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ",
                         2020, 1, 1, 0, 0, 0, b"acsp").ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


P3 = profile((.51512, .2412, -.00105), (.29198, .69225, .04189), (.1571, .06657, .78407), 2.2)
ADOBE = profile((.60974, .31111, .01947), (.20528, .62567, .06087), (.14919, .06322, .74457), 2.2)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels, depth=8, extra=b""):
    """By hand: Pillow writes no 16-bit RGB, no gAMA and no cICP. Rows take every filter in turn."""
    height, width, channels = pixels.shape
    step = channels * depth // 8
    rows = pixels.astype(">u2" if depth == 16 else numpy.uint8).reshape(height, -1)
    rows = numpy.frombuffer(rows.tobytes(), numpy.uint8).reshape(height, -1).astype(int)
    left = numpy.pad(rows, ((0, 0), (step, 0)))[:, :-step]
    above = numpy.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = numpy.pad(left, ((1, 0), (0, 0)))[:-1]
    guess = left + above - corner
    distances = numpy.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
    paeth = numpy.choose(distances.argmin(0), [left, above, corner])
    guesses = [numpy.zeros_like(rows), left, above, (left + above) // 2, paeth]
    packed = b"".join(bytes([y % 5]) + ((rows[y] - guesses[y % 5][y]) % 256).astype(numpy.uint8).tobytes() for y in range(height))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)) + extra
            + chunk(b"IDAT", zlib.compress(packed, 9)) + chunk(b"IEND", b""))


def save(name, image, **options):
    image.save(HERE / name, **options)


def jpeg(image, **options):
    """A JPEG file, to be changed."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return bytearray(file.getvalue())


def halved_downwards(pixels):
    """A 4:4:0 JPEG, which Pillow doesn't write: a 4:2:2 one whose blocks, laid side by side there, are read as lying
    above each other. Of 8 columns of colour, the left four belong to the upper block there, so each value is set where
    it is found."""
    height, width = len(pixels) // 16 * 16, pixels.shape[1] // 8 * 8
    tiles = numpy.asarray(Image.fromarray(pixels[:height, :width]).convert("YCbCr"))
    tiles = tiles.reshape(height // 16, 16, width // 8, 8, 3).swapaxes(1, 2).reshape(-1, 16, 8, 3)
    wide = numpy.concatenate([tiles[:, :8], tiles[:, 8:]], 2)
    wide[:, :, :, 1:] = tiles[:, ::2, :, 1:].repeat(2, 2)
    file = jpeg(Image.fromarray(numpy.concatenate(list(wide), 1), "YCbCr"), subsampling=1)
    frame = file.index(b"\xff\xc0")
    file[frame + 5:frame + 9] = struct.pack(">HH", height - 1, width)
    file[frame + 11] = 0x12
    return file


HERE.mkdir(exist_ok=True)
pixels = picture(0)
image, other = Image.fromarray(pixels), Image.fromarray(picture(1))
turned = Image.Exif()
turned[0x0112] = 6

save("plain.jpg", image, quality=90)
save("p3.jpg", image, quality=90, icc_profile=P3)
save("adobe.jpg", image, quality=90, icc_profile=ADOBE)
save("progressive.jpg", image, quality=90, progressive=True)
save("turned.jpg", image, quality=90, exif=turned, icc_profile=P3)
save("full.jpg", image, quality=90, subsampling=0)
save("halved.jpg", image, quality=90, subsampling=1)
(HERE / "halved_downwards.jpg").write_bytes(halved_downwards(pixels))
save("restarts.jpg", image.crop((0, 0, 47, 35)), quality=90, restart_marker_blocks=2)
save("grey.jpg", image.convert("L"), quality=90)
four = Image.fromarray(numpy.dstack([pixels, picture(2)[:, :, 0]]), "CMYK")
# Its first channel is larger than the others.
(HERE / "cmyk.jpg").write_bytes(jpeg(four.crop((0, 0, 47, 35)), subsampling=2))
# Adobe's marker says how the four channels are coded: 2 is YCCK.
ycck = jpeg(four, subsampling=0)
ycck[ycck.index(b"Adobe") + 11] = 2
(HERE / "ycck.jpg").write_bytes(ycck)
save("p3.png", image, icc_profile=P3)
save("turned.png", image, exif=turned)
save("animated.png", image, save_all=True, append_images=[other], default_image=True)
(HERE / "gamma.png").write_bytes(png(pixels, extra=chunk(b"gAMA", struct.pack(">I", 100_000))))
(HERE / "cicp.png").write_bytes(png(pixels, extra=chunk(b"cICP", bytes([12, 13, 0, 1]))))
ramp = numpy.linspace(0, 255, WIDTH).astype(numpy.uint8)[None, :].repeat(HEIGHT, 0)
with_alpha = numpy.dstack([pixels, ramp])
low_bytes = numpy.random.default_rng(3).integers(0, 256, with_alpha.shape)
wide = with_alpha.astype(int) * 256 + low_bytes
(HERE / "alpha.png").write_bytes(png(with_alpha))
(HERE / "wide.png").write_bytes(png(wide[:, :, :3], 16))
(HERE / "wide_grey.png").write_bytes(png(wide[:, :, :1], 16))
(HERE / "wide_alpha.png").write_bytes(png(wide, 16))
(HERE / "wide_grey_alpha.png").write_bytes(png(wide[:, :, 2:], 16))
save("p3.webp", image, quality=90, icc_profile=P3)
save("lossless.webp", image, lossless=True, icc_profile=ADOBE)
save("turned.webp", image, lossless=True, exif=turned)
save("alpha.webp", Image.fromarray(with_alpha), lossless=True, exact=True)
save("animated.webp", image, save_all=True, append_images=[other], lossless=True)
palette = image.quantize(64)
save("plain.gif", palette)
save("animated.gif", palette, save_all=True, append_images=[other.quantize(64)])
save("plain.bmp", image)
# What not every front end reads.
for name, options in {"plain.tiff": {}, "plain.ppm": {}, "plain.avif": {"quality": 100, "subsampling": "4:4:4"}}.items():
    save(f"../{name}", image, **options)


def read(path):
    """RGB as Pillow reads it; of 16-bit values the high byte, which Pillow takes by itself but for grey."""
    opened = ImageOps.exif_transpose(Image.open(io.BytesIO(path.read_bytes())))
    if opened.mode.startswith("I;16"):
        opened = Image.fromarray((numpy.asarray(opened) >> 8).astype(numpy.uint8))
    rgba = numpy.asarray(opened.convert("RGBA")).astype(int)
    alpha = rgba[:, :, 3:]
    return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(numpy.uint8)


# What the CMYK files are in RGB, for browsers, which round otherwise.
for name in ["cmyk", "ycck"]:
    save(f"{name}_as_rgb.png", Image.open(HERE / f"{name}.jpg").convert("RGB"))

found = {}
for path in sorted(HERE.glob("*.*")):
    if path.suffix == ".json":
        continue
    rgb = read(path)
    found[path.name] = {"width": rgb.shape[1], "height": rgb.shape[0], "sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}
(HERE / "pixels.json").write_text(json.dumps(found, indent=2) + "\n")
