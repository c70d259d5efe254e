"""Where frames come from: the small public API between cameras and the recorder.

A source says what it will deliver (`describe`), begins to deliver it to a sink (`start`) and
ends (`stop`). The sink may be called from any thread and never raises. Sources that should
appear in the dock widget are offered with `register_source`. Nothing here knows Qt, napari or
a store.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Axis",
    "FrameSink",
    "FrameSource",
    "SourceError",
    "SourceSpec",
    "register_source",
    "registered_sources",
    "unregister_source",
]


class SourceError(ValueError):
    """A source cannot be recorded as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of what a source delivers.

    Attributes
    ----------
    name : str
        Unique in the source.
    size : int
        Pixels or positions; 0 on the first axis: as many as come.
    kind : {"space", "time", "channel", "other"}
        What the axis counts.
    scale : float
        Size of a pixel, or time between frames, in `unit`.
    unit : str or None
        Name of the unit, None where it is not known.
    origin : float
        Position of the first pixel, in `unit`.
    """

    name: str
    size: int
    kind: str = "space"
    scale: float = 1.0
    unit: str | None = None
    origin: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What a source delivers.

    Attributes
    ----------
    name : str
        For people, and proposed as the key of the array.
    axes : tuple of Axis
        Axes of the array to be recorded, slowest first, rows and columns last. The first is
        usually time with size 0: as many frames as come.
    dtype : numpy.dtype
        Data type of a pixel.
    update_ndim : int
        How many of the last axes one delivery has: 2 for a single frame.
    every_frame : bool
        Whether the source promises each frame; otherwise it delivers what is displayed.
    can_wait : bool
        Whether the source can be held up when the store is slower, so that nothing is lost.
    channels : tuple of (name, colour, window)
        Display of each channel: name, ``"RRGGBB"`` or None, (start, end) or None.
    metadata : mapping
        Put into the attributes of the recorded array under ``source``.
    is_labels : bool
        Whether pixels are numbers of objects, which must not be averaged.
    """

    name: str
    axes: tuple[Axis, ...]
    dtype: np.dtype[Any]
    update_ndim: int = 2
    every_frame: bool = True
    can_wait: bool = False
    channels: tuple[tuple[str, str | None, tuple[float, float] | None], ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_labels: bool = False

    @property
    def update_shape(self) -> tuple[int, ...]:
        """Shape of one delivery."""
        return tuple(axis.size for axis in self.axes[-self.update_ndim :])

    @property
    def update_nbytes(self) -> int:
        """Bytes of one delivery."""
        return int(np.prod(self.update_shape, dtype=np.int64)) * self.dtype.itemsize


class FrameSink(Protocol):
    """Takes the frames of one source. May be called from any thread; never raises."""

    def __call__(
        self,
        frame: Any,
        *,
        index: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record a frame; a copy is made before the call returns.

        Parameters
        ----------
        frame : array-like
            Of the shape and data type that the source described.
        index : mapping, optional
            Position on every axis in front of the frame, for frames out of order. Without it
            frames follow one another.
        metadata : mapping, optional
            JSON values that belong to this frame. ``timestamp``, seconds since 1970, is when the
            frame was made; without it, the moment at which it is delivered counts.

        Returns
        -------
        bool
            Whether it will be stored; False when it was dropped, or nothing is recording.
        """
        ...

    def end(self, message: str = "") -> None:
        """Say that no more frames will come; the recording of this source is complete."""
        ...

    def fail(self, message: str) -> None:
        """Say that the source cannot continue; the recording ends early and keeps what it has."""
        ...


@runtime_checkable
class FrameSource(Protocol):
    """Something that delivers frames."""

    def describe(self) -> SourceSpec:
        """Say what will be delivered.

        Raises
        ------
        SourceError
            It cannot be recorded as it is.
        """
        ...

    def start(self, sink: FrameSink) -> None:
        """Begin to deliver to `sink`, from whatever thread."""
        ...

    def stop(self) -> None:
        """Deliver no more; may be called from another thread, and more than once."""
        ...


_registered: dict[str, Callable[[], FrameSource]] = {}
_registry_lock = threading.Lock()


def register_source(name: str, factory: Callable[[], FrameSource]) -> None:
    """Offer a source in the dock widget; one of the same name is replaced.

    Parameters
    ----------
    name : str
        What the widget shows.
    factory : callable
        Makes the source when it is chosen. May raise `SourceError`.
    """
    with _registry_lock:
        _registered[name] = factory


def unregister_source(name: str) -> None:
    """Offer a source no more; unknown names are ignored."""
    with _registry_lock:
        _registered.pop(name, None)


def registered_sources() -> dict[str, Callable[[], FrameSource]]:
    """Return the sources on offer by name, in the order they were registered."""
    with _registry_lock:
        return dict(_registered)
