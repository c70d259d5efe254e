"""Recording what a layer shows: napari's display as a source of frames.

A layer is a display, not a camera: whoever feeds it decides which frames it gets, and that is
usually fewer than the camera makes. Three ways to notice a new frame are offered, because
programs update layers in three ways: they set ``layer.data``, they write into the array and
refresh, or they write into it and tell nobody. No Qt; callbacks run on the thread of whoever
updates the layer.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import google_crc32c
import numpy as np

from aqz_napari.sources.frame_source import Axis, FrameSink, SourceError, SourceSpec
from aqz_napari.sources.layer_facts import layer_axes, layer_channels, layer_dtype, level_zero

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CAPTURES", "UPDATES", "LayerSource"]

Capture = Literal["update", "in_place", "timer"]
Update = Literal["stack", "slice", "added"]

CAPTURES: dict[Capture, str] = {
    "update": "each time layer.data is set",
    "in_place": "also when it is changed in place and refreshed",
    "timer": "at regular times",
}
"""Ways to notice a new frame, and what people read."""

UPDATES: dict[Update, str] = {
    "stack": "all of the layer",
    "slice": "the slice on display",
    "added": "what was added along the first axis",
}
"""What of the layer one update records, and what people read."""

_log = logging.getLogger("aqz.napari")


class LayerSource:
    """Records what a napari layer shows.

    Parameters
    ----------
    layer : napari.layers.Image or napari.layers.Labels
        Kept itself, so that it may be renamed.
    capture : {"update", "in_place", "timer"}
        How a new frame is noticed. In place, a frame that is still being written may be caught.
        Labels are painted in place: for them, "update" means the same as "in_place".
    update : {"stack", "slice", "added"}
        What one update records: everything, the slice on display, or what was added along the
        first axis. For a layer of two axes the first two mean the same.
    interval : float, default 0.1
        Seconds from one look to the next, for ``"timer"``.
    skip_unchanged : bool, default False
        For ``"timer"``: record only what differs from the frame before.
    viewer : napari.components.ViewerModel, optional
        Says which slice is on display, names axes, and tells when the layer is removed.
    """

    def __init__(
        self,
        layer: Any,
        capture: Capture = "update",
        update: Update = "stack",
        *,
        interval: float = 0.1,
        skip_unchanged: bool = False,
        viewer: Any = None,
    ) -> None:
        if capture not in CAPTURES:
            raise ValueError(f"capture is {capture!r}; choose one of {', '.join(CAPTURES)}")
        if update not in UPDATES:
            raise ValueError(f"update is {update!r}; choose one of {', '.join(UPDATES)}")
        if not interval > 0:
            raise ValueError(f"interval is {interval} seconds; give a positive number")
        self.layer = layer
        self._is_labels = not hasattr(layer, "contrast_limits") and hasattr(layer, "paint")
        self._capture = "in_place" if self._is_labels and capture == "update" else capture
        self._update = update
        self._interval, self._skip_unchanged = interval, skip_unchanged
        self._viewer = viewer
        self._sink: FrameSink | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._fingerprint: int | None = None
        self._taken_by_refresh = False
        self._seen = 0

    def describe(self) -> SourceSpec:
        """Say what an update of the layer records.

        Raises
        ------
        SourceError
            The layer has no rows and columns, pixels that cannot be stored, or not enough axes.
        """
        layer = self.layer
        dtype = layer_dtype(layer)
        labels = self._viewer.dims.axis_labels if self._viewer is not None else ()
        axes = layer_axes(layer, labels)
        rgb = bool(getattr(layer, "rgb", False))
        frame_ndim = 3 if rgb else 2
        if self._update == "added":
            if len(axes) <= frame_ndim:
                raise SourceError(
                    f"layer {layer.name!r} has no axis that could grow; record all of it"
                )
            first = axes[0]
            axes = (Axis(first.name, 0, first.kind, first.scale, first.unit), *axes[1:])
            update_ndim = len(axes) - 1
        else:
            if self._update == "slice":
                kept = self._displayed(rgb)
                axes = tuple(axes[i] for i in kept)
            update_ndim = len(axes)
            axes = _with_updates(axes)
        return SourceSpec(
            layer.name,
            axes,
            dtype,
            update_ndim=update_ndim,
            every_frame=False,
            channels=self._channels(axes),
            metadata={"layer": layer.name, "capture": self._capture, "update": self._update},
            is_labels=self._is_labels,
        )

    def start(self, sink: FrameSink) -> None:
        """Listen to the layer, or look at it at regular times."""
        self._sink = sink
        self._stopped.clear()
        self._fingerprint, self._taken_by_refresh = None, False
        self._seen = int(np.shape(level_zero(self.layer))[0]) if self._update == "added" else 0
        if self._viewer is not None:
            self._viewer.layers.events.removed.connect(self._on_removed)
        if self._capture == "timer":
            self._thread = threading.Thread(target=self._look, name="aqz layer", daemon=True)
            self._thread.start()
            return
        self.layer.events.data.connect(self._on_data)
        if self._capture == "in_place":
            self._fingerprint = _fingerprint(self._pixels())
            for emitter in self._redraws():
                emitter.connect(self._on_refresh)

    def stop(self) -> None:
        """Listen no more."""
        self._sink = None
        self._stopped.set()
        for emitter, callback in (
            (self.layer.events.data, self._on_data),
            *((emitter, self._on_refresh) for emitter in self._redraws()),
            (self._viewer and self._viewer.layers.events.removed, self._on_removed),
        ):
            if emitter is not None and callback in emitter.callbacks:
                emitter.disconnect(callback)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def deliver_now(self) -> None:
        """Deliver what the layer shows, although nothing has changed."""
        self._seen -= self._update == "added"  # the newest is what is there
        self._record()

    def changed_unseen(self) -> bool:
        """Return whether pixels were changed in a way that this capture does not see."""
        if self._capture != "update" or self._update == "added":
            return False
        before, self._fingerprint = self._fingerprint, _fingerprint(self._pixels())
        return before is not None and before != self._fingerprint

    def _redraws(self) -> list[Any]:
        """Return what is emitted when pixels may have been changed in place."""
        events = self.layer.events
        return [events.set_data] + ([events.labels_update] if self._is_labels else [])

    def _on_data(self, event: Any = None) -> None:
        """Record after ``layer.data = ...``, unless the refresh that came with it did."""
        already, self._taken_by_refresh = self._taken_by_refresh, False
        if not (already and self._is_unchanged()):
            self._record()

    def _is_unchanged(self) -> bool:
        """Return whether the layer holds what was recorded last."""
        try:
            return _fingerprint(self._pixels()) == self._fingerprint
        except Exception:  # the recording that follows tells what is wrong
            return False

    def _on_refresh(self, event: Any = None) -> None:
        """Record a refresh that shows other pixels; sliders and colours refresh too."""
        sink = self._sink
        if sink is None:
            return
        try:
            pixels = self._pixels()
            fingerprint = _fingerprint(pixels)
            changed = fingerprint != self._fingerprint
            self._fingerprint = fingerprint
            self._taken_by_refresh = changed and sink(pixels)
        except Exception as error:
            self._fail(error)

    def _on_removed(self, event: Any) -> None:
        """End with the layer."""
        if event.value is self.layer and self._sink is not None:
            self._sink.fail(f"layer {self.layer.name!r} was removed")

    def _look(self) -> None:
        """Record at regular times, on a thread of its own."""
        while not self._stopped.wait(self._interval):
            self._record()

    def _record(self) -> None:
        """Deliver what the layer holds now. Never raises: it runs inside ``layer.data = ...``."""
        sink = self._sink
        if sink is None:
            return
        try:
            if self._update == "added":
                self._record_added(sink)
                return
            pixels = self._pixels()
            if self._capture != "update":
                fingerprint, before = _fingerprint(pixels), self._fingerprint
                self._fingerprint = fingerprint
                unchanged = fingerprint == before
                if self._capture == "timer" and self._skip_unchanged and unchanged:
                    return
            sink(pixels)
        except Exception as error:
            self._fail(error)

    def _record_added(self, sink: FrameSink) -> None:
        """Deliver what the first axis grew by."""
        data = level_zero(self.layer)
        size = int(data.shape[0])
        while self._seen < size:
            added = np.asarray(data[self._seen])
            self._seen += 1
            sink(_colours_first(added) if getattr(self.layer, "rgb", False) else added)

    def _pixels(self) -> NDArray[Any]:
        """Return what an update records, as an array; lazy data are computed."""
        data = level_zero(self.layer)
        rgb = bool(getattr(self.layer, "rgb", False))
        if self._update == "slice":
            ndim = len(data.shape) - rgb
            kept = self._displayed(rgb)
            step = self._steps(ndim)
            planes = [
                slice(None) if i in _without_colour(kept, rgb) else step[i] for i in range(ndim)
            ]
            data = data[tuple(planes)]
        pixels = np.asarray(data)
        return _colours_first(pixels) if rgb else pixels

    def _displayed(self, rgb: bool) -> tuple[int, ...]:
        """Return the axes of the layer (colours counted in front of Y and X) that are shown."""
        ndim = len(np.shape(level_zero(self.layer))) - rgb
        shown = (ndim - 2, ndim - 1)
        if self._viewer is not None and self._viewer.dims.ndisplay == 2:
            offset = self._viewer.dims.ndim - ndim
            axes = tuple(sorted(int(axis) - offset for axis in self._viewer.dims.displayed))
            if min(axes) >= 0:
                shown = axes
        if not rgb:
            return shown
        return (ndim - 2, ndim - 1, ndim)  # colours stand in front of the last two

    def _steps(self, ndim: int) -> list[int]:
        """Return the position of each slider, for the layer's axes, inside of the data."""
        shape = np.shape(level_zero(self.layer))
        if self._viewer is None:
            return [0] * ndim
        viewer_step = [int(step) for step in self._viewer.dims.current_step][-ndim:]
        viewer_step = [0] * (ndim - len(viewer_step)) + viewer_step
        return [min(max(step, 0), shape[i] - 1) for i, step in enumerate(viewer_step)]

    def _channels(self, axes: tuple[Axis, ...]) -> Any:
        """Return the display of channels where it fits the channel axis."""
        channels = layer_channels(self.layer)
        sizes = [axis.size for axis in axes if axis.kind == "channel"]
        return channels if len(channels) == (sizes[0] if sizes else 1) else ()

    def _fail(self, error: Exception) -> None:
        """End the recording because the layer could not be read."""
        _log.exception("layer %r could not be read", self.layer.name)
        sink = self._sink
        if sink is not None:
            sink.fail(f"layer {self.layer.name!r} could not be read: {error}")


def _with_updates(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Put the axis of updates, which is time, in front.

    OME-NGFF allows one axis of time, and that first. A layer's own becomes one of "other" kind
    then, which is allowed beside it.
    """
    name = "t" if all(axis.name != "t" for axis in axes) else "update"
    own = tuple(replace(axis, kind="other") if axis.kind == "time" else axis for axis in axes)
    return (Axis(name, 0, "time", 1.0, None), *own)


def _without_colour(kept: tuple[int, ...], rgb: bool) -> tuple[int, ...]:
    """Return the kept axes as positions in data whose colours stand last."""
    return (kept[0], kept[1]) if rgb else kept


def _colours_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """Move the colours of an RGB image in front of its rows and columns."""
    return np.moveaxis(pixels, -1, -3)


def _fingerprint(pixels: NDArray[Any]) -> int:
    """Return a checksum of all pixels: a spot that moves changes very few."""
    return int(google_crc32c.value(np.ascontiguousarray(pixels)))
