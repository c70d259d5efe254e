"""Showing the newest frame of a camera while it is recorded, at a bounded cost.

A recorder that takes every frame off the camera's buffer leaves none for napari-micromanager's
preview, so it is fed from here. A redraw may take 10 ms on a fast graphics card and 100 ms in
software: how long the last one took says when the next may come.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["LivePreview"]

_SHARE = 0.15
"""Most of the main thread's time that redraws may take."""

_SHORTEST = 0.05
"""Seconds between two frames at least: more than 20 a second nobody needs."""

_LONGEST = 2.0
"""Seconds after which a frame is shown however slow drawing is."""


class LivePreview(QObject):  # type: ignore[misc]  # Qt is not typed here
    """Feeds a layer with the newest frame.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose layer is fed.
    latest : callable
        Returns the newest frame, or None; called on the main thread.
    layer : str, default "preview"
        Name of the layer; nothing is shown while there is none.
    in_place : bool, default True
        Write into the layer's pixels, which costs half of setting ``layer.data``, and does not
        tell those who listen to it.
    parent : QObject, optional
        Owner.

    Attributes
    ----------
    shown : int
        Frames that were shown.
    cost : float
        Seconds of the main thread that a frame takes, smoothed.
    """

    def __init__(
        self,
        viewer: Any,
        latest: Callable[[], NDArray[Any] | None],
        layer: str = "preview",
        *,
        in_place: bool = True,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.shown = 0
        self.cost = 0.0
        self._viewer, self._latest, self._name = viewer, latest, layer
        self._in_place = in_place
        self._last: object = None
        self._pixels: NDArray[Any] | None = None
        self._began = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._show)

    def start(self) -> None:
        """Begin to show."""
        self._timer.start(round(1e3 * _SHORTEST))

    def stop(self) -> None:
        """Show no more."""
        self._timer.stop()
        self._viewer = None

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next, by what the last ones cost."""
        return min(max(_SHORTEST, self.cost / _SHARE), _LONGEST)

    def _show(self) -> None:
        """Show the newest frame, and see how long that keeps the main thread busy."""
        frame = self._latest()
        viewer = self._viewer
        if viewer is None:
            return
        if frame is None or frame is self._last or self._name not in viewer.layers:
            self._timer.start(round(1e3 * self.interval))
            return
        self._began = time.perf_counter()
        self._last = frame
        self._put(viewer.layers[self._name], frame)
        self.shown += 1
        # Painting is done when events that were posted before have been handled, twice over.
        QTimer.singleShot(0, lambda: QTimer.singleShot(0, self._painted))

    def _put(self, layer: Any, frame: NDArray[Any]) -> None:
        """Give the layer a frame; the array that the source owns stays its own."""
        mine = self._pixels
        if (
            not self._in_place
            or mine is None
            or layer.data is not mine
            or (mine.shape, mine.dtype) != (frame.shape, frame.dtype)
        ):
            self._pixels = np.array(frame)
            layer.data = self._pixels
            return
        np.copyto(mine, frame)
        # Neither thumbnail nor extent: both make the list of layers and the sliders draw again.
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _painted(self) -> None:
        """Take the time, and wait accordingly."""
        if self._viewer is None:
            return
        took = time.perf_counter() - self._began
        self.cost = took if not self.cost else 0.7 * self.cost + 0.3 * took
        self._timer.start(round(1e3 * self.interval))
