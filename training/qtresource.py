"""Read the files inside a Qt binary resource (.rcc), as Debian's gcompris-qt-data has them."""

import struct
import zlib
from pathlib import Path

COMPRESSED, FOLDER = 1, 2


def read(path: Path) -> dict[str, bytes]:
    """Return {path inside the resource: bytes}."""
    data = path.read_bytes()
    if data[:4] != b"qres":
        raise SystemExit(f"{path} is no Qt resource file")
    version, tree, contents, names = struct.unpack(">4I", data[4:20])
    node_size = 22 if version >= 2 else 14
    files = {}

    def walk(index: int, folder: str):
        node = data[tree + index * node_size :]
        name_at, flags = struct.unpack(">IH", node[:6])
        length = struct.unpack(">H", data[names + name_at :][:2])[0]
        name = data[names + name_at + 6 :][: 2 * length].decode("utf-16-be") if index else ""
        where = f"{folder}/{name}" if name else folder
        if flags & FOLDER:
            count, first = struct.unpack(">II", node[6:14])
            for child in range(first, first + count):
                walk(child, where)
            return
        at = contents + struct.unpack(">I", node[10:14])[0]
        size = struct.unpack(">I", data[at : at + 4])[0]
        body = data[at + 4 : at + 4 + size]
        files[where] = zlib.decompress(body[4:]) if flags & COMPRESSED else body

    walk(0, "")
    return files
