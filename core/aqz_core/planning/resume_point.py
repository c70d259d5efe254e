"""Where an earlier recording is resumed: what recovery finds out and recording needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from aqz_core.metadata import Document
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.lock import StoreLock

__all__ = ["ResumePoint", "ResumedStore"]

LeadIndex = tuple[int, ...]


@dataclass(frozen=True)
class ResumePoint:
    """Where the recording of one array is resumed.

    Attributes
    ----------
    frames
        Number of the next frame, in the order of arrival.
    certain
        How many frames are stored for certain; None if they came by index.
    lengths
        Stored length of every level on the append axis, pixels.
    start
        Length on the append axis up to which nothing is missing at any level.
    replay
        Numbers of the stored frames of incomplete units.
    written
        Numbers of all stored frames of a recording by index; None if they came in order.
    read_plane
        Reads a plane, shape (Y, X) as stored, by its storage index.
    read_nbytes
        Bytes of memory that reading planes takes.
    keeps
        Which frames keep their chunks, by number, shape (frames,): the stored ones, and those that
        were stored for certain and have lost chunks since.
    is_final
        Whether the chunks of a level, at a coordinate on its append axis, are complete.
    gaps
        Whether frames may be missing on purpose.
    lost
        Numbers of frames that came and whose chunks are not stored.
    appended
        How many frames came in order, where the earlier recording was in order and this one goes
        by index, because some are missing.
    forgets
        Whether the log tells of frames behind the last one, which come anew.
    image_attributes
        NGFF attributes of an image as they are stored; None for a plain array.
    """

    frames: int
    certain: int | None
    lengths: tuple[int, ...]
    start: int
    replay: Sequence[int]
    written: Sequence[int] | None
    read_plane: Callable[[LeadIndex], npt.NDArray[Any]]
    read_nbytes: int
    keeps: npt.NDArray[np.bool_]
    is_final: Callable[[int, int], bool]
    gaps: bool = False
    lost: Sequence[int] = ()
    appended: int = 0
    forgets: bool = False
    image_attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ResumedStore:
    """An earlier recording to resume, locked.

    Attributes
    ----------
    settings
        Of the whole stream, valid.
    lock
        Held on the store; None where there is none to hold.
    attributes
        What every node carries besides what the stream writes, by key.
    resume_point_of
        Finds out how far an array came, and removes what is not taken up. Raises `ResumeError`
        where the store does not hold what its metadata say.
    close
        To be called when the stream is open: ends the reading of the store.
    """

    settings: StreamSettings
    lock: StoreLock | None
    attributes: Mapping[str, Document]
    resume_point_of: Callable[[ArrayPlan], ResumePoint]
    close: Callable[[], None]
