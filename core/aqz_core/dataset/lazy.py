"""Images as Dask arrays, read when they are computed."""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aqz_core.dataset.description import describe
from aqz_core.errors import SettingsError
from aqz_core.reading.regions import StoredRegions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aqz_core.dataset.view import StoreView

__all__ = ["StoredPixels", "imported", "table", "to_dask"]


def imported(name: str, extra: str = "dataset") -> Any:
    """Return a package that is not always installed.

    Raises
    ------
    SettingsError
        It is not, and how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"{name.partition('.')[0]} is needed and not installed ({error}); install it with "
            f'python -m pip install ".[{extra}]", in the folder that aqz was installed from'
        ) from error


def table(rows: list[dict[str, Any]], names: list[str]) -> Any:
    """Return rows as a `pandas.DataFrame`, or as they are where pandas is not installed."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        return rows
    return pandas.DataFrame(rows, columns=None if rows else names)


class StoredPixels:
    """A level of an image as Dask takes an array from: shape, dtype, and slices.

    Its length is the one of the moment when it was made, so that what is computed from a running
    recording stays in itself consistent.

    Parameters
    ----------
    view, key, level
        The store, the image, and its level.
    """

    def __init__(self, view: StoreView, key: str, level: int) -> None:
        self._view, self._key, self._level = view, key, level
        nodes = view.nodes()
        node = describe(nodes[key], nodes).levels[level].node
        assert node.array is not None
        self._regions = StoredRegions(view.files, node.name, node.array, view.providers)
        self.shape = node.array.shape
        self.dtype: np.dtype[Any] = node.array.dtype
        self.ndim = len(self.shape)
        self.file_shape = node.array.shard_shape or node.array.chunk_shape

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _reopened, (self._view, self._key, self._level, self.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Return the pixels of slices, or of numbers, which take their axis away."""
        parts = list(key if isinstance(key, tuple) else (key,))
        if Ellipsis in parts:
            place = parts.index(Ellipsis)
            parts[place : place + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        ranges = [
            range(n)[part] if isinstance(part, slice) else range(int(part), int(part) + 1)
            for part, n in zip(parts, self.shape, strict=True)
        ]
        box = tuple(
            (min(one[0], one[-1]), max(one[0], one[-1]) + 1) if len(one) else (0, 0)
            for one in ranges
        )
        pixels = self._regions.read(box)
        steps = tuple(
            0 if not isinstance(part, slice) else slice(None, None, part.step) for part in parts
        )
        return pixels[steps]


def _reopened(view: StoreView, key: str, level: int, shape: tuple[int, ...]) -> StoredPixels:
    """Return a level on the machine that computes, of the shape that it had."""
    found = StoredPixels(view, key, level)
    found.shape = shape
    return found


def to_dask(pixels: StoredPixels) -> Any:
    """Return a `dask.array.Array`; see `Image.to_dask`."""
    dask_array = imported("dask.array")
    sizes = zip(pixels.shape, pixels.file_shape, strict=True)
    chunks = tuple(max(1, min(n, size)) for n, size in sizes)
    # Not a name made of the pixels: they would have to be read, and may grow.
    return dask_array.from_array(pixels, chunks=chunks, name=f"aqz-{uuid.uuid4().hex}")
