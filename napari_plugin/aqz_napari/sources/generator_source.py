"""A source for anything that can be iterated: files, simulations, cameras with Python drivers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.sources.frame_source import Axis, FrameSink, SourceError, SourceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["GeneratorSource"]


class GeneratorSource:
    """Records the frames of an iterable, on a thread of its own. No frame is lost.

    Parameters
    ----------
    frames : callable
        Returns an iterable of frames each time it is called, all of one shape and data type.
    name : str
        For people.
    shape : (int, int), optional
        Rows and columns. Taken from the first frame when left out.
    dtype : data type, optional
        Likewise.
    axes : sequence of Axis, optional
        Axes in front of a frame's; by default time, as many frames as come.
    scale : (float, float)
        Size of a pixel along rows and columns.
    unit : str, optional
        Unit of `scale`.
    can_wait : bool, default True
        Whether the iterable may be held up while the store is slower than it.
    """

    def __init__(
        self,
        frames: Callable[[], Iterable[Any]],
        name: str = "generator",
        *,
        shape: tuple[int, int] | None = None,
        dtype: Any = None,
        axes: Sequence[Axis] | None = None,
        scale: tuple[float, float] = (1.0, 1.0),
        unit: str | None = None,
        can_wait: bool = True,
    ) -> None:
        self._frames = frames
        self._name = name
        self._shape = shape
        self._dtype = None if dtype is None else np.dtype(dtype)
        self._lead = tuple(axes) if axes is not None else (Axis("t", 0, "time", 1.0, "second"),)
        self._scale, self._unit, self._can_wait = scale, unit, can_wait
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def describe(self) -> SourceSpec:
        """Say what will be delivered; looks at a first frame if it has to."""
        if self._shape is None or self._dtype is None:
            first = next(iter(self._frames()), None)
            if first is None:
                raise SourceError(f"{self._name} yields no frames")
            pixels = np.asarray(first)
            if pixels.ndim != 2:
                raise SourceError(
                    f"{self._name} yields frames of shape {pixels.shape}; they need two axes"
                )
            self._shape, self._dtype = (pixels.shape[0], pixels.shape[1]), pixels.dtype
        rows, columns = (
            Axis(axis, size, "space", scale, self._unit)
            for axis, size, scale in zip("yx", self._shape, self._scale, strict=True)
        )
        return SourceSpec(
            self._name, (*self._lead, rows, columns), self._dtype, can_wait=self._can_wait
        )

    def start(self, sink: FrameSink) -> None:
        """Iterate on a new thread."""
        self._stopped.clear()
        self._thread = threading.Thread(
            target=self._run, args=(sink,), name=f"aqz source {self._name}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop after the frame under way."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def _run(self, sink: FrameSink) -> None:
        """Deliver until the end or `stop`."""
        try:
            for frame in self._frames():
                if self._stopped.is_set():
                    return
                sink(frame)
            sink.end()
        except Exception as error:
            sink.fail(f"{self._name} failed: {error}")
