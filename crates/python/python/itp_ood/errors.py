"""What fails raises an :class:`OodError`: ``code`` says which input was at fault, as in JavaScript, in ``--json``
and in the command line's exit codes; the message says what is wrong and what to do.
"""

from __future__ import annotations


class OodError(Exception):
    """Something that could not be done."""

    #: The kind of error, one word.
    code: str = "io"

    @property
    def message(self) -> str:
        """What is wrong and what to do."""
        return str(self.args[0]) if self.args else ""


class ModelError(OodError):
    """The ONNX model can't be read, run, or has no linear last layer."""

    code = "model"


class StatsError(OodError, ValueError):
    """The stats file or partial is damaged or holds impossible values."""

    code = "stats"


class MismatchError(OodError, ValueError):
    """Model and stats file, or two partials, don't belong together."""

    code = "mismatch"


class ImageError(OodError, ValueError):
    """An image can't be decoded or has an unusable size."""

    code = "image"


class FeaturesError(OodError, ValueError):
    """Features of the wrong length, or with NaN or infinite values."""

    code = "features"


class OptionsError(OodError, ValueError):
    """An option outside its range, or an unknown name."""

    code = "options"


class DataError(OodError, ValueError):
    """A data set: no images, unknown classes, too few images of a class, a part that would count twice."""

    code = "data"


class FileError(OodError, OSError):
    """A file can't be read or written."""

    code = "io"


class AbortedError(OodError):
    """The user stopped the work."""

    code = "aborted"


_BY_CODE = {
    cls.code: cls
    for cls in (
        ModelError,
        StatsError,
        MismatchError,
        ImageError,
        FeaturesError,
        OptionsError,
        DataError,
        FileError,
        AbortedError,
    )
}


def error(code: str, message: str) -> OodError:
    """The exception of a kind."""
    return _BY_CODE.get(code, OodError)(message)
