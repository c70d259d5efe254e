"""Reads pycro-manager's event dictionaries into a plan.

An event asks for one image: ``axes`` says what it is, ``x``, ``y``, ``z``, ``min_start_time``,
``config_group`` how to take it. Lists are read at once; generators are watched while the
acquisition engine draws from them, for they may be endless, or answer to the images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import aqz_core as aqz
from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import Site, split_axes
from aqz_micromanager.tags import number

if TYPE_CHECKING:
    from aqz_micromanager.run_plan import PlanBuilder

__all__ = ["Event", "PlannedEnd", "as_list", "read_event", "read_events", "watch_events"]

Event: TypeAlias = Mapping[str, Any]


class PlannedEnd:
    """The last image that is planned, and whether it came: else the acquisition ended early."""

    def __init__(self) -> None:
        self._axes: Mapping[str, Any] | None = None
        self._came = False
        self._more = False

    @property
    def is_reached(self) -> bool:
        """Whether the last image came, or nothing is known of it."""
        return not self._more and (self._came or self._axes is None)

    def plan(self, events: Sequence[Event]) -> None:
        """Take the last one of a list of events."""
        if events:
            self._axes = events[-1].get("axes") or {}

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Hand on the events of a generator, whose last one is known when it ends."""
        self._more = True
        for event in events:
            self._axes, self._came = event.get("axes") or {}, False
            yield event
        self._more = False

    def see(self, axes: Mapping[str, Any]) -> None:
        """Take note of an image that came."""
        if axes == self._axes:
            self._came = True


def as_list(events: Event | Iterable[Event]) -> list[Event]:
    """Return events as a list, one event as well.

    Raises
    ------
    SettingsError
        They are no events, or a generator, which would be used up.
    """
    if isinstance(events, Iterator):
        raise aqz.SettingsError(
            "events is a generator, which would be used up before the acquisition begins; leave "
            "events out and acquire zarr.watch(generator)"
        )
    found = [events] if isinstance(events, Mapping) else list(events)
    for event in found:
        if not isinstance(event, Mapping):
            raise aqz.SettingsError(
                f"events has {event!r}, which is no event: give dictionaries such as "
                "multi_d_acquisition_events makes, with 'axes'"
            )
    return found


def read_events(events: Iterable[Event], builder: PlanBuilder) -> None:
    """Add all events to a plan, which is complete then.

    Parameters
    ----------
    events
        A list.
    builder
        Takes what they say.
    """
    for event in events:
        read_event(event, builder)
    builder.complete = True


def watch_events(
    events: Iterable[Event], expect: Callable[[Callable[[PlanBuilder], None]], None]
) -> Iterator[Event]:
    """Hand on the events of a generator and add each one to a plan before it is acquired.

    Parameters
    ----------
    events
        Of any length.
    expect
        Calls what it is given with the builder of the plan.
    """
    for event in events:
        expect(partial(read_event, event))
        yield event
    expect(_complete)


def _complete(builder: PlanBuilder) -> None:
    """Note that nothing else will come."""
    builder.complete = True


def read_event(event: Event, builder: PlanBuilder) -> None:
    """Add one event to a plan."""
    axes = event.get("axes") or {}
    builder.add_frame(axes)
    key, values = split_axes(axes)
    grid = None
    row, column = axes.get("row", event.get("row")), axes.get("column", event.get("column"))
    if isinstance(row, int) and isinstance(column, int):
        grid = (row, column)
    name = key[0] if key and isinstance(key[0], str) else None
    builder.add_site(
        Site(
            key,
            name=name,
            x_um=number(event, "x"),
            y_um=number(event, "y"),
            well=well_of_label(name) if name else None,
            grid=grid,
        )
    )
    z_um = number(event, "z")
    if z_um is not None:
        if "z" in values:
            builder.add_plane(key, values["z"], z_um)
        else:
            builder.add_site(Site(key, z_um=z_um))
    seconds = number(event, "min_start_time")
    if seconds is not None and "time" in values:
        builder.add_start(values["time"], seconds)
    preset = event.get("config_group")
    if preset:
        builder.add_channel_name(str(preset[1]))
