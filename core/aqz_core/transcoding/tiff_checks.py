"""What a TIFF file claims, compared with what it holds, before a library believes it.

tifffile follows directories that go in a circle, opens whatever files OME-XML names, and makes
lists as long as numbers in the file say.
"""

from __future__ import annotations

import glob
import math
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from aqz_core.errors import StorageError
from aqz_core.storage.regular_files import open_regular

if TYPE_CHECKING:
    import xml.etree.ElementTree as ElementTree
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "MOST_PLANES",
    "check_directories",
    "check_neighbours",
    "check_ome",
    "check_page",
    "check_shape",
    "is_plain_name",
]

_MOST_TAGS = 4096
"""In a directory; tifffile takes no more."""

MOST_PLANES = 2**22

_SPARE_NBYTES = 64 << 20
"""What may be claimed whatever the file holds."""

_RATIOS: Final = {1: 1, 8: 1032, 32946: 1032, 5: 2731, 32773: 64}
"""Compression to the most that a byte can be decoded to: none, Deflate, LZW, PackBits."""

_OTHER_RATIO = 4096

_DEFLATE = frozenset({8, 32946})

_SUB_DIRECTORIES = frozenset({330, 34665, 34853, 40965})

_NBYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_NBYTES |= {16: 8, 17: 8, 18: 8}
"""Type of a tag to the size of a value."""


def check_directories(path: str | os.PathLike[str], *, follow: bool = False) -> None:
    """Check that reading all directories and tags takes no more than the file holds.

    Parameters
    ----------
    path
        A TIFF file.
    follow
        Whether it may be a link.

    Raises
    ------
    StorageError
        Directories go in a circle or lie upon each other, a tag claims more than the whole file, or
        it is not a regular file.
    OSError
        It cannot be read.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY, follow=follow), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        claimed, tables = 0, 0
        seen: set[int] = set()
        for offset, table, values in _directories(file, size):
            if offset in seen:
                raise StorageError(f"{os.fspath(path)}: its directories go in a circle")
            seen.add(offset)
            tables += table
            claimed += sum(values)
            if tables > size or max(values, default=0) > size or claimed > _SPARE_NBYTES + 4 * size:
                raise StorageError(f"{os.fspath(path)}: its tags claim more than the file holds")


def _directories(file: Any, size: int) -> Iterator[tuple[int, int, list[int]]]:
    """Yield where each directory is, its size, and the sizes of the values that lie elsewhere."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"+\0", b"\0+"):
        number, tag, offset_format = struct.Struct(order + "Q"), struct.Struct(order + "HHQQ"), "Q"
    else:
        number, tag, offset_format = struct.Struct(order + "H"), struct.Struct(order + "HHII"), "I"
    place = struct.Struct(order + offset_format)
    waiting = [place.unpack_from(head, 8 if offset_format == "Q" else 4)[0]]
    while waiting:
        offset = waiting.pop()
        if not 0 < offset < size:
            continue
        file.seek(offset)
        told = file.read(number.size)
        count = number.unpack(told)[0] if len(told) == number.size else 0
        table = file.read(count * tag.size + place.size) if count <= _MOST_TAGS else b""
        whole = len(table) == count * tag.size + place.size
        values = []
        for code, kind, entries, value in tag.iter_unpack(
            table[: len(table) // tag.size * tag.size]
        ):
            nbytes = entries * _NBYTES.get(kind, 1)
            if nbytes > place.size:
                values.append(nbytes)
            if code in _SUB_DIRECTORIES:
                waiting += _sub_directories(file, order, kind, entries, value, place, size)
        yield offset, number.size + len(table), values
        if whole and count:
            waiting.append(place.unpack_from(table, count * tag.size)[0])


def _sub_directories(
    file: Any, order: str, kind: int, entries: int, value: int, place: struct.Struct, size: int
) -> list[int]:
    """Return where directories inside of a directory are."""
    if entries == 1:
        return [value]
    nbytes = _NBYTES.get(kind, 1)
    if entries * nbytes <= place.size or entries * nbytes > size or nbytes not in (4, 8):
        return []
    file.seek(value)
    found = file.read(entries * nbytes)
    letter = "I" if nbytes == 4 else "Q"
    return [
        offset
        for (offset,) in struct.iter_unpack(order + letter, found[: len(found) // nbytes * nbytes])
    ]


def check_ome(path: Path, root: ElementTree.Element) -> None:
    """Check what OME-XML claims, and the other files that it names.

    Raises
    ------
    StorageError
        It claims more planes than can be listed, or names a file that is not beside this one, or
        not a regular file.
    """
    planes, named = 0, set()
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "Pixels":
            planes += math.prod(_count(path, element.get(f"Size{axis}", "1")) for axis in "TCZ")
        elif tag == "TiffData":
            for key in ("IFD", "FirstT", "FirstC", "FirstZ"):
                _count(path, element.get(key, "0"))
            planes += max(
                _count(path, element.get(key, "0")) for key in ("NumPlanes", "PlaneCount")
            )
        elif tag == "UUID" and element.get("FileName"):
            named.add(element.get("FileName", ""))
        elif tag[:-1].endswith("Along") and "Start" in element.attrib:
            start, end, step = (float(element.get(key, 1)) for key in ("Start", "End", "Step"))
            labels = (end - start) / step if step else math.inf
            planes += _count(path, str(int(labels)) if math.isfinite(labels) else "")
    _count(path, str(planes))
    for name in sorted(named - {path.name}):
        if not is_plain_name(name):
            raise StorageError(f"{path}: it names the file {name!r}, which is not beside it")
        _check_neighbour(path.with_name(name))


def _count(path: Path, text: str) -> int:
    """Return a number that is not too large to be listed."""
    number = int(text) if text.isdecimal() and len(text) < 20 else MOST_PLANES + 1
    if number > MOST_PLANES:
        raise StorageError(
            f"{path}: OME-XML claims {text[:20]!r} planes; from 0 to {MOST_PLANES:,} can be read"
        )
    return number


def is_plain_name(name: str) -> bool:
    """Return whether a name leads to a place beside the file that has it, and nowhere else."""
    return name not in ("", ".", "..") and not {*name} & {"/", "\\", ":", "\0"}


def check_neighbours(path: Path, summary: Any) -> None:
    """Check the other files that tifffile opens for a stack of Micro-Manager.

    Raises
    ------
    StorageError
        One is not beside this file, or is not a regular file.
    """
    prefix = path.name.split("_MMStack")[0]
    told = summary.get("Prefix", prefix) if isinstance(summary, dict) else prefix
    if not isinstance(told, str) or not is_plain_name(told) or told != glob.escape(told):
        raise StorageError(f"{path}: the prefix {told!r} of its files is not a name")
    for start in {prefix, told}:
        for found in path.parent.glob(f"{glob.escape(start)}_MMStack*.tif"):
            if found.name != path.name:
                _check_neighbour(found)


def _check_neighbour(path: Path) -> None:
    """Check another file, which is opened along with the one that was given."""
    try:
        check_directories(path)
    except FileNotFoundError:
        pass  # its planes count as missing
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: cannot be read as TIFF: {error}") from error


def check_shape(path: Path, shape: tuple[int, ...]) -> None:
    """Check that the planes of a series can be listed.

    Raises
    ------
    StorageError
        There are too many.
    """
    if math.prod(shape[:-2]) > MOST_PLANES or min(shape) < 1:
        raise StorageError(
            f"{path}: it claims the shape {tuple(shape)}; from 1 to {MOST_PLANES:,} planes can be "
            "read"
        )


def check_page(page: Any, size: int) -> None:
    """Check, before it is decoded, that a page can be as large as it claims.

    Parameters
    ----------
    page
        Of tifffile.
    size
        Of its file.

    Raises
    ------
    ValueError
        It cannot: the file is too small, or what is stored is more than belongs to the page.
    """
    key = page.keyframe
    compression = int(key.compression)
    counts = page.databytecounts
    stored = min(sum(counts), size)
    if key.nbytes > _SPARE_NBYTES + _RATIOS.get(compression, _OTHER_RATIO) * stored:
        raise ValueError(f"it claims {key.nbytes:,} bytes of pixels, and {stored:,} are stored")
    nbytes = math.prod(key.chunks) * key.dtype.itemsize
    for offset, count in zip(page.dataoffsets, counts, strict=False):
        if count > size or (compression != 1 and count > 2 * nbytes + 65536):
            raise ValueError(f"{count:,} bytes are stored for {nbytes:,} bytes of pixels")
        if compression in _DEFLATE and count * _RATIOS[compression] > nbytes + _SPARE_NBYTES:
            _check_deflated(page.parent.filehandle, offset, count, 2 * nbytes + 65536)


def _check_deflated(file: Any, offset: int, count: int, most: int) -> None:
    """Check that not more than `most` bytes come out, without keeping them."""
    was_closed = file.closed
    if was_closed:
        file.open()
    try:
        file.seek(offset)
        stored = file.read(count)
    finally:
        if was_closed:
            file.close()
    inflating, total = zlib.decompressobj(), 0
    while part := inflating.decompress(stored, 1 << 20):
        stored = inflating.unconsumed_tail
        total += len(part)
        if total > most:
            raise ValueError(f"more than {most:,} bytes of pixels are stored in a strip or tile")
