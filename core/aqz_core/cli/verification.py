"""Reading a demo recording back, and comparing it with what the camera gave.

Pixels are read with zarr-python where it is installed, else with `aqz_core.reading.array_reader`;
neither shares code with the writer. Every full-resolution frame must have the
checksum that was taken when it left the camera, and every smaller version must be the
2 x 2 mean of the one before it, computed here once more.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from aqz_core.errors import StorageError
from aqz_core.reading.array_reader import ZarrArrayReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Verification", "checksum", "verify_recording"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared, all of it equal.

    Attributes
    ----------
    reader
        Name of the reader that was used.
    frames
        Full-resolution frames compared with the camera's.
    reduced_planes
        Planes of smaller versions compared with the mean of the level before.
    """

    reader: str
    frames: int
    reduced_planes: int


def checksum(frame: np.ndarray[Any, Any]) -> int:
    """Return the crc32c of a frame's pixels, row by row."""
    return int(google_crc32c.value(frame.tobytes()))


def verify_recording(levels: Sequence[Path], checksums: Sequence[int]) -> Verification:
    """Compare a recording with the frames that were recorded.

    Parameters
    ----------
    levels
        Folders of the arrays of one image, full resolution first; axes ``(T, Y, X)``.
    checksums
        `checksum` of each frame as it left the camera.

    Raises
    ------
    StorageError
        Frames are missing, differ, or cannot be read; the message says which.
    """
    reader, open_planes = _choose_reader()
    planes = [open_planes(level) for level in levels]
    shapes = [plane_reader.shape for plane_reader in planes]
    if shapes[0][0] != len(checksums):
        raise StorageError(f"{levels[0]}: {shapes[0][0]} frames, but {len(checksums)} were taken")

    wrong, reduced = [], 0
    for number, expected in enumerate(checksums):
        plane = planes[0].read(number)
        if checksum(plane) != expected:
            wrong.append(number)
        for path, level in zip(levels[1:], planes[1:], strict=True):
            smaller = level.read(number)
            if not np.array_equal(smaller, mean_of_2x2(plane)):
                raise StorageError(f"{path}: frame {number} is not the mean of the level before")
            plane = smaller
            reduced += 1
    if wrong:
        raise StorageError(
            f"{levels[0]}: {len(wrong)} of {len(checksums)} frames differ from what the camera "
            f"gave, the first is frame {wrong[0]}"
        )
    return Verification(reader, len(checksums), reduced)


def mean_of_2x2(plane: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the mean of each 2 x 2 pixels, rounded down; an odd edge counts twice.

    Parameters
    ----------
    plane
        Unsigned integers of up to 32 bits, shape ``(Y, X)``; the result has half of that,
        rounded up.
    """
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.uint64)
    sums = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]
    mean: np.ndarray[Any, Any] = (sums // 4).astype(plane.dtype)
    return mean


@dataclass(frozen=True, slots=True)
class _Planes:
    """One array, opened for reading: its shape, and a function that reads a frame."""

    shape: tuple[int, ...]
    read: Callable[[int], np.ndarray[Any, Any]]


def _choose_reader() -> tuple[str, Callable[[Path], _Planes]]:
    """Return a reader's name, and what opens an array with it."""
    if importlib.util.find_spec("zarr") is None:
        return "aqz's own reader", _open_with_aqz
    from importlib.metadata import version

    return f"zarr-python {version('zarr')}", _open_with_zarr


def _open_with_aqz(path: Path) -> _Planes:
    """Open an array with the reader that needs nothing but numpy and numcodecs."""
    reader = ZarrArrayReader(path)
    return _Planes(reader.shape, reader.read_plane)


def _open_with_zarr(path: Path) -> _Planes:
    """Open an array with zarr-python, whatever it raises told as a `StorageError`."""
    # By name: the engine's package never imports zarr, this command borrows it when it is there.
    zarr = importlib.import_module("zarr")
    try:
        array = zarr.open_array(str(path), mode="r")
    except Exception as error:
        raise StorageError(f"{path}: zarr-python cannot open it: {error}") from error

    def read(number: int) -> np.ndarray[Any, Any]:
        try:
            return np.ascontiguousarray(array[number])
        except Exception as error:
            raise StorageError(f"{path}: frame {number} cannot be read: {error}") from error

    return _Planes(tuple(array.shape), read)
