"""The way from the taps of the sources into the queue, and the limits met on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_napari.recorder.frame_queue import FrameQueue, QueuedFrame
    from aqz_napari.recorder.recorder_life import RecorderLife
    from aqz_napari.recorder.recorder_status import StopRule
    from aqz_napari.recorder.source_tap import SourceTap
    from aqz_napari.recorder.take_rule import TakeRule

__all__ = ["FrameIntake"]


class FrameIntake:
    """What the taps of one recording share.

    Parameters
    ----------
    life : RecorderLife
        Says whether frames are taken; is told why the recording ends.
    queue : FrameQueue
        Where frames go.
    stop_rule : StopRule
        Limits of frames and bytes are watched here.
    take_rule : TakeRule
        Which frames are taken.
    wait : float
        Seconds that a producer may be held up when the queue is full.
    """

    def __init__(
        self,
        life: RecorderLife,
        queue: FrameQueue,
        stop_rule: StopRule,
        take_rule: TakeRule,
        wait: float,
    ) -> None:
        self.life = life
        self.queue = queue
        self.stop_rule = stop_rule
        self.take_rule = take_rule
        self.wait = wait
        self.taps: Mapping[str, SourceTap] = {}
        self._nbytes = 0

    def reserve(self, nbytes: int, wait: float) -> bool:
        """Set room aside for a frame; False when there is none."""
        return self.queue.reserve(nbytes, wait)

    def copy_of(self, pixels: Any, nbytes: int) -> Any:
        """Copy pixels into a buffer of the queue; gives the room back if that fails."""
        try:
            return self.queue.copy_of(pixels)
        except BaseException:
            self.queue.cancel(nbytes)
            raise

    def put(self, frame: QueuedFrame, nbytes: int) -> None:
        """Put a frame in whose room was reserved."""
        self.queue.put(frame)
        limit = self.stop_rule.nbytes
        with self.life.lock:
            self._nbytes += nbytes
            if limit is not None and self._nbytes >= limit:
                self.life.ask_to_stop(f"the limit of {limit / 1e6:.0f} MB is reached", planned=True)

    def tap_completed(self) -> None:
        """Look whether every source is complete, and end if so."""
        if all(tap.is_complete for tap in self.taps.values()):
            messages = (tap.end_message for tap in self.taps.values())
            self.life.ask_to_stop(next(messages, ""), planned=True)

    def resume(self) -> None:
        """End a pause, if there is one: each tap marks the gap with its next frame."""
        with self.life.lock:
            gap = self.life.resume({key: tap.count.accepted for key, tap in self.taps.items()})
            for tap in self.taps.values():
                tap.gap_seconds += gap or 0.0
