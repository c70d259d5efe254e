"""Reads pycro-manager's event dictionaries into a plan.

An event asks for one image: ``axes`` says what it is, ``x``, ``y``, ``z``, ``min_start_time``,
``config_group`` how to take it. Lists are read at once; generators are watched while the
acquisition engine draws from them, for they may be endless, or answer to the images.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import aqz_core as aqz
from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import Site, split_axes
from aqz_micromanager.tags import number

if TYPE_CHECKING:
    from aqz_micromanager.plan_builder import PlanBuilder

__all__ = [
    "Event",
    "PlannedEnd",
    "as_list",
    "axes_of",
    "read_event",
    "read_events",
    "watch_events",
]

Event: TypeAlias = Mapping[str, Any]


class PlannedEnd:
    """Whether the last images that are planned came: else the acquisition ended early.

    One of the last two is enough: a single image may get lost at the end as elsewhere.
    """

    def __init__(self) -> None:
        self._last: deque[Mapping[str, Any]] = deque(maxlen=2)
        self._came = False
        self._saw_last = False
        self._more = False

    @property
    def is_reached(self) -> bool:
        """Whether one of the last images came, or nothing is known of them."""
        return not self._more and (self._came or not self._last)

    def plan(self, events: Sequence[Event]) -> None:
        """Take the last ones of a list of events."""
        self._last.extend(axes_of(event) for event in events[-2:])

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Hand on the events of a generator, whose last ones are known when it ends."""
        self._more = True
        for event in events:
            self._came, self._saw_last = self._came and self._saw_last, False
            self._last.append(axes_of(event))
            yield event
        self._more = False

    def see(self, axes: Mapping[str, Any]) -> None:
        """Note an image that came; the engine may add an axis, for cameras."""
        for at, planned in enumerate(self._last):
            if planned.items() <= axes.items():
                self._came = True
                self._saw_last = at == len(self._last) - 1


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
    with builder.of_event():
        _read_event(event, builder)


def _read_event(event: Event, builder: PlanBuilder) -> None:
    """Add what one event says."""
    axes = axes_of(event)
    builder.add_frame(axes)
    key, _ = split_axes(axes)
    name = key[0] if key and isinstance(key[0], str) else None
    builder.add_site(
        Site(
            key,
            name=name,
            x_um=number(event, "x"),
            y_um=number(event, "y"),
            well=well_of_label(name) if name else None,
            grid=_grid(axes),
        )
    )
    z_um = number(event, "z")
    if z_um is not None:
        builder.add_plane(axes, z_um)
    seconds = number(event, "min_start_time")
    if seconds is not None:
        builder.add_start(axes, seconds)
    preset = event.get("config_group")
    if preset:
        builder.add_channel_name(axes, str(preset[1]))


def axes_of(event: Event) -> dict[str, Any]:
    """Return the axes of the image that an event asks for; row and column may stand beside them."""
    axes = dict(event.get("axes") or {})
    for name, spellings in (("row", ("row",)), ("column", ("column", "col"))):
        value = next((event[one] for one in spellings if one in event), None)
        if value is not None and not any(one in axes for one in spellings):
            axes[name] = value
    return axes


def _grid(axes: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the place of an image in a grid of tiles, if its axes tell."""
    row, column = axes.get("row"), axes.get("column", axes.get("col"))
    return (row, column) if isinstance(row, int) and isinstance(column, int) else None
