"""A corpus of stores that somebody prepared: each costs or harms whoever trusts what it says."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np

import aqz_core as aqz
from aqz_core.chunks.shard_format import MISSING, encode_index

__all__ = ["BOMBS", "TRAPS", "honest_store"]

Hostility = Callable[[Path, Path], object]
"""Takes a store and a file outside of it that must stay as it is."""


def honest_store(path: Path, *, closed: bool = True) -> None:
    """Record six frames, four in a shard, with metadata each."""
    options = {"shape": (0, 16, 16), "chunks": (1, 16, 16), "shards": (4, 1, 1)}
    stream = aqz.open_stream(path, dtype="uint8", compression="none", **options)
    for number in range(6):
        stream.append(np.full((16, 16), number + 1, "uint8"), metadata={"number": number})
    stream.flush()
    if closed:
        stream.close()
        return
    shutil.copytree(path, path.with_name("copy"))
    stream.close()
    shutil.rmtree(path)
    path.with_name("copy").rename(path)


def _edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def _claims(store: Path, *, array: dict[str, Any] | None = None, **aqz_members: Any) -> None:
    """Change members of the array's metadata, and of the attribute ``aqz``."""
    _edit(store / "0/zarr.json", lambda found: found.update(array or {}))
    _edit(store / "zarr.json", lambda found: found["attributes"]["aqz"].update(aqz_members))


def _log(store: Path, line: str) -> None:
    with (store / "0/aqz.frames.jsonl").open("a") as file:
        file.write(line + "\n")


def _separator(store: Path, separator: object) -> None:
    _edit(
        store / "0/zarr.json",
        lambda found: found["chunk_key_encoding"]["configuration"].update(separator=separator),
    )


def _chunks(store: Path, shard: int, chunk: int) -> None:
    def change(found: dict[str, Any]) -> None:
        found["chunk_grid"]["configuration"]["chunk_shape"] = [shard, 16, 16]
        found["codecs"][0]["configuration"]["chunk_shape"] = [chunk, 16, 16]

    _edit(store / "0/zarr.json", change)


def _codec_bomb(store: Path, codec: dict[str, Any], data: bytes) -> None:
    def change(found: dict[str, Any]) -> None:
        found["codecs"][0]["configuration"]["codecs"][1:] = [codec]

    _edit(store / "0/zarr.json", change)
    entries = np.full((4, 2), MISSING, "<u8")
    index_nbytes = len(encode_index(entries))
    entries[0] = index_nbytes, len(data)
    index = encode_index(entries)
    (store / "0/c/0/0/0").write_bytes(index + data + index)


@cache
def _zeros_in_zstd(nbytes: int) -> bytes:
    return bytes(numcodecs.Zstd().encode(np.zeros(nbytes, "u1")))


@cache
def _zeros_in_gzip(megabytes: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return b"".join(parts) + compressor.flush()


def _replace(name: str, make: Callable[[Path, Path], object]) -> Hostility:
    """Put something else in the place of a file of the store, or where there is none."""

    def hostile(store: Path, victim: Path) -> None:
        file = store / name
        file.unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        make(file, victim)

    return hostile


def _link(file: Path, victim: Path) -> None:
    file.symlink_to(victim)


def _link_to_folder(file: Path, victim: Path) -> None:
    file.symlink_to(victim.parent)


def _fifo(file: Path, _: Path) -> None:
    os.mkfifo(file)


def _set_scale(attributes: dict[str, Any], scale: float) -> None:
    """Put a scale in the place of every one that is stored."""
    for axis in attributes["aqz"]["axes"]:
        axis["scale"] = axis["origin"] = scale
    for level in attributes["ome"]["multiscales"][0]["datasets"]:
        for step in level["coordinateTransformations"]:
            step["scale"] = [scale for _ in step["scale"]]


def _set_path(attributes: dict[str, Any], path: str) -> None:
    attributes["ome"]["multiscales"][0]["datasets"][0]["path"] = path


MANY = 2**40
ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}

BOMBS: dict[str, Hostility] = {
    "a line that skips 2^40": lambda s, _: _log(s, f'{{"skipped":[0,{MANY}]}}'),
    "a line that appends 2^40": lambda s, _: (_log(s, f'{{"appended":{MANY}}}'), _claims(s)),
    "an index of 2^40": lambda s, _: (_log(s, f'{{"index":[{MANY}]}}'), _claims(s, frames=None)),
    "2^29 frames": lambda s, _: _claims(s, array={"shape": [2**29, 16, 16]}, frames=2**29),
    "2^29 frames with gaps": lambda s, _: _claims(
        s, array={"shape": [2**29, 16, 16]}, frames=2**29, gaps=True
    ),
    "planes without pixels": lambda s, _: _claims(s, array={"shape": [6, 0, 16]}),
    "a scale of 10^400": lambda s, _: _edit(
        s / "zarr.json", lambda found: _set_scale(found["attributes"], 10**400)
    ),
    "an image of a name too long": lambda s, _: _edit(
        s / "zarr.json", lambda found: _set_path(found["attributes"], "1" * 300)
    ),
    "2^24 frames": lambda s, _: _claims(s, array={"shape": [2**24, 16, 16]}, frames=2**24),
    "planes of 2^80 pixels": lambda s, _: _claims(s, array={"shape": [6, MANY, MANY]}),
    "shards of 2^40 chunks": lambda s, _: _chunks(s, MANY, 1),
    "chunks of 2^40 planes": lambda s, _: _chunks(s, MANY, MANY),
    "half a gigabyte in zstd": lambda s, _: _codec_bomb(s, ZSTD, _zeros_in_zstd(1 << 29)),
    "half a gigabyte in gzip": lambda s, _: _codec_bomb(s, GZIP, _zeros_in_gzip(1 << 9)),
    "deep metadata": lambda s, _: (s / "0/zarr.json").write_text("[" * 100_000),
    "deep attributes": lambda s, _: _edit(
        s / "zarr.json",
        lambda found: found["attributes"].update(deep=json.loads("[" * 900 + "]" * 900)),
    ),
    "a deep line": lambda s, _: _log(s, "[" * 100_000),
    "a number of 10,000 digits": lambda s, _: (s / "0/zarr.json").write_text(
        f'{{"zarr_format":{"9" * 10_000}}}'
    ),
    "a log of 64 GB of nothing": lambda s, _: os.truncate(s / "0/aqz.frames.jsonl", 1 << 36),
    "metadata of 64 GB of nothing": lambda s, _: os.truncate(s / "0/zarr.json", 1 << 36),
    "a shard of a TB of nothing": lambda s, _: os.truncate(s / "0/c/0/0/0", 1 << 40),
    "separator 7": lambda s, _: _separator(s, 7),
    "no separator": lambda s, _: _separator(s, ""),
}
"""Stores that take all memory or time of whoever believes them."""

TRAPS: dict[str, Hostility] = {
    "a link as log": _replace("0/aqz.frames.jsonl", _link),
    "a link as shard": _replace("0/c/1/0/0", _link),
    "a link as metadata": _replace("0/zarr.json", _link),
    "a link as temporary name": _replace("zarr.json.aqz-partial", _link),
    "a link as temporary name of a repair": _replace("zarr.json.aqz-repair", _link),
    "a link as shard to come": _replace("0/c/2/0/0.aqz-partial", _link),
    "a link as folder": _replace("0/c/2", _link_to_folder),
    "a FIFO as metadata": _replace("0/zarr.json", _fifo),
    "a FIFO as root": _replace("zarr.json", _fifo),
    "a FIFO as shard": _replace("0/c/1/0/0", _fifo),
    "a FIFO as log": _replace("0/aqz.frames.jsonl", _fifo),
    "a device as metadata": _replace("0/zarr.json", lambda file, _: file.symlink_to("/dev/zero")),
}
"""Stores that lead out of themselves, or hold what is waited for without end."""
