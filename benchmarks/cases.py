"""What is recorded: every benchmark case as one row of a table.

A :class:`Case` describes a recording (frames, axes, chunks, codec) without naming a writer, so
that each writer builds its own settings from the same row. This module holds only data and the
arithmetic of sizes; it imports neither a writer nor the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import numpy as np

__all__ = ["GRIDS", "Case", "select"]

Codec = Literal["raw", "lz4", "zstd", "plain-zstd"]
DataKind = Literal["random", "camera"]
Measure = Literal["throughput", "open"]

_KINDS = {"t": "TIME", "c": "CHANNEL", "z": "SPACE", "y": "SPACE", "x": "SPACE"}


@dataclass(frozen=True, slots=True)
class Case:
    """One recording, the same for every writer.

    Attributes
    ----------
    name : str
        Unique among all grids.
    frames : int
        Number of ``append`` calls of one frame each, over all arrays of the stream.
    frame : tuple of int
        Height and width of a frame in pixels.
    chunk, shard : tuple of int
        Pixels per chunk and chunks per shard, one entry per axis.
    dtype : str
        Numpy name of the pixel type.
    axes : str
        One letter per axis, slowest first; the first one is unlimited.
    inner : tuple of int
        Sizes of the axes between the first and the frame.
    codec : str
        ``raw``, ``lz4`` and ``zstd`` (both inside Blosc, byte shuffle), or ``plain-zstd``.
    level : int
        Compression level.
    pyramid : str or None
        Name of a downsampling method, for a multiscale image of full depth.
    data : str
        ``random`` uses the whole range of the type, ``camera`` is Poisson noise on a soft scene.
    arrays : int
        Arrays of the stream, appended to in turn.
    measure : str
        ``open`` rows are about the time to open a stream: their throughput means nothing.
    """

    name: str
    frames: int
    frame: tuple[int, int]
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    dtype: str = "uint16"
    axes: str = "tyx"
    inner: tuple[int, ...] = ()
    codec: Codec = "raw"
    level: int = 1
    pyramid: str | None = None
    data: DataKind = "random"
    arrays: int = 1
    measure: Measure = "throughput"

    def __post_init__(self) -> None:
        """Reject rows whose tuples do not match their axes."""
        if not len(self.axes) == len(self.inner) + 3 == len(self.chunk) == len(self.shard):
            msg = f"case {self.name!r}: axes {self.axes!r} need as many chunk and shard entries"
            raise ValueError(msg)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Case:
        """Build the case from its fields as JSON gives them, lists for tuples."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return cls(**values)

    @property
    def itemsize(self) -> int:
        """Bytes per pixel."""
        return np.dtype(self.dtype).itemsize

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return math.prod(self.frame) * self.itemsize

    @property
    def total_bytes(self) -> int:
        """Bytes appended during the recording."""
        return self.frames * self.frame_bytes

    @property
    def steps(self) -> int:
        """Size of the first axis of each array once all frames are recorded."""
        return math.ceil(self.frames / (self.arrays * math.prod(self.inner)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each array once all frames are recorded."""
        return (self.steps, *self.inner, *self.frame)

    @property
    def shard_shape(self) -> tuple[int, ...]:
        """Pixels per shard, one entry per axis."""
        return tuple(c * s for c, s in zip(self.chunk, self.shard, strict=True))

    @property
    def shard_count(self) -> int:
        """Shard files of the full-resolution level, over all arrays."""
        sides = zip(self.shape, self.shard_shape, strict=True)
        return self.arrays * math.prod(math.ceil(n / s) for n, s in sides)

    @property
    def padded_bytes(self) -> int:
        """Bytes of all chunks of the full-resolution level, ragged edges filled up."""
        sides = zip(self.shape, self.chunk, strict=True)
        return self.arrays * self.itemsize * math.prod(math.ceil(n / c) * c for n, c in sides)

    def axis_kinds(self) -> tuple[str, ...]:
        """Name of the dimension type of each axis."""
        return tuple(_KINDS[axis] for axis in self.axes)

    def scaled(self, factor: float) -> Case:
        """Return the case with `factor` times its frames, but at least 16 whole steps' worth."""
        step = self.arrays * math.prod(self.inner)
        wanted = max(min(self.frames, 16), round(self.frames * factor))
        return replace(self, frames=math.ceil(wanted / step) * step)


_LARGE = (2048, 2048)
_TILE, _TILES = (1, 256, 256), (1, 4, 4)
_BRICK, _BRICKS = (16, 256, 256), (1, 8, 8)
_SMALL = (64, 64)

QUICK = (
    Case("raw-64cube", 256, _LARGE, (64, 64, 64), (1, 16, 16)),
    Case("raw-256", 256, _LARGE, _TILE, _TILES),
    Case("lz4-256-random", 256, _LARGE, _TILE, _TILES, codec="lz4"),
    Case("zstd-256-random", 256, _LARGE, _TILE, _TILES, codec="zstd"),
    Case("lz4-16x256-camera", 256, _LARGE, _BRICK, _BRICKS, codec="lz4", data="camera"),
    Case("zstd-16x256-camera", 256, _LARGE, _BRICK, _BRICKS, codec="zstd", data="camera"),
    Case("raw-8192x256", 8192, (256, 256), (64, 128, 128), (4, 2, 2)),
    Case("mean-256", 256, _LARGE, _TILE, (1, 8, 8), pyramid="MEAN"),
    Case("raw-1024", 256, _LARGE, (1, 1024, 1024), (1, 2, 2)),
    Case("tiny-chunk64", 20_000, _SMALL, (64, 64, 64), (1, 1, 1), "uint8"),
    Case("tiny-chunk256", 20_000, _SMALL, (256, 64, 64), (1, 1, 1), "uint8"),
    Case("tiny-chunk1000", 20_000, _SMALL, (1000, 64, 64), (1, 1, 1), "uint8"),
    Case("tiny-chunk1-shard64", 20_000, _SMALL, (1, 64, 64), (64, 1, 1), "uint8"),
    Case("tiny-chunk1-shard1000", 20_000, _SMALL, (1, 64, 64), (1000, 1, 1), "uint8"),
    Case("open-65536-wide", 2, (4096, 4096), (1, 16, 16), (1, 256, 256), measure="open"),
    Case("open-65536-long", 2, _LARGE, (1, 64, 64), (1024, 8, 8), measure="open"),
)
"""The cases whose figures are kept since the first release: about five minutes a round."""

_HALF = (1, 512, 512)
_VIDEO = ((512, 512), (16, 256, 256), (4, 2, 2))
_PLANES = ((1024, 1024), (1, 1, 1, 512, 512), (1, 1, 8, 2, 2))
_STACKS = ((1024, 1024), (1, 1, 8, 256, 256), (1, 1, 5, 4, 4))
_LONG = (_LARGE, (64, 256, 256), (1, 4, 4))
_ODD = (1501, 2003)

_stack = partial(Case, axes="tczyx", inner=(3, 40))
_camera = partial(Case, data="camera")

EXTRA = (
    Case("u8-raw-256", 512, _LARGE, _TILE, _TILES, "uint8"),
    _camera("u8-zstd-16x256-camera", 256, _LARGE, _BRICK, _BRICKS, "uint8", codec="zstd"),
    Case("f32-raw-256", 128, _LARGE, _TILE, _TILES, "float32"),
    _camera("f32-lz4-16x256-camera", 128, _LARGE, _BRICK, _BRICKS, "float32", codec="lz4"),
    Case("raw-4096x512", 4096, *_VIDEO),
    _camera("lz4-4096x512-camera", 4096, *_VIDEO, codec="lz4"),
    _stack("tczyx-plane", 480, *_PLANES),
    _stack("tczyx-brick", 480, *_STACKS),
    _stack("tczyx-brick-zstd-camera", 480, *_STACKS, codec="zstd", data="camera"),
    Case("raw-64x256", 256, *_LONG),
    _camera("lz4-64x256-camera", 256, *_LONG, codec="lz4"),
    Case("two-arrays-raw", 256, _LARGE, _TILE, _TILES, arrays=2),
    _camera("two-arrays-lz4-camera", 256, _LARGE, _BRICK, _BRICKS, codec="lz4", arrays=2),
    Case("odd-raw-256", 256, _ODD, _TILE, _TILES),
    _camera("odd-zstd-16x256-camera", 256, _ODD, _BRICK, _BRICKS, codec="zstd"),
    Case("odd-mean-256", 256, _ODD, _TILE, (1, 8, 8), pyramid="MEAN"),
    Case("lz4-5-random", 256, _LARGE, _HALF, _TILES, codec="lz4", level=5),
    _camera("lz4-1-camera", 256, _LARGE, _HALF, _TILES, codec="lz4"),
    _camera("lz4-5-camera", 256, _LARGE, _HALF, _TILES, codec="lz4", level=5),
    Case("zstd-5-random", 128, _LARGE, _HALF, _TILES, codec="zstd", level=5),
    _camera("zstd-1-camera", 256, _LARGE, _HALF, _TILES, codec="zstd"),
    _camera("zstd-5-camera", 128, _LARGE, _HALF, _TILES, codec="zstd", level=5),
    Case("plain-zstd-3-random", 256, _LARGE, _HALF, _TILES, codec="plain-zstd", level=3),
    _camera("plain-zstd-3-camera", 128, _LARGE, _HALF, _TILES, codec="plain-zstd", level=3),
)
"""What the quick set leaves out: other types, axes, ragged frames, levels."""

ENDURANCE = (Case("million-frames", 1_000_000, _SMALL, (10, 64, 64), (1, 1, 1), "uint8"),)
"""A million frames in a hundred thousand shards: is the cost per frame constant, memory flat?"""

GRIDS = {"quick": QUICK, "full": QUICK + EXTRA, "endurance": ENDURANCE}


def select(patterns: list[str], grid: str) -> list[Case]:
    """Return the cases of `grid`, or those of any grid whose names match.

    Parameters
    ----------
    patterns : list of str
        Case names or shell patterns; empty for the whole grid.
    grid : str
        A key of :data:`GRIDS`; only used without patterns.

    Raises
    ------
    ValueError
        If a pattern matches no case.
    """
    if not patterns:
        return list(GRIDS[grid])
    every = GRIDS["full"] + GRIDS["endurance"]
    for pattern in patterns:
        if not any(fnmatchcase(case.name, pattern) for case in every):
            msg = f"no case is called {pattern!r}; `--list` shows their names"
            raise ValueError(msg)
    return [c for c in every if any(fnmatchcase(c.name, p) for p in patterns)]
