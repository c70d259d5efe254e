"""What lies on disk after `close`: files, and the bytes of shards, read without any Zarr library.

A finished array says ``index_location: end``; the last bytes of each shard file are its index,
16 bytes per chunk (offset and length, little endian; both all ones when the chunk is missing) and
a CRC-32C of these bytes (Zarr v3, sharding codec, binary shard format).
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

__all__ = ["array_nodes", "assert_finished_array", "read_json", "stored_files"]

_MISSING = np.iinfo(np.uint64).max


def read_json(path: Path) -> dict[str, Any]:
    """Read a metadata document strictly: ``NaN`` and the like are not JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}, which is not JSON")

    document: dict[str, Any] = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    return document


def stored_files(store: Path) -> set[str]:
    """List every file of a store, relative to it."""
    return {file.relative_to(store).as_posix() for file in store.rglob("*") if file.is_file()}


def array_nodes(store: Path) -> dict[Path, dict[str, Any]]:
    """Return the folder and document of every array of a store."""
    documents = {file.parent: read_json(file) for file in store.rglob("zarr.json")}
    return {
        folder: document
        for folder, document in documents.items()
        if document["node_type"] == "array"
    }


def assert_finished_array(folder: Path, document: dict[str, Any]) -> None:
    """Check that an array's files are the chunk grid's, and that every shard ends in its index."""
    files = {path.as_posix() for path in _chunk_files(folder)}
    grid = _names_of_grid(document)
    files.discard("aqz.frames.jsonl")  # tells which frames came by index, or were skipped
    assert files <= grid, f"{folder}: not part of the array: {sorted(files - grid)}"
    codec = document["codecs"][0]
    if codec["name"] != "sharding_indexed":
        return
    configuration = codec["configuration"]
    assert configuration["index_location"] == "end", f"{folder}: {configuration['index_location']}"
    outer = document["chunk_grid"]["configuration"]["chunk_shape"]
    chunks = np.prod(
        [shard // chunk for shard, chunk in zip(outer, configuration["chunk_shape"], strict=True)]
    )
    for file in sorted(files):
        _assert_end_index(folder / file, int(chunks))


def _chunk_files(folder: Path) -> list[Path]:
    """List the files of an array, but for its document."""
    return [
        file.relative_to(folder)
        for file in folder.rglob("*")
        if file.is_file() and file.name != "zarr.json"
    ]


def _names_of_grid(document: dict[str, Any]) -> set[str]:
    """Name the files that an array of this document may have."""
    assert document["chunk_key_encoding"] == {
        "name": "default",
        "configuration": {"separator": "/"},
    }
    counts = [
        -(-size // step)
        for size, step in zip(
            document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"], strict=True
        )
    ]
    return {"/".join(("c", *map(str, index))) for index in product(*map(range, counts))}


def _assert_end_index(file: Path, chunks: int) -> None:
    """Check the index at the end of a shard, and that its chunks lie apart inside the file."""
    content = file.read_bytes()
    assert len(content) >= 16 * chunks + 4, f"{file}: {len(content)} bytes hold no index"
    index, checksum = content[-16 * chunks - 4 : -4], content[-4:]
    computed = google_crc32c.value(index)
    assert computed == int.from_bytes(checksum, "little"), f"{file}: checksum of the end index"
    entries = np.frombuffer(index, "<u8").reshape(-1, 2)
    stored = sorted((int(a), int(a) + int(n)) for a, n in entries if a != _MISSING)
    assert all(n == _MISSING for a, n in entries if a == _MISSING), f"{file}: half-empty entry"
    end = 0
    for start, stop in stored:
        assert start >= end, f"{file}: chunks overlap at byte {start}"
        assert stop > start, f"{file}: chunk without bytes at {start}"
        end = stop
    assert end <= len(content) - 16 * chunks - 4, f"{file}: a chunk reaches into the end index"
