"""Reads useq sequences and pymmcore-plus frames in the words of this package.

Neither useq nor pymmcore-plus is imported: their records are described by what is read of them.
Axes ``t, p, c, z, g`` become time, position, channel, z and grid, others keep their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_micromanager.pixels import FrameSpec
from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import Site, split_axes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_micromanager.run_plan import PlanBuilder, Value

__all__ = ["ChannelNames", "frame_tags", "named_axes", "read_sequence", "spec_of", "start_cameras"]

_AXES = {"t": "time", "p": "position", "c": "channel", "z": "z", "g": "grid"}


class ChannelNames:
    """Names of channels by index; two of the same preset get different names."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def name(self, index: int, channel: Any) -> str:
        """Return the name of the channel at an index of the channel axis."""
        if index not in self._names:
            preset = str(getattr(channel, "config", channel) or index)
            taken = preset in self._names.values()
            self._names[index] = f"{preset} {index}" if taken else preset
        return self._names[index]


def named_axes(event: Any, channels: ChannelNames) -> dict[str, Value]:
    """Return the coordinates of an event, by this package's names."""
    axes: dict[str, Value] = {}
    for name, value in event.index.items():
        key = str(getattr(name, "value", name))
        axes[_AXES.get(key, key)] = value
    if "channel" in axes:
        axes["channel"] = channels.name(int(axes["channel"]), event.channel)
    return axes


def read_sequence(
    sequence: Iterable[Any],
    builder: PlanBuilder,
    channels: ChannelNames,
    cameras: tuple[str, ...] = (),
) -> None:
    """Add a whole sequence of events to a plan.

    Parameters
    ----------
    sequence
        A `useq.MDASequence` with an end; one that is made while it runs has no events yet, and
        adds nothing.
    builder
        Takes what it says.
    channels
        Names of channels so far.
    cameras
        Those that take each event, if there are several.
    """
    if not getattr(sequence, "axis_order", True):
        return  # pymmcore-plus's stand-in for events that are made while it runs
    positions = list(getattr(sequence, "stage_positions", None) or ())
    any_event = False
    for event in sequence:
        any_event = True
        axes = named_axes(event, channels)
        for camera in cameras or (None,):
            builder.add_frame(axes if camera is None else {**axes, "camera": camera})
        key, values = split_axes(axes)
        number = axes.get("position")
        known = positions[number] if isinstance(number, int) and number < len(positions) else None
        builder.add_site(_site(key, event, known))
        if event.z_pos is not None and "z" in values:
            builder.add_plane(key, values["z"], float(event.z_pos))
        if event.min_start_time is not None and "time" in values:
            builder.add_start(values["time"], float(event.min_start_time))
        if event.channel is not None and "channel" not in axes:
            builder.add_channel_name(str(event.channel.config))
    builder.complete = any_event


def _site(key: tuple[Value, ...], event: Any, position: Any) -> Site:
    """Return where an event is taken."""
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
    )


def _row_name(row: int) -> str:
    """Return the letter of a plate's row, counted from 0."""
    first, second = divmod(row, 26)
    return ("" if not first else chr(64 + first)) + chr(65 + second)


def spec_of(start: Mapping[str, Any]) -> FrameSpec | None:
    """Return what the frames of a sequence are, from the metadata at its start, or None."""
    infos = start.get("image_infos") or ()
    if not infos:
        return None
    info = infos[0]
    shape = tuple(int(size) for size in info.get("plane_shape", ()))
    if len(shape) not in (2, 3) or "dtype" not in info:
        return None
    return FrameSpec((shape[0], shape[1]), np.dtype(info["dtype"]), 1 if len(shape) == 2 else 3)


def start_cameras(start: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of the cameras that record at once; empty if there is one."""
    labels = [str(info.get("camera_label")) for info in start.get("image_infos") or ()]
    return tuple(labels) if len(labels) > 1 else ()


def frame_tags(metadata: Mapping[str, Any], event: Any) -> dict[str, Any]:
    """Return a frame's metadata as Micro-Manager's tags."""
    tags = {
        key: value
        for key, value in metadata.items()
        if key not in ("mda_event", "format", "version", "position", "property_values")
    }
    for axis, value in (metadata.get("position") or {}).items():
        tags[f"{axis.upper()}Position_um_Intended"] = value
    for setting in metadata.get("property_values") or ():
        tags[f"{setting['dev']}-{setting['prop']}"] = setting["val"]
    if event.pos_name:
        tags["PositionName"] = event.pos_name
    return tags
