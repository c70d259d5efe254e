"""Images as Dask arrays and xarray DataArrays, read when they are computed."""

from __future__ import annotations

import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aqz_core.dataset.image import Image
    from aqz_core.dataset.view import StoreView
    from aqz_core.reading.regions import StoredRegions

__all__ = ["StoredPixels", "imported", "table", "to_dask", "to_xarray"]


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
            f"{name.partition('.')[0]} is needed and not installed ({error}); install it with: "
            f'python -m pip install "aqz[{extra}]"'
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
        from aqz_core.dataset.image import Image

        self._view, self._key, self._level = view, key, level
        self._image = Image(view, key)
        self.shape: tuple[int, ...] = self._image.levels[level]
        self.dtype: np.dtype[Any] = self._image.dtype
        self.ndim = len(self.shape)

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
        pixels = self._image.read(box, self._level)
        steps = tuple(
            0 if not isinstance(part, slice) else slice(None, None, part.step) for part in parts
        )
        return pixels[steps]


def _reopened(view: StoreView, key: str, level: int, shape: tuple[int, ...]) -> StoredPixels:
    """Return a level on the machine that computes, of the shape that it had."""
    found = StoredPixels(view, key, level)
    found.shape = shape
    return found


def to_dask(regions: StoredRegions, pixels: StoredPixels) -> Any:
    """Return a `dask.array.Array`; see `Image.to_dask`."""
    dask_array = imported("dask.array")
    array = regions.array
    sizes = array.shard_shape or array.chunk_shape
    chunks = tuple(max(1, min(n, size)) for n, size in zip(pixels.shape, sizes, strict=True))
    # Not a name made of the pixels: they would have to be read, and may grow.
    return dask_array.from_array(pixels, chunks=chunks, name=f"aqz-{uuid.uuid4().hex}")


def to_xarray(image: Image, level: int, recorded: npt.NDArray[np.bool_] | None) -> Any:
    """Return an `xarray.DataArray`; see `Image.to_xarray`."""
    xarray = imported("xarray")
    pixels = image.to_dask(level)
    coords: dict[str, Any] = {}
    for (name, values), size in zip(image.coordinates(level).items(), pixels.shape, strict=True):
        unit = image.units[name]
        coords[name] = (name, values[:size], {"units": unit} if unit else {})
    if recorded is not None:
        lead = pixels.shape[:-2]
        coords["recorded"] = (image.axes[:-2], recorded[tuple(slice(0, n) for n in lead)])
    return xarray.DataArray(
        pixels, dims=image.axes, coords=coords, name=image.name, attrs=dict(image.attributes)
    )
