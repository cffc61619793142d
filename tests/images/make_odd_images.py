"""Writes the small files of unusual kinds that tests/decode.rs reads.

    python tests/images/make_odd_images.py        # needs numpy and pillow
"""
import pathlib
import struct
import zlib

import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent


def png(width, height, bit_depth, colour_type, rows):
    """A PNG file by hand: Pillow writes no 16-bit RGB, and no header that lies."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


grey = Image.fromarray(numpy.array([[0, 100], [200, 255]], numpy.uint8))
grey.save(HERE / "grey.png")
Image.fromarray(numpy.array([[[10, 20, 30]]], numpy.uint8)).save(HERE / "one_pixel.png")
rgba = numpy.array([[[255, 0, 0, 255], [0, 255, 0, 128]], [[0, 0, 255, 0], [9, 8, 7, 1]]], numpy.uint8)
Image.fromarray(rgba).save(HERE / "alpha.png")
Image.fromarray(rgba[:, :, :3]).quantize(4).save(HERE / "palette.png")
Image.fromarray(numpy.array([[[80, 255], [90, 0]]], numpy.uint8), "LA").save(HERE / "grey_alpha.png")

# 0, 128, 129, 65535: the second rounds to 0, the third to 1 (257 per step, so 128.5 is half).
grey16 = struct.pack(">B2H", 0, 0, 128) + struct.pack(">B2H", 0, 129, 65535)
(HERE / "grey16.png").write_bytes(png(2, 2, 16, 0, grey16))
(HERE / "rgb16.png").write_bytes(png(1, 1, 16, 2, struct.pack(">B3H", 0, 257 * 7, 257 * 99 + 200, 65535)))
(HERE / "huge_20000.png").write_bytes(png(20000, 20000, 8, 2, b"\0" * 64))
(HERE / "huge_4e9.png").write_bytes(png(2**31 - 1, 2**31 - 1, 8, 2, b"\0" * 64))
(HERE / "lying_size.png").write_bytes(png(3000, 3000, 8, 2, b"\0" * 64))

# 24 x 16, left half red: upright after a turn by EXIF it is 16 x 24 with red on top.
half = numpy.zeros((16, 24, 3), numpy.uint8)
half[:, :12, 0] = 250
image = Image.fromarray(half)
exif = Image.Exif()
exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
image.save(HERE / "rotated.jpg", quality=95, exif=exif)
image.save(HERE / "rotated.webp", lossless=True, exif=exif)

cmyk = Image.new("CMYK", (16, 16), (200, 40, 90, 30))
cmyk.save(HERE / "cmyk.jpg", quality=98)
print("cmyk.jpg by Pillow:", Image.open(HERE / "cmyk.jpg").convert("RGB").getpixel((8, 8)))

frames = [Image.new("RGB", (4, 3), colour) for colour in [(255, 0, 0), (0, 0, 255)]]
frames[0].save(HERE / "animated.gif", save_all=True, append_images=frames[1:])
frames[0].save(HERE / "animated.webp", save_all=True, append_images=frames[1:], lossless=True)
