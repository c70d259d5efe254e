"""The sink that a source delivers to: checks a frame, copies it, counts it.

One tap for each array of a recorder. It runs on the producer's thread, keeps the order of one
source by a lock of its own, and turns every problem into a count or a message.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aqz_napari.recorder.frame_queue import QueuedFrame
from aqz_napari.recorder.recorder_status import ArrayCount
from aqz_napari.recorder.take_rule import FrameChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aqz_core import ArraySettings
    from aqz_napari.recorder.frame_queue import FrameQueue
    from aqz_napari.recorder.recorder_life import RecorderLife
    from aqz_napari.recorder.recorder_status import StopRule
    from aqz_napari.recorder.take_rule import TakeRule
    from aqz_napari.sources.frame_source import SourceSpec

__all__ = ["SourceTap"]

_log = logging.getLogger("aqz.napari")


class Intake(Protocol):
    """What a tap hands its frames to."""

    life: RecorderLife
    queue: FrameQueue
    stop_rule: StopRule
    take_rule: TakeRule
    wait: float

    def reserve(self, nbytes: int, wait: float) -> bool:
        """Set room aside for a frame; False when there is none."""
        ...

    def copy_of(self, pixels: Any, nbytes: int) -> Any:
        """Copy pixels into a buffer; gives the room back if that fails."""
        ...

    def put(self, frame: QueuedFrame, nbytes: int) -> None:
        """Put a frame in whose room was reserved."""
        ...

    def tap_completed(self) -> None:
        """Look whether every source is complete, and end if so."""
        ...


class SourceTap:
    """Takes the frames of one array; a `FrameSink`.

    Parameters
    ----------
    intake : Intake
        Where frames go, and whom to tell.
    key : str
        Key of the array.
    array : ArraySettings or None
        Settings of the array, to check frames against.
    spec : SourceSpec or None
        What the source said, if there is one.
    """

    def __init__(
        self,
        intake: Intake,
        key: str,
        array: ArraySettings | None,
        spec: SourceSpec | None,
    ) -> None:
        self.key = key
        self.count = ArrayCount()
        self.gap_seconds = 0.0
        self.end_message = ""
        self.is_complete = False
        self._intake, self._life = intake, intake.life
        self._choice = FrameChoice(intake.take_rule, intake.life)
        self._spec = spec
        self._sizes = None if array is None else tuple(d.array_size_px for d in array.dimensions)
        self.axes = [] if array is None else [d.name for d in array.dimensions]
        self._array = array
        self._dtype = None if array is None else array.data_type.dtype.newbyteorder("=")
        self._patience = intake.wait
        if spec is not None and spec.can_wait:
            self._patience = float("inf")
        self._order = threading.RLock()
        self._count_lock = threading.Lock()
        self._dropped_in_a_row = 0
        self._stamps = (0.0, 0.0)

    def __call__(
        self,
        frame: Any,
        *,
        index: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take a frame; see `FrameSink`."""
        try:
            with self._order:
                return self._take(frame, index, metadata)
        except Exception as error:  # a producer must never see an error of the recorder
            _log.exception("a frame for %r could not be taken", self.key)
            self._life.ask_to_stop(f"a frame for {self.name} could not be taken: {error}")
            return False

    def end(self, message: str = "") -> None:
        """Say that no more frames will come."""
        self.is_complete = True
        self.end_message = message or f"{self.name} has no more frames"
        self._intake.tap_completed()

    def fail(self, message: str) -> None:
        """End the recording, keeping what it has."""
        self._life.ask_to_stop(message)

    @property
    def name(self) -> str:
        """What to call the source in messages."""
        return self._spec.name if self._spec is not None else self.key or "the recording"

    def describe(self) -> dict[str, Any]:
        """Return what the store should say about the source."""
        if self._spec is None:
            return {"name": self.name}
        return {
            "name": self._spec.name,
            "every_frame": self._spec.every_frame,
            **({"labels": True} if self._spec.is_labels else {}),
            **self._spec.metadata,
        }

    def describe_axes(self) -> list[dict[str, Any]] | None:
        """Return scale and unit of each axis where the array's own metadata cannot say them."""
        if self._array is None or self._array.is_ngff:
            return None
        return [
            {"name": d.name, "scale": d.scale or 1.0, "unit": d.unit}
            for d in self._array.dimensions
        ]

    def interval(self) -> float | None:
        """Return the seconds from frame to frame, by their time stamps; None for a single one."""
        first, last = self._stamps
        count = self.count.accepted - 1
        return round((last - first) / count, 9) if count > 0 and last > first else None

    def written(self) -> None:
        """Count a frame that was handed to the store."""
        with self._count_lock:
            self.count = replace(self.count, written=self.count.written + 1)

    def lose(self, number: int | None) -> None:
        """Count a frame that could not be stored."""
        with self._count_lock:
            first = self.count.first_dropped
            first = number if first is None or (number is not None and number < first) else first
            self.count = replace(self.count, dropped=self.count.dropped + 1, first_dropped=first)

    def settle(self) -> None:
        """Return when no frame is on its way into the queue any more."""
        with self._order:
            pass

    def _take(
        self, frame: Any, index: Mapping[str, int] | None, metadata: Mapping[str, Any] | None
    ) -> bool:
        """Check, copy and queue a frame."""
        intake, life = self._intake, self._life
        from_source = self._spec is not None
        if self.is_complete or not life.accepts(from_source=from_source):
            return False
        arrived = time.time()
        pixels = np.asarray(frame)
        if problem := self._problem_with(pixels):
            life.ask_to_stop(problem)
            return False
        if not self._choice.takes(pixels, index):
            return False
        number = self.count.received
        if not intake.reserve(pixels.nbytes, self._patience):
            if life.accepts(from_source=from_source):
                self._receive(accepted=False)
                self.lose(number)
                self._dropped_in_a_row += 1
            return False
        copy = intake.copy_of(pixels, pixels.nbytes)
        about = self._about(number, arrived, metadata)
        intake.put(QueuedFrame(self.key, copy, index, about), pixels.nbytes)
        self._receive(accepted=True)
        limit = intake.stop_rule.frames
        if limit is not None and self.count.accepted >= limit:
            self.end(f"the limit of {limit} frames is reached")
        return True

    def _receive(self, *, accepted: bool) -> None:
        """Count a frame that came."""
        with self._count_lock:
            self.count = replace(
                self.count,
                received=self.count.received + 1,
                accepted=self.count.accepted + accepted,
            )

    def _about(
        self, number: int, arrived: float, metadata: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return the metadata of a frame: number, times, gaps, then the source's own."""
        said = dict(metadata or {})
        taken = float(said.pop("timestamp", arrived))  # the source knows better when it was made
        self._stamps = (self._stamps[0] or taken, taken)
        elapsed = max(0.0, self._life.seconds - (arrived - taken))
        about: dict[str, Any] = {
            "number": number,
            "timestamp": round(taken, 6),
            "elapsed": round(elapsed, 6),
        }
        if self.gap_seconds:
            about["gap"], self.gap_seconds = round(self.gap_seconds, 6), 0.0
        if self._dropped_in_a_row:
            about["dropped_before"], self._dropped_in_a_row = self._dropped_in_a_row, 0
        if said:
            about["source"] = said
        return about

    def _problem_with(self, pixels: NDArray[Any]) -> str:
        """Say why a frame does not fit the array; empty if it does."""
        if self._sizes is None or self._dtype is None:
            return ""
        if pixels.dtype.newbyteorder("=") != self._dtype:
            return (
                f"{self.name} changed its data type from {self._dtype} to {pixels.dtype}; "
                "the recording ended before that frame"
            )
        ndim = pixels.ndim
        if ndim < 2 or ndim > len(self._sizes) or pixels.shape != self._sizes[-ndim:]:
            wanted = self._spec.update_shape if self._spec is not None else self._sizes[-2:]
            return (
                f"{self.name} changed its shape from {wanted} to {pixels.shape}; "
                "the recording ended before that frame"
            )
        return ""
