"""Scattering a frame into the tiles of a column, and gathering it back: one copy each way.

numpy copies a four-dimensional view of small tiles element by element. Viewed as rows of `void`,
each as wide as a tile, the same copy moves whole tile rows and runs near memory speed. A column at
the edge of the array has up to four kinds of tiles (whole, cut on the right, cut at the bottom, cut
at both): each kind is one `_Patch`, one such copy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from aqz_core.planning.layout import ArrayLayout, Column

__all__ = ["ColumnTiling", "Tiles"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Patch:
    """Equally cut tiles of a column: what they cover of the frame, and where they lie."""

    rows: slice
    cols: slice
    tile_rows: slice
    tile_cols: slice
    height: int
    width: int
    row_type: np.dtype[np.void]

    def of_frame(self, frame: Array) -> Array:
        """View the patch in a frame as (tile row, tile column, row of the tile)."""
        rows = frame[self.rows, self.cols].view(self.row_type)
        return rows.reshape(-1, self.height, rows.shape[1]).transpose(0, 2, 1)

    def of_tiles(self, tiles: Array) -> Array:
        """View the patch in every slot of a buffer, with the same three axes last."""
        cut = tiles[:, self.tile_rows, self.tile_cols, :, : self.height, : self.width]
        return cut.view(self.row_type)[..., 0].transpose(0, 3, 1, 2, 4)


SMALL_NBYTES = 32 << 10
"""Frames up to this are copied without giving up the interpreter lock: to get it back from another
thread takes longer than the copy."""


class ColumnTiling:
    """How frames map to the tiles of one column.

    Parameters
    ----------
    layout
        The array's chunk grid.
    column
        One of ``layout.columns``.
    """

    def __init__(self, layout: ArrayLayout, column: Column) -> None:
        self.column = column
        self.dtype = layout.dtype
        self.fill_value = layout.fill_value
        height, width = layout.chunk_shape[-2:]
        self.shape = (
            layout.buffer_chunks,
            len(column.rows),
            len(column.cols),
            layout.buffer_planes,
            height,
            width,
        )
        self.nbytes = layout.buffer_nbytes(column)
        frame_height, frame_width = layout.frame_shape
        self.patches = tuple(
            _patch(rows, cols, layout.dtype)
            for rows in _cuts(column.rows, height, frame_height)
            for cols in _cuts(column.cols, width, frame_width)
        )
        self._cut_rows = (column.rows.stop * height) - frame_height
        self._cut_cols = (column.cols.stop * width) - frame_width
        self.is_frame = self.shape[1:3] == (1, 1) and (height, width) == layout.frame_shape

    def tiles(self, memory: npt.NDArray[np.uint8]) -> Tiles:
        """Return the tiles laid out in `memory`, of at least `nbytes` bytes."""
        tiles = memory[: self.nbytes].view(self.dtype).reshape(self.shape)
        self._pad_edges(tiles)
        return Tiles(self, tiles)

    def _pad_edges(self, tiles: Array) -> None:
        """Give pixels outside the array the fill value: buffers come with old pixels in them."""
        if self._cut_rows > 0:
            tiles[:, -1, :, :, -self._cut_rows :, :] = self.fill_value
        if self._cut_cols > 0:
            tiles[:, :, -1, :, :, -self._cut_cols :] = self.fill_value


class Tiles:
    """The tiles of one column in one buffer: the destination of frames.

    Attributes
    ----------
    array
        Shape (chunk layers, chunk rows, chunk columns, planes, chunk height, chunk width).
    put
        As `scatter`, for frames of contiguous memory.
    """

    __slots__ = ("_bytes", "_frame_nbytes", "_frames", "_patches", "_planes", "array", "put")

    def __init__(self, tiling: ColumnTiling, array: Array) -> None:
        self.array = array
        self._planes = tiling.shape[3]
        self._frames = array.reshape(-1, *tiling.shape[4:]) if tiling.is_frame else None
        self._patches = () if tiling.is_frame else [(p, p.of_tiles(array)) for p in tiling.patches]
        self.put = self.scatter
        frame_nbytes = math.prod(tiling.shape[4:]) * array.itemsize
        if tiling.is_frame and frame_nbytes <= SMALL_NBYTES:
            self._bytes = array.data.cast("B")
            self._frame_nbytes = frame_nbytes
            self.put = self._put_small

    def scatter(self, frame: Array, slot: int) -> None:
        """Copy the column's part of a frame of shape (Y, X) into `slot`."""
        if self._frames is not None:
            self._frames[slot] = frame
            return
        place = divmod(slot, self._planes)
        for patch, tiles in self._patches:
            np.copyto(tiles[place], patch.of_frame(frame))

    def _put_small(self, frame: Array, slot: int) -> None:
        """Copy a contiguous frame without giving up the interpreter lock, unlike numpy."""
        start = slot * self._frame_nbytes
        self._bytes[start : start + self._frame_nbytes] = frame.data.cast("B")

    def scatter_several(self, frames: Array, first: int) -> None:
        """Copy the column's part of a stack of frames into the slots from `first` on."""
        if self._frames is not None:
            self._frames[first : first + len(frames)] = frames
            return
        for slot, frame in enumerate(frames, first):
            self.scatter(frame, slot)

    def gather(self, frame: Array, slot: int) -> None:
        """Copy `slot` back into the column's part of `frame`, of shape (Y, X)."""
        if self._frames is not None:
            frame[...] = self._frames[slot]
            return
        place = divmod(slot, self._planes)
        for patch, tiles in self._patches:
            np.copyto(patch.of_frame(frame), tiles[place])

    def fill(self, slots: list[int], value: int | float) -> None:
        """Set every pixel of `slots` to `value`."""
        for slot in slots:
            layer, plane = divmod(slot, self._planes)
            self.array[layer, :, :, plane] = value

    def chunk(self, layer: int, row: int, col: int) -> Array:
        """Return one chunk, contiguous, of shape (planes, chunk height, chunk width)."""
        chunk: Array = self.array[layer, row, col]
        return chunk


@dataclass(frozen=True, slots=True)
class _Cut:
    """A run of tiles on one axis that the array's edge cuts equally."""

    pixels: slice
    tiles: slice
    length: int


def _cuts(tiles: range, size: int, limit: int) -> list[_Cut]:
    """Split a run of tiles into those inside `limit` pixels and one that the edge cuts."""
    inside = min(tiles.stop, limit // size)
    cuts = []
    if inside > tiles.start:
        whole = slice(tiles.start * size, inside * size)
        cuts.append(_Cut(whole, slice(0, inside - tiles.start), size))
    if tiles.stop > inside:
        last = tiles.stop - 1
        cuts.append(
            _Cut(slice(last * size, limit), slice(last - tiles.start, None), limit - last * size)
        )
    return cuts


def _patch(rows: _Cut, cols: _Cut, dtype: np.dtype[np.generic]) -> _Patch:
    """Combine a cut of the rows with a cut of the columns."""
    row_type = np.dtype((np.void, cols.length * dtype.itemsize))
    return _Patch(
        rows.pixels, cols.pixels, rows.tiles, cols.tiles, rows.length, cols.length, row_type
    )
