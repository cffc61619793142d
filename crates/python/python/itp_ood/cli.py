"""The command ``itp``."""

from __future__ import annotations

import sys

from . import _native


def main() -> int:
    """Runs the command line with the program's arguments."""
    return _native.main(["itp", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
