"""An array in an npy file as what is transcoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.errors import StorageError
from aqz_core.transcoding.source import (
    SourceGroup,
    SourceImage,
    SourceLevel,
    file_identity,
    ngff_axes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.reading.regions import Box

__all__ = ["NpySource"]


class NpySource:
    """An npy file, read where it lies.

    Parameters
    ----------
    path
        The file.
    axes
        A letter for each axis; the last of tczyx, or tyx, if empty.
    """

    groups: tuple[SourceGroup, ...] = ()
    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path, axes: str) -> None:
        self._given = path, axes
        self.url = str(path)
        try:
            self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # what a header can make NumPy raise is not documented
            raise StorageError(f"{path}: cannot be read as an npy file: {error}") from error
        shape, dtype = self._array.shape, self._array.dtype
        if len(shape) < 2 or dtype.kind not in "biuf":
            raise StorageError(f"{path}: {dtype} of shape {shape} is not an image")
        native = dtype.newbyteorder("=")
        ones, zeros = (1.0,) * len(shape), (0.0,) * len(shape)
        pixel = (1,) * len(shape)  # any part of it can be read alone
        level = SourceLevel(shape, native, 0, pixel, None, ones, zeros)
        axes_found = ngff_axes(axes, len(shape), self.url)
        self.images: tuple[SourceImage, ...] = (SourceImage("", axes_found, (level,)),)
        self.identity = file_identity(path)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self), self._given

    def read(self, image: int, level: int, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box."""
        part = self._array[tuple(slice(*ends) for ends in box)]
        return np.array(part, part.dtype.newbyteorder("="))

    def recorded(self, image: int) -> None:
        """Return None: all planes are there."""

    def close(self) -> None:
        """Do nothing: the file is closed when nothing of it is used."""
