"""Chunks and shards that suit an array: a proposal from its shape and data type alone.

What a proposal costs in memory is what the engine itself plans for such a recording.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.enums import (
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.errors import SettingsError
from aqz_core.planning.stream import plan_stream
from aqz_core.plugins import create_plugin_manager
from aqz_core.settings.array import ArraySettings, Dimension
from aqz_core.settings.checks import UINT32_MAX, argument, list_of, text, whole_number
from aqz_core.settings.compression import compression_settings
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.array import check_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from aqz_core.planning.memory import MemoryPlan

__all__ = [
    "AXIS_KINDS",
    "TARGETS",
    "LayoutSuggestion",
    "Target",
    "check_frame_axes",
    "suggest_layout",
]

AXIS_KINDS = {"t": DimensionType.TIME, "c": DimensionType.CHANNEL}
AXIS_KINDS |= dict.fromkeys("zyx", DimensionType.SPACE)
"""What the usual names of axes mean; others are custom axes."""

MAX_OPEN_NBYTES = 64 << 20
"""Chunks of several planes stay incomplete until all of these came, in memory. Where axes inside
of theirs multiply that, chunks get fewer planes."""

MAX_SHARD_CHUNKS = 2**16
"""Chunks of a shard: its index is kept in memory, and takes 16 bytes for each."""

UNLIMITED = 2**31

_SIZES = list_of(f"integers from 0 to {UINT32_MAX}", whole_number(0, UINT32_MAX))

"""Stands for every codec: they need the same memory, but for a few bytes."""


@dataclass(frozen=True, slots=True)
class Target:
    """What chunks and shards are chosen for.

    Attributes
    ----------
    edge
        Pixels of a chunk along Y and X, about.
    chunk_nbytes
        Planes share a chunk until it is about this large.
    shard_nbytes
        A shard is no larger, if it can be, before compression.
    random_access
        Whether the store takes the bytes of a shard in any order.
    purpose
        In a few words.
    """

    edge: int
    chunk_nbytes: int
    shard_nbytes: int
    random_access: bool
    purpose: str


TARGETS = {
    "recording": Target(512, 512 << 10, 128 << 20, True, "fast writing, few files"),
    "viewing": Target(256, 64 << 10, 64 << 20, True, "quick looks at parts of single planes"),
    "object-store": Target(1024, 4 << 20, 512 << 20, False, "few, large objects and requests"),
}
"""What layouts can be proposed for, by name."""


MIN_HALVED = 64
"""Pixels of a plane's edge below which a smaller version of it helps no viewer."""


@dataclass(frozen=True, slots=True)
class LayoutSuggestion:
    """A proposed layout, and what it costs.

    Attributes
    ----------
    target
        What it was made for: a key of `TARGETS`.
    shape
        Of the array; 0 on the first axis if unlimited.
    chunk_shape
        Pixels of a chunk on each axis.
    shard_chunks
        Chunks of a shard on each axis.
    chunk_nbytes, shard_nbytes
        Bytes of a chunk and of a full shard before compression.
    memory_nbytes
        Bound on the memory for pixels that a stream takes if it is given none, bytes.
    least_memory_nbytes
        The smallest ``max_memory`` that such a stream can be opened with, bytes.
    """

    target: str
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    shard_chunks: tuple[int, ...]
    chunk_nbytes: int
    shard_nbytes: int
    memory_nbytes: int
    least_memory_nbytes: int

    @property
    def shard_shape(self) -> tuple[int, ...]:
        """Pixels of a shard on each axis."""
        return tuple(map(operator.mul, self.chunk_shape, self.shard_chunks))

    def file_count(self, frames: int) -> int:
        """Return how many shard files hold the first `frames` frames, full resolution only.

        Frames come in the order of the axes, the last one in front of Y and X counting fastest.
        """
        lead = len(self.shape) - 2
        files = math.prod(
            math.ceil(n / s) for n, s in zip(self.shape[-2:], self.shard_shape[-2:], strict=True)
        )
        for axis in reversed(range(lead)):
            inner = math.prod(self.shape[axis + 1 : lead])
            reached = math.ceil(frames / inner)
            if self.shape[axis]:
                reached = min(reached, self.shape[axis])
            files *= math.ceil(reached / self.shard_shape[axis])
        return files


def suggest_layout(
    shape: Sequence[int],
    dtype: DTypeLike | DataType,
    axes: str | Sequence[str] | None = None,
    *,
    target: str = "recording",
    chunk_shape: Sequence[int] | None = None,
    compressed: bool = True,
    pyramid: bool = False,
) -> LayoutSuggestion:
    """Propose chunks and shards.

    Chunks are cut from planes; where these are small, several along one axis share a chunk: the
    innermost axis that does not count channels. A shard holds whole planes, as many in the order
    in which they come as its size allows.

    Parameters
    ----------
    shape : sequence of int
        Pixels on each axis, Y and X last; 0 on the first of three or more if unlimited.
    dtype : data type
        Of the pixels.
    axes : str or sequence of str, optional
        Name of each axis, such as ``"tczyx"``.
    target : {"recording", "viewing", "object-store"}
        What to choose them for: see `TARGETS`.
    chunk_shape : sequence of int, optional
        Chunks that are settled already; only shards are chosen.
    compressed : bool, default True
        Whether chunks are compressed; affects the need of memory only.
    pyramid : bool, default False
        Whether smaller versions are recorded as well. Planes that are not tiny then have two
        chunks at least on each axis: a pyramid goes down to the level that fits one chunk.

    Returns
    -------
    LayoutSuggestion
        With its need of memory and files.

    Raises
    ------
    SettingsError
        `shape`, `axes` and `chunk_shape` do not describe one array, or the target is unknown.
    MemoryBudgetError
        The machine has too little memory for the layout.

    Examples
    --------
    >>> layout = suggest_layout((0, 2048, 2048), "uint16")
    >>> layout.chunk_shape, layout.shard_chunks
    ((1, 512, 512), (16, 4, 4))
    """
    wanted = _target(target)
    sizes, names = _checked(shape, axes)
    data_type = DataType.of(dtype)
    itemsize = data_type.dtype.itemsize
    chunk = _chunk(sizes, names, itemsize, wanted, pyramid=pyramid)
    if chunk_shape is not None:
        chunk = tuple(argument("chunk_shape", _SIZES, chunk_shape))
        if len(chunk) != len(sizes) or min(chunk) < 1:
            raise SettingsError(
                f"chunks {chunk} must have one size, 1 at least, for each axis of shape {sizes}"
            )
    shard = _shard(sizes, chunk, itemsize, wanted.shard_nbytes)
    array = ArraySettings(
        data_type=data_type,
        dimensions=[
            Dimension(
                name=name,
                kind=AXIS_KINDS.get(name, DimensionType.OTHER),
                array_size_px=size,
                chunk_size_px=pixels,
                shard_size_chunks=chunks,
            )
            for name, size, pixels, chunks in zip(names, sizes, chunk, shard, strict=True)
        ],
        compression=compression_settings("blosc-lz4" if compressed else "none", data_type),
        downsampling_method=DownsamplingMethod.MEAN if pyramid else None,
    )
    if axes is not None:  # without, they have no names to be checked
        check_array(array, f"axes {names}")
    memory = _memory(array, wanted)
    chunk_nbytes = math.prod(chunk) * itemsize
    return LayoutSuggestion(
        target=target,
        shape=sizes,
        chunk_shape=chunk,
        shard_chunks=shard,
        chunk_nbytes=chunk_nbytes,
        shard_nbytes=chunk_nbytes * math.prod(shard),
        memory_nbytes=memory.total,
        least_memory_nbytes=memory.minimum,
    )


def check_frame_axes(names: Sequence[str]) -> None:
    """Raise `SettingsError` if the last two axes are not those of a frame, rows and columns."""
    wrong = [name for name in names[-2:] if AXIS_KINDS.get(name) is not DimensionType.SPACE]
    if not wrong:
        return
    small = [name.lower() if name.lower() in AXIS_KINDS else name for name in names]
    if all(AXIS_KINDS.get(name) is DimensionType.SPACE for name in small[-2:]):
        raise SettingsError(f"axes {list(names)}: write small letters: axes={small}")
    raise SettingsError(
        f"axes {list(names)} must end with the rows and columns of a frame, named y and x; "
        f"{wrong[0]!r} is not one of these"
    )


def _target(name: str) -> Target:
    """Return the target of that name."""
    if name not in TARGETS:
        raise SettingsError(f"target {name!r} is unknown; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def _checked(
    shape: Sequence[int], axes: str | Sequence[str] | None
) -> tuple[tuple[int, ...], list[str]]:
    """Return sizes and names of axes that fit together."""
    sizes = tuple(argument("shape", _SIZES, shape, "for example shape=(0, 512, 512)"))
    names = [""] * len(sizes)
    if isinstance(axes, str):
        names = list(axes)
    elif axes is not None:
        names = argument("axes", list_of("strings", text()), axes, "for example axes='tyx'")
    if len(sizes) < 2 or len(names) != len(sizes):
        raise SettingsError(
            f"shape {sizes} and axes {names} must name the same axes, two at least; "
            "for example shape=(0, 512, 512), axes='tyx'"
        )
    if axes is not None:
        check_frame_axes(names)
    unlimited = len(sizes) > 2 and sizes[0] == 0
    if min(sizes[1:] if unlimited else sizes) < 1:
        raise SettingsError(
            f"shape {sizes}: every axis needs a size of 1 at least; only the first of three or "
            "more may be 0, which means unlimited"
        )
    return sizes, names


def _chunk(
    shape: tuple[int, ...], names: list[str], itemsize: int, target: Target, *, pyramid: bool
) -> tuple[int, ...]:
    """Choose the pixels of a chunk."""
    parts = [2 if pyramid and size >= MIN_HALVED else 1 for size in shape[-2:]]
    edges = [
        _even_part(size, min(target.edge, math.ceil(size / least)))
        for size, least in zip(shape[-2:], parts, strict=True)
    ]
    lead = [1] * (len(shape) - 2)
    along = _shared_axis(shape, names)
    if along is not None:
        inner = math.prod(shape[along + 1 : -2])  # chunks that fill at the same time
        plane_nbytes = shape[-2] * shape[-1] * itemsize
        planes = min(
            target.chunk_nbytes // (math.prod(edges) * itemsize),
            MAX_OPEN_NBYTES // (inner * plane_nbytes),
            shape[along] or UNLIMITED,
        )
        lead[along] = _even_step(shape[along], planes)
    return (*lead, *edges)


def _shared_axis(shape: tuple[int, ...], names: list[str]) -> int | None:
    """Return the axis along which planes may share a chunk, if there is one."""
    lead = range(len(shape) - 2)
    usual = [a for a in lead if AXIS_KINDS.get(names[a]) is not DimensionType.CHANNEL]
    return next((axis for axis in reversed(usual) if shape[axis] != 1), None)


def _even_part(size: int, edge: int) -> int:
    """Return a chunk edge of about `edge` that divides an axis with little left over."""
    return math.ceil(size / max(1, round(size / edge)))


def _even_step(size: int, most: int) -> int:
    """Return a step of `most` at most that divides an axis into parts of nearly one size."""
    most = max(1, most)
    return math.ceil(size / math.ceil(size / most)) if size else most


def _shard(
    shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int, shard_nbytes: int
) -> tuple[int, ...]:
    """Choose the chunks of a shard: whole planes, then on along one axis after the other."""
    grid = [math.ceil((n or UNLIMITED) / c) for n, c in zip(shape, chunk, strict=True)]
    shard = [1] * (len(shape) - 2) + grid[-2:]
    layer_nbytes = math.prod(chunk) * math.prod(grid[-2:]) * itemsize
    room = min(shard_nbytes // layer_nbytes, MAX_SHARD_CHUNKS // math.prod(grid[-2:]))
    for axis in reversed(range(len(shape) - 2)):
        shard[axis] = _even_step(grid[axis] if shape[axis] else 0, room)
        if shard[axis] < grid[axis]:
            break
        room //= shard[axis]
    return tuple(shard)


def _memory(array: ArraySettings, target: Target) -> MemoryPlan:
    """Plan the memory of a stream that records such an array alone."""
    s3 = None if target.random_access else S3Settings()
    stream = StreamSettings(arrays=[array], s3=s3)
    return plan_stream(stream, create_plugin_manager(load_entry_points=False)).memory
