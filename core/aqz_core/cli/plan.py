"""``aqz plan``: proposals for chunks and shards, and what each of them costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from aqz_core.cli.json_output import print_json
from aqz_core.cli.wording import open_console, write_bytes, write_shape
from aqz_core.enums import DataType
from aqz_core.errors import SettingsError
from aqz_core.planning.suggestion import TARGETS, LayoutSuggestion, suggest_layout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlanOptions", "parse_axis_sizes", "run_plan"]


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user asked ``aqz plan`` for.

    Attributes
    ----------
    shape
        Pixels on each axis; 0 on the first if unlimited.
    dtype
        Name of the data type.
    axes
        One letter for each axis; empty for the usual ones.
    target
        A key of `TARGETS`; None proposes a layout for each.
    fps
        Frames a second, where known.
    compressed, pyramid
        As for `suggest_layout`.
    as_json
        Whether to print a JSON document instead of a table.
    """

    shape: tuple[int, ...]
    dtype: str
    axes: str = ""
    target: str | None = None
    fps: float | None = None
    compressed: bool = True
    pyramid: bool = False
    as_json: bool = False


def parse_axis_sizes(text: str, axes: str = "") -> tuple[int, ...]:
    """Return the sizes in a text like ``"0x3x2048x2048"``.

    Two are a frame, of which many come, unless there are as many axes.

    Raises
    ------
    SettingsError
        The text is not a list of whole numbers.
    """
    words = text.lower().replace("×", "x").replace(",", "x").split("x")  # noqa: RUF001
    if not all(word.strip().isdecimal() for word in words):
        raise SettingsError(
            f"shape {text!r} is not a list of sizes; for example 0x2048x2048, where 0 means "
            "as many frames as come"
        )
    sizes = tuple(map(int, words))
    return (0, *sizes) if len(sizes) == 2 != len(axes) else sizes


def run_plan(options: PlanOptions) -> int:
    """Print the proposals and how to use one; return the exit code.

    Raises
    ------
    AqzError
        The options do not describe an array.
    """
    shape = options.shape
    axes = options.axes or ("tyx" if len(shape) == 3 else "tczyx"[-len(shape) :])
    data_type = DataType.of(options.dtype)
    suggestions = [
        suggest_layout(
            shape,
            data_type,
            axes,
            target=target,
            compressed=options.compressed,
            pyramid=options.pyramid,
        )
        for target in ([options.target] if options.target else TARGETS)
    ]
    frame_nbytes = math.prod(shape[-2:]) * data_type.dtype.itemsize
    if options.as_json:
        print_json(_document(suggestions, axes, data_type, frame_nbytes, options.fps))
        return 0
    console = open_console()
    console.print(_summary(shape, axes, data_type, frame_nbytes, options.fps))
    console.print(_table(suggestions, frame_nbytes, options.fps))
    best = suggestions[0]
    console.print(
        "to record so:\n"
        f"  aqz_core.open_stream(path, shape={shape}, dtype={data_type.dtype.name!r}, "
        f"axes={axes!r},\n"
        f"                       chunks={best.chunk_shape}, shards={best.shard_chunks})",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _document(
    suggestions: list[LayoutSuggestion],
    axes: str,
    data_type: DataType,
    frame_nbytes: int,
    fps: float | None,
) -> dict[str, Any]:
    """Return the proposals as JSON values."""
    frames, _ = _counted_frames(suggestions[0].shape, frame_nbytes, fps)
    return {
        "shape": suggestions[0].shape,
        "axes": axes,
        "dtype": data_type.dtype.name,
        "frame_nbytes": frame_nbytes,
        "frames_counted": frames,
        "layouts": [
            {
                "target": one.target,
                "chunks": one.chunk_shape,
                "shards": one.shard_chunks,
                "chunk_nbytes": one.chunk_nbytes,
                "shard_nbytes": one.shard_nbytes,
                "files": one.file_count(frames),
                "memory_nbytes": one.memory_nbytes,
                "least_memory_nbytes": one.least_memory_nbytes,
                "padding": _padding(one) - 1,
            }
            for one in suggestions
        ],
    }


def _summary(
    shape: tuple[int, ...], axes: str, data_type: DataType, frame_nbytes: int, fps: float | None
) -> str:
    """Return what is recorded, in one line."""
    sizes = " x ".join(str(size) if size else "unlimited" for size in shape)
    text = f"{axes}: {sizes} {data_type.dtype.name}, {write_bytes(frame_nbytes)} a frame"
    if fps is None:
        return text
    rate = frame_nbytes * fps
    return f"{text}; at {fps:g} frames/s {write_bytes(rate)}/s, {write_bytes(rate * 3600)} an hour"


def _table(suggestions: list[LayoutSuggestion], frame_nbytes: int, fps: float | None) -> Table:
    """Return a column for each proposal: shapes of five axes are too wide for cells in a row."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    for one in suggestions:
        table.add_column(one.target)
    frames, files = _counted_frames(suggestions[0].shape, frame_nbytes, fps)
    bytes_a_second = frame_nbytes * (fps or 0)
    rows: dict[str, Callable[[LayoutSuggestion], str]] = {
        "good for": lambda one: TARGETS[one.target].purpose,
        "chunk, pixels": lambda one: write_shape(one.chunk_shape),
        "shard, pixels": lambda one: write_shape(one.shard_shape),
        "chunk, raw": lambda one: write_bytes(one.chunk_nbytes),
        "shard, raw": lambda one: write_bytes(one.shard_nbytes),
        files: lambda one: f"{one.file_count(frames):,}",
        "memory taken": lambda one: write_bytes(one.memory_nbytes),
        "memory needed": lambda one: write_bytes(one.least_memory_nbytes),
        "padding": lambda one: f"{_padding(one) - 1:.1%}",
    }
    if fps is not None:
        rows["MB/s to store, raw"] = lambda one: f"{bytes_a_second * _padding(one) / 1e6:,.1f}"
    for label, text in rows.items():
        table.add_row(label, *(text(one) for one in suggestions))
    return table


def _counted_frames(
    shape: tuple[int, ...], frame_nbytes: int, fps: float | None
) -> tuple[int, str]:
    """Return for how many frames files are counted, and what to call their number."""
    if shape[0] or len(shape) == 2:
        return math.prod(shape[:-2]), "files"
    if fps is None:
        return math.ceil(1e12 / frame_nbytes), "files per TB, raw"
    return math.ceil(fps * 3600), "files per hour"


def _padding(one: LayoutSuggestion) -> float:
    """Return the pixels that whole chunks hold for each pixel of the array."""
    axes = [(size, chunk) for size, chunk in zip(one.shape, one.chunk_shape, strict=True) if size]
    return math.prod(math.ceil(size / chunk) * chunk / size for size, chunk in axes)
