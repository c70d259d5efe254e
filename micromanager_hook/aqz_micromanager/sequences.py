"""Reads useq sequences and pymmcore-plus frames in the words of this package.

Neither useq nor pymmcore-plus is imported: their records are described by what is read of them.
Axes ``t, p, c, z, g, cam`` become time, position, channel, z, grid and camera, others keep their
names. Events that focus, or call a function, ask for no frame.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_micromanager.pixels import FrameSpec
from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import PlateSize, Site, split_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aqz_micromanager.plan_builder import PlanBuilder
    from aqz_micromanager.run_plan import SiteKey, Value

__all__ = ["EventAxes", "camera_tags", "frame_tags", "read_sequence", "spec_of"]

_AXES = {"t": "time", "p": "position", "c": "channel", "z": "z", "g": "grid"}
_ACQUIRES = "acquire_image"
_NOT_OF_FRAME = ("mda_event", "format", "version", "position", "property_values", "camera_metadata")


class EventAxes:
    """Names the coordinates of events.

    Channels go by the names of their presets, for an index of one position may be another preset
    at the next one. Events without any index are counted, as time points.

    Parameters
    ----------
    cameras
        Labels of the cameras that record at once.

    Attributes
    ----------
    counts_bare
        Whether events without an index are counted.
    order
        Letters of the events' axes in the order of the sequence.
    """

    def __init__(self, cameras: Sequence[str] = ()) -> None:
        self.cameras = tuple(cameras)
        self.counts_bare = True
        self.order = ""
        self._sizes: dict[str, int] = {}
        self._channels: dict[tuple[SiteKey, int, str], str] = {}
        self._bare: Counter[Value | None] = Counter()

    def named(self, event: Any) -> dict[str, Value]:
        """Return the coordinates of an event, by this package's names."""
        index = {str(getattr(name, "value", name)): value for name, value in event.index.items()}
        axes: dict[str, Value] = {}
        camera = index.pop("cam", None)
        if not index and self.counts_bare:
            index["t"] = self._bare[camera]
            self._bare[camera] += 1
        self._note_sizes(index if camera is None else {**index, "cam": camera})
        for key, value in index.items():
            axes[_AXES.get(key, key)] = value
        if camera is not None:
            axes["camera"] = self.cameras[camera] if camera < len(self.cameras) else camera
        if "channel" in axes:
            axes["channel"] = self._channel(axes, event.channel)
        return axes

    def _note_sizes(self, index: Mapping[str, Any]) -> None:
        """Note how long axes are at least."""
        for key, value in index.items():
            if isinstance(value, int) and value >= self._sizes.get(key, 0):
                self._sizes[key] = value + 1

    def sizes(self) -> dict[str, int]:
        """Return the length of each axis of the events so far, in the order of the sequence."""
        found = dict(self._sizes)
        last = len(self.order)
        places = {name: self.order.find(name) % (last + 1) for name in found}
        return {name: found[name] for name in sorted(found, key=lambda n: (n == "cam", places[n]))}

    def axes_of(self, index: Mapping[str, int]) -> dict[str, Value]:
        """Return the coordinates at an index, of whose event nothing else is known."""
        axes: dict[str, Value] = {_AXES.get(k, k): v for k, v in index.items() if k != "cam"}
        if "cam" in index:
            camera = index["cam"]
            axes["camera"] = self.cameras[camera] if camera < len(self.cameras) else camera
        if "channel" in axes:
            site, _ = split_axes({**axes, "channel": 0})
            found = [
                name
                for (place, at, _), name in list(self._channels.items())
                if (place, at) == (site, axes["channel"])
            ]
            axes["channel"] = found[0] if found else axes["channel"]
        return axes

    def channel_names(self) -> list[str]:
        """Return the name of each channel; none if an index has different ones at positions."""
        names: dict[int, set[str]] = {}
        for (_, at, _), name in list(self._channels.items()):
            names.setdefault(at, set()).add(name)
        alike = all(len(found) == 1 for found in names.values())
        return [next(iter(names[at])) for at in sorted(names)] if alike else []

    def restart(self) -> None:
        """Count events without an index anew: the plan is read, frames come next."""
        self._bare.clear()

    def _channel(self, axes: Mapping[str, Value], channel: Any) -> str:
        """Return the name of a channel, which no other one of the same image has."""
        site, _ = split_axes({**axes, "channel": 0})
        at = int(axes["channel"])
        preset = str(getattr(channel, "config", channel) or at)
        key = (site, at, preset)
        if key not in self._channels:
            others = {
                name for (place, n, _), name in self._channels.items() if place == site and n != at
            }
            self._channels[key] = f"{preset} {at}" if preset in others else preset
        return self._channels[key]


def read_sequence(sequence: Iterable[Any], builder: PlanBuilder, names: EventAxes) -> None:
    """Add a whole sequence of events to a plan.

    Parameters
    ----------
    sequence
        A `useq.MDASequence` with an end; one that is made while it runs has no events yet, and
        adds nothing.
    builder
        Takes what it says.
    names
        Names of coordinates.
    """
    if not getattr(sequence, "axis_order", True):
        return  # pymmcore-plus's stand-in for events that are made while it runs
    plan = getattr(sequence, "stage_positions", None)
    positions, tiles = list(plan or ()), _Tiles(sequence)
    builder.plate = _plate_size(getattr(plan, "plate", None))
    events = [event for event in sequence if acquires(event)]
    order = getattr(sequence, "axis_order", "")
    names.order = "".join(str(getattr(one, "value", one)) for one in order)
    names.counts_bare = sum(not event.index for event in events) > 1
    with builder.of_event():
        for event in events:
            _read_event(event, builder, names, positions, tiles)
    names.restart()
    builder.complete = bool(events)


def _read_event(
    event: Any, builder: PlanBuilder, names: EventAxes, positions: Sequence[Any], tiles: _Tiles
) -> None:
    """Add one event that asks for frames to a plan."""
    axes = names.named(event)
    at = axes.get("position")
    known = positions[at] if isinstance(at, int) and at < len(positions) else None
    builder.add_site(_site(axes, event, known, tiles.place(known, axes.get("grid"))))
    for camera in names.cameras or (None,):
        one = axes if camera is None else {**axes, "camera": camera}
        builder.add_frame(one)
        _add_coordinates(builder, one, event)


def acquires(event: Any) -> bool:
    """Return whether an event asks for a frame."""
    action = getattr(event, "action", None)
    return action is None or getattr(action, "type", _ACQUIRES) == _ACQUIRES


def _add_coordinates(builder: PlanBuilder, axes: Mapping[str, Value], event: Any) -> None:
    """Add where and when a frame is taken to a plan."""
    if event.z_pos is not None:
        builder.add_plane(axes, float(event.z_pos))
    if event.min_start_time is not None:
        builder.add_start(axes, float(event.min_start_time))
    if event.channel is not None and "channel" not in axes:
        builder.add_channel_name(axes, str(event.channel.config))


class _Tiles:
    """Rows and columns of grids: that of the whole sequence, or one of each position."""

    def __init__(self, sequence: Any) -> None:
        self._whole = _places(getattr(sequence, "grid_plan", None))
        self._own: dict[int, list[tuple[int, int] | None]] = {}

    def place(self, position: Any, tile: Any) -> tuple[int, int] | None:
        """Return row and column of a tile."""
        if not isinstance(tile, int):
            row, column = (getattr(position, name, None) for name in ("grid_row", "grid_col"))
            return None if row is None or column is None else (int(row), int(column))
        if id(position) not in self._own:
            inner = getattr(getattr(position, "sequence", None), "grid_plan", None)
            self._own[id(position)] = _places(inner)
        places = self._own[id(position)] or self._whole
        return places[tile] if tile < len(places) else None


def _places(grid: Any) -> list[tuple[int, int] | None]:
    """Return row and column of each tile of a grid, in order; empty if there is none."""
    places = []
    for tile in grid or ():
        row = getattr(tile, "grid_row", getattr(tile, "row", None))
        column = getattr(tile, "grid_col", getattr(tile, "col", None))
        places.append(None if row is None or column is None else (int(row), int(column)))
    return places


def _site(
    axes: Mapping[str, Value], event: Any, position: Any, grid: tuple[int, int] | None
) -> Site:
    """Return where an event is taken."""
    key, _ = split_axes(axes)
    name = event.pos_name or getattr(position, "name", None)
    row, column = getattr(position, "plate_row", None), getattr(position, "plate_col", None)
    well = well_of_label(name) if name else None
    if row is not None and column is not None:
        well = (_row_name(int(row)), str(int(column) + 1))
    return Site(
        key,
        name=name if key else None,
        x_um=None if event.x_pos is None else float(event.x_pos),
        y_um=None if event.y_pos is None else float(event.y_pos),
        well=well,
        grid=grid,
        tile_at=len(key) - 1 if grid is not None and "grid" in axes else None,
    )


def _plate_size(plate: Any) -> PlateSize | None:
    """Return the names of all rows and columns of a plate."""
    if plate is None:
        return None
    rows = tuple(_row_name(row) for row in range(int(plate.rows)))
    columns = tuple(str(column + 1) for column in range(int(plate.columns)))
    return PlateSize(rows, columns, str(getattr(plate, "name", "") or ""))


def _row_name(row: int) -> str:
    """Return the letter of a plate's row, counted from 0."""
    first, second = divmod(row, 26)
    return ("" if not first else chr(64 + first)) + chr(65 + second)


def _camera_info(start: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is said of the active camera at the start of a sequence: it comes first."""
    infos: Sequence[Mapping[str, Any]] = start.get("image_infos") or ({},)
    return infos[0]


def camera_count(start: Mapping[str, Any]) -> int:
    """Return how many frames each event gives: those of the active camera device."""
    return int(_camera_info(start).get("num_camera_adapter_channels", 1))


def spec_of(start: Mapping[str, Any]) -> FrameSpec | None:
    """Return what the frames of a sequence are, from the metadata at its start, or None."""
    info = _camera_info(start)
    shape = tuple(int(size) for size in info.get("plane_shape", ()))
    if len(shape) not in (2, 3) or "dtype" not in info:
        return None
    try:
        dtype = np.dtype(info["dtype"])
    except TypeError:  # "uint0": cameras of a Multi Camera that differ
        return None
    return FrameSpec((shape[0], shape[1]), dtype, 1 if len(shape) == 2 else 3)


def camera_tags(start: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every frame will be told to have, from the metadata at the start."""
    info = _camera_info(start)
    tags: dict[str, Any] = {"PixelSizeUm": info.get("pixel_size_um")}
    depth = re.fullmatch(r"[A-Za-z]+(\d+)", str(info.get("pixel_format", "")))
    if depth:
        tags["BitDepth"] = int(depth[1])
    if len(info.get("roi", ())) == 4:
        tags["ROI"] = "-".join(str(int(edge)) for edge in info["roi"])
    return tags


def frame_tags(metadata: Mapping[str, Any], event: Any) -> dict[str, Any]:
    """Return a frame's metadata as Micro-Manager's tags."""
    tags: dict[str, Any] = {
        key: value for key, value in metadata.items() if key not in _NOT_OF_FRAME
    }
    camera = dict(metadata.get("camera_metadata") or {})
    if "ElapsedTime-ms" in camera:  # of the burst; that of the run is the runner's
        camera["CameraElapsedTime-ms"] = camera.pop("ElapsedTime-ms")
    tags |= {key: value for key, value in camera.items() if key not in tags}
    for axis, value in (metadata.get("position") or {}).items():
        tags[f"{axis.upper()}PositionUm"] = value
    for axis, planned in (("X", event.x_pos), ("Y", event.y_pos), ("Z", event.z_pos)):
        if planned is not None:
            tags[f"{axis}Position_um_Intended"] = planned
    for setting in metadata.get("property_values") or ():
        tags[f"{setting['dev']}-{setting['prop']}"] = setting["val"]
    if event.pos_name:
        tags["PositionName"] = event.pos_name
    own = {name: value for name, value in (event.metadata or {}).items() if name != "runner_t0"}
    if own:
        tags["event_metadata"] = own
    return tags
