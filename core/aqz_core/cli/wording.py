"""How sizes, shapes and codecs are worded on the terminal; and the terminal itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from aqz_core.display.printable import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from aqz_core.reading.stored_array import StoredArray

__all__ = ["open_console", "plain", "write_bytes", "write_codecs", "write_shape"]

_WIDTH_OF_A_FILE = 120  # columns, when the output is no terminal


def plain(text: object) -> str:
    """Return text that others wrote as a terminal can show it, and as rich takes it as it is."""
    return escape(visible(text))


def open_console(*, stderr: bool = False) -> Console:
    """Return a console on standard output or error; files and pipes get whole lines."""
    console = Console(highlight=False, stderr=stderr)
    width = None if console.is_terminal else _WIDTH_OF_A_FILE
    return Console(highlight=False, stderr=stderr, width=width)


def write_bytes(nbytes: float) -> str:
    """Return a number of bytes with a decimal unit, as in ``"12.3 MB"``."""
    if nbytes < 1000:
        return f"{int(nbytes)} B"
    for unit in ("kB", "MB", "GB"):
        nbytes /= 1000
        if nbytes < 999.95:
            return f"{nbytes:.1f} {unit}"
    return f"{nbytes / 1000:.1f} TB"


def write_shape(shape: Sequence[int] | None) -> str:
    """Return a shape as in ``"200 x 512 x 512"``; a dash where there is none."""
    return "-" if shape is None else " x ".join(map(str, shape))


def write_codecs(array: StoredArray) -> str:
    """Return the codecs of an array as in ``"blosc lz4 5 bitshuffle"``."""
    return ", ".join(_write_codec(codec) for codec in array.codecs) or "none"


def _write_codec(codec: Mapping[str, Any]) -> str:
    """Return a codec's name and the parts of its configuration that people choose."""
    configuration = codec.get("configuration", {})
    keys = ("cname", "clevel", "level", "shuffle")
    return " ".join([codec["name"], *(str(configuration[k]) for k in keys if k in configuration)])
