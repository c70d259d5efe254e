"""How a recording is doing, whatever the engine: a look at its counts and rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aqz_micromanager.store_recording import RunState

__all__ = ["RunStatistics"]


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """How an acquisition is doing.

    Attributes
    ----------
    state
        ``"waiting"`` (no store yet), ``"recording"``, or how it ended: ``"complete"``;
        ``"incomplete"``, frames lack; ``"interrupted"``, ended before all frames came, by abort or
        Ctrl+C; ``"failed"``, by an error of the recording.
    frames
        Frames stored, or on their way.
    held_frames
        Frames that wait for the sizes of the axes to be known.
    missing_frames
        Frames that lack so far, of those that were planned or lie between others.
    duplicate_frames
        Frames that came for a place that had one.
    queue_fill, peak_queue_fill
        Share of the stream's memory in use, now and at most; at 1 the next frame waits.
    waited_seconds
        Time spent in handing frames to the stream, copying included.
    bytes_in, bytes_written
        Bytes of pixels taken, and stored.
    megabytes_per_second
        Mean rate of `bytes_in`.
    spilled
        Whether an object store failed and the recording went on in the folder that
        ``StreamSettings.spill`` names; ``aqz upload`` sends it.
    """

    state: RunState
    frames: int = 0
    held_frames: int = 0
    missing_frames: int = 0
    duplicate_frames: int = 0
    queue_fill: float = 0.0
    peak_queue_fill: float = 0.0
    waited_seconds: float = 0.0
    bytes_in: int = 0
    bytes_written: int = 0
    megabytes_per_second: float = 0.0
    spilled: bool = False
