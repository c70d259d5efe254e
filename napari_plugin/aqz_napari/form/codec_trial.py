"""Trying the codecs on a frame: how fast, and how small."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

import aqz_core as aqz

__all__ = ["CodecResult", "try_codecs"]

_LEAST_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class CodecResult:
    """One codec on one frame.

    Attributes
    ----------
    codec : str
        Name as in the form.
    level : int
        Level it was tried at.
    ratio : float
        Bytes of pixels per byte stored.
    megabytes_per_second : float
        10^6 bytes of pixels a second that one thread encodes.
    """

    codec: str
    level: int
    ratio: float
    megabytes_per_second: float


def try_codecs(
    frame: NDArray[Any], chunk: Sequence[int], shuffle: int = 1, level: int = 1
) -> list[CodecResult]:
    """Encode the chunks of a frame with every codec; takes about a second.

    Parameters
    ----------
    frame : ndarray
        Rows and columns last; what is in front is encoded plane by plane.
    chunk : (int, int)
        Rows and columns of a chunk.
    shuffle : int
        For the Blosc codecs: 0 none, 1 bytes, 2 bits.
    level : int
        For all of them; at most 9.
    """
    tiles = _tiles(frame, int(chunk[-2]), int(chunk[-1]))
    nbytes = sum(tile.nbytes for tile in tiles)
    level = min(level, 9)

    def blosc(name: str) -> Any:
        return numcodecs.Blosc(cname=name, clevel=level, shuffle=shuffle)

    others = {
        "none": None,
        "zstd": numcodecs.Zstd(level=level),
        "gzip": numcodecs.GZip(level=level),
    }
    codecs: dict[str, Any] = {
        name: others[name] if name in others else blosc(name.removeprefix("blosc-"))
        for name in aqz.COMPRESSION_NAMES
    }
    return [_measured(name, codec, level, tiles, nbytes) for name, codec in codecs.items()]


def _tiles(frame: NDArray[Any], rows: int, columns: int) -> list[NDArray[Any]]:
    """Return the chunks of all planes of a frame, contiguous."""
    planes = frame.reshape(-1, *frame.shape[-2:])[:4]
    return [
        np.ascontiguousarray(plane[y : y + rows, x : x + columns])
        for plane in planes
        for y in range(0, plane.shape[0], rows)
        for x in range(0, plane.shape[1], columns)
    ]


def _measured(
    name: str, codec: Any, level: int, tiles: Sequence[NDArray[Any]], nbytes: int
) -> CodecResult:
    """Encode all chunks until it took long enough to time."""
    start, rounds, stored = time.perf_counter(), 0, 0
    while rounds == 0 or time.perf_counter() - start < _LEAST_SECONDS:
        encoded = (tile.tobytes() if codec is None else codec.encode(tile) for tile in tiles)
        stored = sum(len(piece) for piece in encoded)
        rounds += 1
    seconds = time.perf_counter() - start
    return CodecResult(name, level, nbytes / max(1, stored), rounds * nbytes / 1e6 / seconds)
