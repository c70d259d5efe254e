"""One image of a store: frames by name, coordinates, metadata, arrays."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.dataset import lazy, picture
from aqz_core.dataset.description import ImageDescription, describe
from aqz_core.dataset.following import StoredFrame, follow, wait_for
from aqz_core.dataset.frame_metadata import FrameTable, elapsed_seconds
from aqz_core.dataset.frames import recorded_planes
from aqz_core.dataset.selection import frame_index, in_bounds
from aqz_core.display.printable import visible
from aqz_core.errors import FrameIndexError, FrameMissingError, StorageError
from aqz_core.reading.regions import StoredRegions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.dataset.description import AxisDescription
    from aqz_core.dataset.view import StoreView
    from aqz_core.reading.node import Node
    from aqz_core.reading.regions import Box

__all__ = ["Image"]


class Image:
    """One image of a store, or one plain array; `open_dataset` makes them.

    While the store is recorded, everything here is as it is when it is asked for.

    Axes are called as in the store, in lower case if by a letter. Where a frame is chosen, ``time``
    and ``channel`` stand for the axes of that kind, too, and a channel is given by its number or
    its name. An axis of one position may be left out.
    """

    def __init__(self, view: StoreView, key: str) -> None:
        self._view = view
        self._key = key
        self._kept: tuple[Node, dict[str, Any]] | None = None

    # ---- what it is -------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Its path in the store; empty for an image that is the store itself."""
        return self._key

    @property
    def name(self) -> str:
        """Its name for people, or its key, or that of the store."""
        name = self._described().name
        return name if name not in ("", "/") else self._key or self._view.url.rsplit("/", 1)[-1]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in the order of the store; the frame's own are the last two."""
        return tuple(axis.name for axis in self._described().axes)

    @property
    def units(self) -> Mapping[str, str | None]:
        """Unit of the coordinates of each axis; None without one.

        Lengths are in micrometers and times in seconds, wherever the store has units that can be
        converted.
        """
        return MappingProxyType({axis.name: axis.unit for axis in self._described().axes})

    @property
    def kinds(self) -> tuple[str, ...]:
        """What each axis measures: time, channel, space, other."""
        return tuple(axis.kind for axis in self._described().axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels on each axis at full resolution, as far as they are recorded."""
        return self._described().levels[0].shape

    @property
    def sizes(self) -> Mapping[str, int]:
        """Pixels by the name of the axis."""
        return MappingProxyType(dict(zip(self.axes, self.shape, strict=True)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels."""
        array = self._described().levels[0].node.array
        assert array is not None
        return array.dtype

    @property
    def channels(self) -> tuple[str, ...]:
        """Name of each channel; its number where it has none."""
        return self._described().channels

    @property
    def colors(self) -> tuple[str, ...]:
        """Colour of each channel, RRGGBB."""
        return self._described().colors

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each level, full resolution first."""
        return tuple(level.shape for level in self._described().levels)

    @property
    def state(self) -> str | None:
        """State of the recording: recording, complete, interrupted; None where aqz did not record.

        "interrupted" also where it is stored as "recording" though nobody on this machine writes.
        """
        state = self._described().owner.aqz.get("state")
        if state == "recording" and self._view.is_deserted():
            state = self._described().owner.aqz.get("state")
            return "interrupted" if state == "recording" else state
        return state if isinstance(state, str) else None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes that others than the format and aqz keep with the image."""
        owner = self._described().owner
        reserved = {"ome", "aqz", "multiscales", "omero", "labels", "image-label"}
        return MappingProxyType({k: v for k, v in owner.attributes.items() if k not in reserved})

    @property
    def coords(self) -> Mapping[str, npt.NDArray[Any]]:
        """Coordinates of each axis at full resolution; see `coordinates`."""
        return self.coordinates()

    def coordinates(self, level: int = 0) -> Mapping[str, npt.NDArray[Any]]:
        """Return the coordinates of each axis of a level.

        Names of channels; positions in micrometers; times in seconds: as measured, if every time
        point has a frame with a time in its metadata, and otherwise as planned. `units` has the
        units.
        """
        found = self._described()
        chosen = found.levels[self._checked_level(level)]
        coordinates: dict[str, npt.NDArray[Any]] = {}
        for n, axis in enumerate(found.axes):
            size = chosen.shape[n]
            if axis.kind == "channel":
                coordinates[axis.name] = np.array(found.channels[:size], dtype=str)
            else:
                with np.errstate(over="ignore"):  # a scale may be any number
                    place = np.arange(size) * chosen.scale[n] + chosen.translation[n]
                coordinates[axis.name] = place
            if (
                axis.kind == "time"
                and (measured := self._measured_times(axis, n, size)) is not None
            ):
                coordinates[axis.name] = measured
        return MappingProxyType(coordinates)

    # ---- frames -----------------------------------------------------------------------------

    def has_image(self, **axes: int | str) -> bool:
        """Return whether a frame is recorded, and can be read.

        Parameters
        ----------
        **axes : int or str
            Position on each axis in front of Y and X; the name of a channel for that axis.

        Raises
        ------
        FrameIndexError
            An axis is unknown or left out.
        StorageError
            The store cannot be read.
        """
        index = frame_index(self._described(), axes)
        recorded = self.recorded()
        return in_bounds(index, recorded.shape) and bool(recorded[index])

    def read_image(self, *, level: int = 0, **axes: int | str) -> npt.NDArray[Any]:
        """Return a frame, shape (Y, X).

        Parameters
        ----------
        level : int
            0 for full resolution.
        **axes : int or str
            Position on each axis in front of Y and X, at full resolution; the name of a channel
            for that axis. Negative numbers count from the end.

        Raises
        ------
        FrameIndexError
            An axis is unknown or left out, or there is no such level.
        FrameMissingError
            No frame was recorded there: its pixels would be the fill value, not measured.
        StorageError
            Stored bytes are unreadable or damaged.
        """
        found = self._described()
        index = frame_index(found, axes)
        level = self._checked_level(level)
        recorded = self.recorded()
        if not in_bounds(index, recorded.shape) or not recorded[index]:
            said = ", ".join(f"{name}={value!r}" for name, value in axes.items()) or "there"
            unknown = any(
                isinstance(value, str) and value not in found.channels for value in axes.values()
            )
            channels = f"; its channels are {', '.join(map(repr, found.channels))}"
            raise FrameMissingError(
                f"{self.name}: no frame is recorded at {said}; the image has "
                f"{self._written_extent()}, of which {int(recorded.sum())} frames of "
                f"{recorded.size} are recorded{channels if unknown else ''}"
            )
        chosen = found.levels[level].shape
        full = found.levels[0].shape
        place = (min(k * n // m, n - 1) for k, n, m in zip(index, chosen, full, strict=False))
        box = (*((k, k + 1) for k in place), *((0, n) for n in chosen[-2:]))
        pixels: npt.NDArray[Any] = self._regions(level).read(box).reshape(chosen[-2:])
        return pixels

    def recorded(self) -> npt.NDArray[np.bool_]:
        """Return which frames are recorded: a flag for each index in front of Y and X.

        While a recording goes on, and after one that ended early, only frames count that are
        certainly stored. Of stores that aqz did not record, a frame counts if any chunk of it is
        stored; writers that leave out chunks of zeros have such frames counted as missing.

        Raises
        ------
        StorageError
            The store's record is damaged, or it cannot be read.
        """
        found = self._described()
        base = found.levels[0].node
        flags: npt.NDArray[np.bool_] = self._keep(
            "recorded", lambda: recorded_planes(self._view, found.owner, base)
        )
        return flags

    def read(self, box: Box, level: int = 0) -> npt.NDArray[Any]:
        """Return the pixels of a box: for each axis, the first and the one behind the last.

        What was never recorded is the fill value.
        """
        return self._regions(self._checked_level(level)).read(box)

    # ---- metadata ---------------------------------------------------------------------------

    def read_metadata(self, **axes: int | str) -> dict[str, Any]:
        """Return what is known of a frame; what holds until something else is said is filled in.

        Parameters, errors: as `has_image`. The frame need not be recorded.
        """
        return self._table().row(frame_index(self._described(), axes))

    def metadata_table(self) -> Any:
        """Return a row for each frame that has metadata: its index by axis, and what is known.

        Returns
        -------
        pandas.DataFrame or list of dict
            A list where pandas is not installed. Metadata named like an axis are found under
            ``metadata.`` and that name.
        """
        return lazy.table(self.metadata_rows(), list(self.axes[:-2]))

    def metadata_rows(self) -> list[dict[str, Any]]:
        """Return the rows of `metadata_table` as dictionaries."""
        names = self.axes[:-2]
        return [
            {
                **dict(zip(names, index, strict=True)),
                **{f"metadata.{k}" if k in names else k: v for k, v in row.items()},
            }
            for index, row in self._table().rows()
        ]

    # ---- arrays -----------------------------------------------------------------------------

    def to_dask(self, level: int = 0) -> Any:
        """Return a level as a `dask.array.Array`, a chunk of it for each shard.

        Parameters
        ----------
        level : int
            0 for full resolution.

        Raises
        ------
        SettingsError
            dask is not installed.
        FrameIndexError
            There is no such level.
        """
        level = self._checked_level(level)
        return lazy.to_dask(lazy.StoredPixels(self._view, self._key, level))

    def to_xarray(self, level: int = 0, *, recorded: bool = True) -> Any:
        """Return a level as an `xarray.DataArray` of named axes, with coordinates and units.

        Parameters
        ----------
        level : int
            0 for full resolution.
        recorded : bool
            Add a coordinate ``recorded`` that is true for the frames that were recorded, at full
            resolution; it may take a look into every shard.

        Raises
        ------
        SettingsError
            xarray or dask is not installed.
        FrameIndexError
            There is no such level.
        StorageError
            The store cannot be read.
        """
        level = self._checked_level(level)
        pixels = self.to_dask(level)
        coords: dict[str, Any] = {}
        coordinates = self.coordinates(level).items()
        for (name, values), size in zip(coordinates, pixels.shape, strict=True):
            unit = self.units[name]
            coords[name] = (name, values[:size], {"units": unit} if unit else {})
        if recorded and not level:
            there = self.recorded()[tuple(slice(0, n) for n in pixels.shape[:-2])]
            coords["recorded"] = (self.axes[:-2], there)
        return lazy.imported("xarray").DataArray(
            pixels, dims=self.axes, coords=coords, name=self.name, attrs=dict(self.attributes)
        )

    # ---- while it is recorded ---------------------------------------------------------------

    def follow(self, *, timeout: float = 120.0) -> Iterator[StoredFrame]:
        """Yield every frame as it becomes readable, those that are there first.

        Ends with the recording, also if it ends early.

        Parameters
        ----------
        timeout : float
            Seconds without any new frame after which it gives up.

        Raises
        ------
        StalledError
            Nothing came for that long, though the recording seems to go on.
        StorageError
            The store cannot be read.
        """
        return follow(self, timeout)

    def wait_for(self, *, timeout: float = 120.0, **axes: int | str) -> npt.NDArray[Any]:
        """Wait until a frame can be read, and return it.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        **axes : int or str
            As for `read_image`; negative numbers mean nothing while the image grows.

        Raises
        ------
        FrameMissingError
            The recording ended without that frame.
        StalledError
            It did not come within that time.
        """
        return wait_for(self, timeout, axes)

    # ---- how it is shown --------------------------------------------------------------------

    def __repr__(self) -> str:
        state = f", {self.state}" if self.state else ""
        return visible(f"<aqz image {self.name!r}: {self._written_extent()}, {self.dtype}{state}>")

    def _repr_html_(self) -> str:
        """Return a table with a small picture, for notebooks."""
        return picture.image_html(self)

    # ---- within -----------------------------------------------------------------------------

    def _described(self) -> ImageDescription:
        """Return what the metadata say by now."""
        nodes = self._view.nodes()
        owner = nodes.get(self._key)
        if owner is None:
            raise StorageError(f"{self._view.url}: the image {self._key!r} is gone")
        if self._kept is None or self._kept[0] is not owner:
            self._kept = owner, {"description": describe(owner, nodes)}
        found: ImageDescription = self._kept[1]["description"]
        return found

    def _keep(self, what: str, make: Any) -> Any:
        """Return what was made since the store was surveyed last, or make it."""
        self._described()
        assert self._kept is not None
        kept = self._kept[1]
        if what not in kept:
            kept[what] = make()
        return kept[what]

    def _table(self) -> FrameTable:
        """Return the metadata of the frames."""
        found = self._described()
        base = found.levels[0]
        stored = [axis.stored_name for axis in found.axes[:-2]]
        sizes = dict(zip(stored, base.shape, strict=False))
        said = found.owner.aqz.get("axes")
        entries = [one for one in (said if isinstance(said, list) else ()) if isinstance(one, dict)]
        arrival = [one for one in entries if str(one.get("name")) in sizes]
        names = [str(one["name"]) for one in arrival]
        if sorted(names) != sorted(stored):
            names, arrival = stored, [{} for _ in stored]
        shape = [
            size if type(size := one.get("size")) is int and size >= 0 else sizes[name]
            for name, one in zip(names, arrival, strict=True)
        ]
        order = [names.index(name) for name in stored]
        table: FrameTable = self._keep(
            "table", lambda: FrameTable(self._view.files, base.node.log, shape, order)
        )
        return table

    def _measured_times(
        self, axis: AxisDescription, number: int, size: int
    ) -> npt.NDArray[np.float64] | None:
        """Return the time of each time point, or None if not every one of them was measured."""
        if axis.unit not in ("second", None) or number >= len(self.axes) - 2:
            return None
        times = np.full(size, np.nan)
        for index, row in self._table().measured():
            seconds = elapsed_seconds(row)
            if seconds is not None and index[number] < size:
                times[index[number]] = np.fmin(times[index[number]], seconds)
        return None if np.isnan(times).any() else times

    def _regions(self, level: int) -> StoredRegions:
        """Return what reads the pixels of a level."""
        node = self._described().levels[level].node
        assert node.array is not None
        return StoredRegions(self._view.files, node.name, node.array, self._view.providers)

    def _checked_level(self, level: int) -> int:
        """Return a level of the image, counted from the end if negative."""
        levels = len(self._described().levels)
        if type(level) is not int or not -levels <= level < levels:
            raise FrameIndexError(f"there is no level {level!r}; there are {levels}, 0 the largest")
        return level % levels

    def _written_extent(self) -> str:
        """Return the sizes of the axes as a text."""
        return ", ".join(f"{name} {size}" for name, size in self.sizes.items())
