"""TIFF files and NDTiff datasets that somebody prepared: they cost or harm who believes."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

__all__ = ["DATASETS", "FILES", "honest_dataset"]

Maker = Callable[[Path, Path], Path]
"""Makes something hostile in a folder, beside a file that is no part of it; returns its path."""

MANY = 2**31 - 1
GRAY = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 278: 16}


def tiff(
    folder: Path, directories: list[tuple[dict[int, Any], int]], size: int = 0, tail: bytes = b""
) -> Path:
    """Write directories of tags, each with the place of the next one; pixels lie at 8192.

    A value is a number, or type, count and number.
    """
    file = folder / "a.tif"
    parts = [struct.pack("<2sHI", b"II", 42, 8)]
    for tags, following in directories:
        parts.append(struct.pack("<H", len(tags)))
        for code, value in sorted(tags.items()):
            kind, count, number = value if isinstance(value, tuple) else (4, 1, value)
            parts.append(struct.pack("<HHII", code, kind, count, number))
        parts.append(struct.pack("<I", following))
    content = b"".join(parts)
    file.write_bytes(content.ljust(max(size, 8192 + len(tail)), b"\0"))
    with file.open("r+b") as opened:
        opened.seek(8192)
        opened.write(tail or bytes(256))
    return file


def page(**changed: Any) -> dict[int, Any]:
    """Return the tags of a page of 16 x 16 pixels, some changed: ``_257=...``."""
    return GRAY | {273: 8192, 279: 256} | {int(key[1:]): value for key, value in changed.items()}


def _places(number: int, following: Callable[[int], int]) -> list[tuple[dict[int, Any], int]]:
    """Return directories in a row; `following` tells the number of the one after each."""
    nbytes = 2 + 12 * len(page()) + 4
    return [(page(), 8 + nbytes * following(n)) for n in range(number)]


def ome(folder: Path, xml: str) -> Path:
    """Write a TIFF file of one page with OME-XML."""
    root = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{xml}</OME>'
    file = folder / "a.ome.tif"
    tifffile.imwrite(file, np.zeros((16, 16), "u1"), description=root, metadata=None)
    return file


def _pixels(sizes: str = 'SizeT="1"', data: str = '<TiffData IFD="0"/>', name: str = "a") -> str:
    given = {"T": 1, "C": 1, "Z": 1}
    rest = " ".join(f'Size{axis}="1"' for axis in given if f"Size{axis}" not in sizes)
    return (
        f'<Image ID="Image:0" Name="{name}"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
        f'Type="uint8" SizeX="16" SizeY="16" {rest} {sizes}>{data}</Pixels></Image>'
    )


def _names(name: str) -> str:
    uuid = f'<UUID FileName="{name}">urn:uuid:0</UUID>'
    return _pixels('SizeT="2"', f'<TiffData IFD="0" FirstT="1" PlaneCount="1">{uuid}</TiffData>')


def _beside(folder: Path, xml: str, make: Callable[[Path], object]) -> Path:
    make(folder / "b.tif")
    return ome(folder, xml)


def _deflated(folder: Path, nbytes: int) -> Path:
    bomb = zlib.compress(bytes(nbytes), 9)
    return tiff(folder, [(page(_259=8, _279=len(bomb)), 0)], tail=bomb)


def _tiled(folder: Path, tiles: int) -> Path:
    """Claim many tiles that are all the same one."""
    tail = zlib.compress(bytes(256 * 256))
    places = struct.pack("<I", 8192) * tiles**2
    counts = struct.pack("<I", len(tail)) * tiles**2
    claims = {
        256: 256 * tiles,
        257: 256 * tiles,
        258: 8,
        259: 8,
        262: 1,
        277: 1,
        322: 256,
        323: 256,
    }
    at = 8192 + len(tail)
    claims |= {324: (4, tiles**2, at), 325: (4, tiles**2, at + len(places))}
    return tiff(folder, [(claims, 0)], tail=tail + places + counts)


def _imagej(folder: Path, said: str) -> Path:
    file = folder / "a.tif"
    tifffile.imwrite(
        file, np.zeros((16, 16), "u1"), description=f"ImageJ=1.11a\n{said}\n", metadata=None
    )
    return file


def _shaped(folder: Path, shape: list[int]) -> Path:
    file = folder / "a.tif"
    said = json.dumps({"shape": shape})
    tifffile.imwrite(file, np.zeros((16, 16), "u1"), description=said, metadata=None)
    return file


def _cut(folder: Path, nbytes: int) -> Path:
    file = ome(folder, _pixels())
    os.truncate(file, nbytes)
    return file


def _modulo(end: str) -> str:
    along = f'<ModuloAlongT Type="phase" Start="0" End="{end}" Step="1"/>'
    value = f"<Value><Modulo>{along}</Modulo></Value>"
    namespace = "openmicroscopy.org/omero/dimension/modulo"
    xml = f'<XMLAnnotation ID="A:0" Namespace="{namespace}">{value}</XMLAnnotation>'
    return f"<StructuredAnnotations>{xml}</StructuredAnnotations>"


def _laughs(folder: Path) -> Path:
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
    )
    file = folder / "a.ome.tif"
    text = f'<?xml version="1.0"?><!DOCTYPE OME [{entities}]><OME>&a11;</OME>'
    tifffile.imwrite(file, np.zeros((16, 16), "u1"), description=text, metadata=None)
    return file


FILES: dict[str, Maker] = {
    "a directory after itself": lambda f, _: tiff(f, [(page(), 8)]),
    "a circle of 150": lambda f, _: tiff(f, _places(150, lambda n: (n + 1) % 150), 1 << 16),
    "a circle behind 150": lambda f, _: tiff(
        f, _places(150, lambda n: min(n + 1, 120) if n == 149 else n + 1), 1 << 16
    ),
    "a circle inside": lambda f, _: tiff(f, [(page(_330=8), 0)]),
    "directories upon each other": lambda f, _: _overlapping(f),
    "a tag of 16 GB": lambda f, _: tiff(f, [(page(_270=(2, MANY, 100)), 0)]),
    "16 GB of places": lambda f, _: tiff(f, [(page(_273=(16, MANY, 100), _279=(4, MANY, 9)), 0)]),
    "a thousand tags of a megabyte": lambda f, _: tiff(
        f, [(page(**{f"_{n}": (2, 1 << 20, 100) for n in range(60000, 60500)}), 0)], 1 << 20
    ),
    "2^31 rows": lambda f, _: tiff(f, [(page(_257=MANY, _278=MANY), 0)]),
    "2^62 pixels": lambda f, _: tiff(f, [(page(_256=MANY, _257=MANY, _278=MANY), 0)]),
    "2^31 rows deflated": lambda f, _: tiff(f, [(page(_257=MANY, _278=MANY, _259=8), 0)]),
    "half a gigabyte deflated": lambda f, _: _deflated(f, 1 << 29),
    "a gigabyte of one tile": lambda f, _: _tiled(f, 128),
    "2^31 samples": lambda f, _: tiff(f, [(page(_277=65535, _262=2), 0)]),
    "2^31 times": lambda f, _: ome(f, _pixels(f'SizeT="{MANY}"')),
    "10^100 times": lambda f, _: ome(f, _pixels(f'SizeT="1{"0" * 100}"')),
    "-1 times": lambda f, _: ome(f, _pixels('SizeT="-1"')),
    "2^31 planes": lambda f, _: ome(f, _pixels(data=f'<TiffData PlaneCount="{MANY}"/>')),
    "a plane at 2^31": lambda f, _: ome(f, _pixels(data=f'<TiffData FirstT="{MANY}" IFD="0"/>')),
    "2^31 phases": lambda f, _: ome(f, _modulo(str(MANY)) + _pixels()),
    "phases without end": lambda f, _: ome(f, _modulo("inf") + _pixels()),
    "escapes in a name": lambda f, _: ome(f, _pixels(name="&#x9b;31m")),
    "a file elsewhere": lambda f, outside: ome(
        f, _names(f"../{outside.parent.name}/{outside.name}")
    ),
    "a file by its path": lambda f, outside: ome(f, _names(str(outside))),
    "a FIFO beside it": lambda f, _: _beside(f, _names("b.tif"), os.mkfifo),
    "a link beside it": lambda f, outside: _beside(
        f, _names("b.tif"), lambda file: file.symlink_to(outside)
    ),
    "a device beside it": lambda f, _: _beside(
        f, _names("b.tif"), lambda file: file.symlink_to("/dev/zero")
    ),
    "a circle beside it": lambda f, _: _beside(
        f, _names("b.tif"), lambda file: tiff(f, [(page(), 8)]).rename(file)
    ),
    "entities": lambda f, _: _laughs(f),
    "2^31 images of ImageJ": lambda f, _: _imagej(f, f"images={MANY}\nframes={MANY}"),
    "numbers of ImageJ": lambda f, _: _imagej(f, "images=1\nspacing=much\nfinterval=inf"),
    "a shape of 2^62": lambda f, _: _shaped(f, [MANY, MANY, 16, 16]),
    "cut in the header": lambda f, _: _cut(f, 6),
    "cut in a directory": lambda f, _: _cut(f, 30),
    "cut in the pixels": lambda f, _: _cut(f, 600),
    "64 GB of nothing": lambda f, _: _grown(ome(f, _pixels())),
}
"""TIFF files that take all memory or time of whoever believes them, or lead elsewhere."""


def _overlapping(folder: Path) -> Path:
    """Write directories that begin every two bytes, each with thousands of tags."""
    numbers = np.full(1 << 15, 4000, "<u2")
    file = folder / "a.tif"
    head = struct.pack("<2sHI", b"II", 42, 8)
    content = bytearray(head + numbers.tobytes())
    for n in range(1000):  # the next one's place lies behind the tags
        struct.pack_into("<I", content, 8 + 2 + 4000 * 12 + 4 * n, 8 + 4 * (n + 1))
    file.write_bytes(content)
    return file


def _grown(file: Path) -> Path:
    os.truncate(file, 1 << 36)
    return file


# ---- NDTiff -------------------------------------------------------------------------------------


def honest_dataset(folder: Path) -> Path:
    """Write four frames of 16 x 16 pixels, and return their folder."""
    import ndstorage

    written = ndstorage.NDTiffDataset(str(folder), name="nd", summary_metadata={}, writable=True)
    for t in range(4):
        written.put_image({"time": t}, np.full((16, 16), t, "u2"), {"number": t})
    written.finish()
    written.close()
    return folder / "nd_1"


def _entry(axes: object, name: str = "nd_NDTiffStack.tif", **changed: int) -> bytes:
    """Return an entry of an index."""
    told = {"offset": 60, "width": 16, "height": 16, "type": 1, "packed": 0}
    told |= {"start": 60, "length": 0, "metadata": 0} | changed
    numbers = struct.pack("=8I", *told.values())
    text, file = json.dumps(axes).encode(), name.encode()
    return b"".join(
        (struct.pack("=I", len(text)), text, struct.pack("=I", len(file)), file, numbers)
    )


def _indexed(folder: Path, *entries: bytes) -> Path:
    dataset = honest_dataset(folder)
    with (dataset / "NDTiff.index").open("ab") as file:
        file.write(b"".join(entries))
    return dataset


def _with(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    dataset = honest_dataset(folder)
    (dataset / name).unlink(missing_ok=True)
    make(dataset / name)
    return dataset


def _summary(folder: Path, length: int, size: int = 0) -> Path:
    dataset = honest_dataset(folder)
    (stack,) = dataset.glob("*.tif")
    with stack.open("r+b") as file:
        file.seek(24)
        file.write(struct.pack("=I", length))
        file.truncate(size or stack.stat().st_size)
    return dataset


def _diagonal(folder: Path, number: int) -> Path:
    """Give each of six axes its values in frames of their own."""
    return _indexed(folder, *(_entry({f"a{axis}": n}) for axis in range(6) for n in range(number)))


DATASETS: dict[str, Maker] = {
    "an entry of 4 GB": lambda f, _: _indexed(f, struct.pack("=I", 2**32 - 1)),
    "a name of 4 GB": lambda f, _: _indexed(
        f, struct.pack("=I", 2), b"{}", struct.pack("=I", 2**32 - 1)
    ),
    "a cut entry": lambda f, _: _indexed(f, _entry({"time": 4})[:-7]),
    "entries of nothing": lambda f, _: _indexed(f, bytes(100_000)),
    "a deep entry": lambda f, _: _indexed(
        f, struct.pack("=I", 200_000), b"[" * 200_000, _entry({"time": 4})
    ),
    "axes that are a list": lambda f, _: _indexed(f, _entry([1])),
    "axes of lists": lambda f, _: _indexed(f, _entry({"time": [1]})),
    "axes of nothing": lambda f, _: _indexed(f, _entry({"time": None})),
    "an axis y": lambda f, _: _indexed(f, _entry({"y": 1})),
    "an axis self": lambda f, _: _indexed(f, _entry({"self": 1})),
    "a time of 10^100": lambda f, _: _indexed(f, _entry({"time": 10**100})),
    "most places empty": lambda f, _: _diagonal(f, 100),
    "frames of 2^62 pixels": lambda f, _: _indexed(f, _entry({"time": 4}, width=MANY, height=MANY)),
    "frames of 4 GB of metadata": lambda f, _: _indexed(f, _entry({"time": 4}, length=2**32 - 1)),
    "one frame a million times": lambda f, _: _indexed(
        f, *(_entry({"time": n}, length=100) for n in range(100_000))
    ),
    "a frame of another size": lambda f, _: _indexed(f, _entry({"time": 4}, width=8)),
    "an unknown type": lambda f, _: _indexed(f, _entry({"time": 4}, type=77)),
    "a file elsewhere": lambda f, outside: _indexed(
        f, _entry({"time": 4}, f"../../{outside.parent.name}/{outside.name}")
    ),
    "a file by its path": lambda f, outside: _indexed(f, _entry({"time": 4}, str(outside))),
    "a file that is not there": lambda f, _: _indexed(f, _entry({"time": 4}, "none.tif")),
    "a FIFO as file": lambda f, _: _with(f, "b.tif", os.mkfifo),
    "a link as file": lambda f, outside: _with(f, "b.tif", lambda p: p.symlink_to(outside)),
    "a device as file": lambda f, _: _with(f, "b.tif", lambda p: p.symlink_to("/dev/zero")),
    "a FIFO as index": lambda f, _: _with(f, "NDTiff.index", os.mkfifo),
    "a device as index": lambda f, _: _with(f, "NDTiff.index", lambda p: p.symlink_to("/dev/zero")),
    "an index of 64 GB": lambda f, _: _sparse(honest_dataset(f), "NDTiff.index"),
    "4 GB of summary": lambda f, _: _summary(f, 2**32 - 1),
    "4 GB of summary that are there": lambda f, _: _summary(f, 2**32 - 100, 2**32),
    "several resolutions": lambda f, _: _with(f, "Full resolution", Path.mkdir),
}
"""Datasets of NDTiff that take all memory or time of whoever believes them, or lead elsewhere."""


def _sparse(dataset: Path, name: str) -> Path:
    os.truncate(dataset / name, 1 << 36)
    return dataset
