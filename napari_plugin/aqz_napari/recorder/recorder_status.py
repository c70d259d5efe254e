"""What a recorder tells: states, limits and frozen snapshots of its counts."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aqz_core import StreamReport

__all__ = ["ArrayCount", "RecorderState", "RecorderStatus", "RecordingReport", "StopRule"]


class RecorderState(enum.Enum):
    """Where a recorder is in its life; it goes through these once."""

    IDLE = "idle"
    STARTING = "starting"
    RECORDING = "recording"
    PAUSED = "paused"
    FINISHING = "finishing"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_running(self) -> bool:
        """Whether the store is open."""
        return self in _RUNNING

    @property
    def is_over(self) -> bool:
        """Whether the recorder has ended, well or not."""
        return self in (RecorderState.FINISHED, RecorderState.FAILED)


_RUNNING = frozenset({RecorderState.RECORDING, RecorderState.PAUSED, RecorderState.FINISHING})


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a recording ends by itself; without any limit it goes on until `stop`.

    Attributes
    ----------
    frames : int or None
        Deliveries of each source: frames, or stacks for sources of whole stacks.
    seconds : float or None
        Time since the start, pauses included.
    nbytes : int or None
        Bytes of pixels, all arrays together.
    disk_floor : int or None
        Bytes that must stay free where a local store is.
    """

    frames: int | None = None
    seconds: float | None = None
    nbytes: int | None = None
    disk_floor: int | None = None

    def __post_init__(self) -> None:
        """Check the limits."""
        for name in ("frames", "seconds", "nbytes", "disk_floor"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} of a StopRule is {value}; give a positive number or None")


@dataclass(frozen=True, slots=True)
class ArrayCount:
    """Counts of one array.

    Attributes
    ----------
    received : int
        Deliveries that came while recording.
    accepted : int
        Of those, taken into the queue.
    written : int
        Of those, handed to the store.
    dropped : int
        Deliveries lost because the queue was full, or storing failed.
    first_dropped : int or None
        Number of the first one lost, counted from 0 among those received.
    """

    received: int = 0
    accepted: int = 0
    written: int = 0
    dropped: int = 0
    first_dropped: int | None = None


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """A look at a recorder.

    Attributes
    ----------
    state : RecorderState
        Where it is.
    message : str
        Why it ended, or what was noticed last; empty if there is nothing to say.
    arrays : dict of str to ArrayCount
        By key.
    seconds : float
        Since the start.
    frames_per_second : float
        Deliveries over the last seconds.
    megabytes_per_second : float
        Pixels stored over the last seconds, 10^6 bytes a second.
    queue_fill : float
        The fuller of the recorder's queue and the stream's memory, 0 to 1.
    nbytes : int
        Bytes of pixels handed to the store.
    free_disk : int or None
        Bytes free where the store is; None for stores elsewhere.
    is_armed : bool
        Whether the frame that the recording begins with has not come yet.
    pauses : int
        How often it was paused.
    waiting : int
        Deliveries taken that are still to be handed to the store.
    was_planned : bool
        Whether it ended as the user wanted: by Stop, at a limit, or because a source was complete.
    unreadable : int
        After a failure of the store: frames it had taken that cannot be read from it.
    spill_path : str
        Folder in which the recording goes on because the object store failed; else empty.
    spill_reason : str
        Why it failed.
    """

    state: RecorderState = RecorderState.IDLE
    message: str = ""
    arrays: dict[str, ArrayCount] = field(default_factory=dict)
    seconds: float = 0.0
    frames_per_second: float = 0.0
    megabytes_per_second: float = 0.0
    queue_fill: float = 0.0
    nbytes: int = 0
    free_disk: int | None = None
    is_armed: bool = False
    pauses: int = 0
    waiting: int = 0
    was_planned: bool = False
    unreadable: int = 0
    spill_path: str = ""
    spill_reason: str = ""

    @property
    def written(self) -> int:
        """Deliveries handed to the store, all arrays together."""
        return sum(count.written for count in self.arrays.values())

    @property
    def accepted(self) -> int:
        """Deliveries taken, all arrays together."""
        return sum(count.accepted for count in self.arrays.values())

    @property
    def dropped(self) -> int:
        """Deliveries lost on the way to the store, all arrays together."""
        return sum(count.dropped for count in self.arrays.values())

    @property
    def lost(self) -> int:
        """Deliveries that cannot be read from the store: dropped before it, or lost in it."""
        return self.dropped + self.unreadable

    @property
    def error_free(self) -> bool:
        """Whether the store was finished, and holds all that it was given."""
        return self.state is not RecorderState.FAILED and not self.unreadable

    @property
    def is_complete(self) -> bool:
        """Whether it ended as the user wanted, with frames, none of them lost."""
        good = self.state is RecorderState.FINISHED and self.was_planned
        return good and self.written > 0 and not self.lost


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """What a recorder made.

    Attributes
    ----------
    store_path : str
        The store: a path or URL.
    status : RecorderStatus
        The last one.
    stream : StreamReport or None
        None when the stream failed.
    error : BaseException or None
        What made it fail.
    """

    store_path: str
    status: RecorderStatus
    stream: StreamReport | None = None
    error: BaseException | None = None
