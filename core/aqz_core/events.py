"""What a stream reports: statistics, events and reports.

All are frozen records of plain values, made by the stream and read by scripts,
observers and windows. An event is the one argument of an observer hook
(`aqz_core.plugins.hookspecs`), so that fields can be added without changing any
signature. Nothing here has behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aqz_core.display.html import HtmlTable

__all__ = [
    "ArrayReport",
    "Event",
    "Progress",
    "ShardWritten",
    "StreamClosed",
    "StreamFailed",
    "StreamOpened",
    "StreamReport",
    "StreamSpilled",
    "StreamStatistics",
]


@dataclass(frozen=True, slots=True)
class StreamStatistics(HtmlTable):
    """How a stream is doing at one moment.

    Attributes
    ----------
    frames : int
        Whole frames appended, all arrays together.
    bytes_in : int
        Bytes of pixels appended.
    bytes_written : int
        Bytes stored: chunks, indexes and padding.
    queue_fill : float
        Share of the memory budget in use, 0 to 1; at 1 the next append waits.
    megabytes_per_second : float
        Mean rate of `bytes_in` since the first frame, in 10^6 bytes a second.
    seconds : float
        Time since the first frame.
    dropped : int
        Frames lost; always 0, because `append` waits rather than drops.
    spilled : bool
        Whether the object store has failed and the recording goes on in the folder that
        ``StreamSettings.spill`` names.
    """

    frames: int = 0
    bytes_in: int = 0
    bytes_written: int = 0
    queue_fill: float = 0.0
    megabytes_per_second: float = 0.0
    seconds: float = 0.0
    dropped: int = 0
    spilled: bool = False


@dataclass(frozen=True, slots=True)
class ArrayReport(HtmlTable):
    """What was recorded into one array.

    Attributes
    ----------
    key : str
        The array's key in the store, as `append` takes it.
    shape : tuple of int
        Shape of the full-resolution array, in storage order.
    frames : int
        Whole frames appended.
    bytes_in : int
        Bytes of pixels appended.
    bytes_stored : int
        Bytes stored for the array and its pyramid.
    path : str
        Where the full-resolution array is: a path or URL.
    trailing_bytes : int
        Pixels at the end that made up no whole frame, in bytes; they are not stored.
    """

    key: str
    shape: tuple[int, ...]
    frames: int
    bytes_in: int
    bytes_stored: int
    path: str
    trailing_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StreamReport(HtmlTable):
    """What a stream recorded, told when it is closed.

    Attributes
    ----------
    path : str
        The store: a path or URL.
    arrays : tuple of ArrayReport
        One per array, in the order of the settings.
    statistics : StreamStatistics
        The last ones.
    """

    path: str
    arrays: tuple[ArrayReport, ...]
    statistics: StreamStatistics


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The store is made and takes frames.

    Attributes
    ----------
    store_path : str
        The store: a path or URL.
    array_keys : tuple of str
        Keys of the arrays, in the order of the settings.
    """

    store_path: str
    array_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a running stream, ten times a second at most.

    Attributes
    ----------
    statistics : StreamStatistics
        The newest ones; an observer that is slow misses those between.
    store_path : str
        The store: a path or URL.
    """

    statistics: StreamStatistics
    store_path: str = ""


@dataclass(frozen=True, slots=True)
class ShardWritten:
    """A shard (or, unsharded, a chunk) is complete and readable.

    Attributes
    ----------
    array_key : str
        The array's key in the store.
    level : int
        Pyramid level; 0 is full resolution.
    path : str
        The file or object.
    nbytes : int
        Its size in bytes.
    chunks : int
        How many chunks it holds.
    store_path : str
        The store: a path or URL.
    """

    array_key: str
    level: int
    path: str
    nbytes: int
    chunks: int
    store_path: str = ""


@dataclass(frozen=True, slots=True)
class StreamSpilled:
    """The object store failed, and the recording goes on in a folder on this machine.

    Attributes
    ----------
    reason : BaseException
        Why the store failed.
    spill_path : str
        The folder; ``aqz upload`` sends what is in it when the store works again.
    store_path : str
        The store: a URL.
    """

    reason: BaseException
    spill_path: str
    store_path: str = ""


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Everything is stored and the store is finished.

    Attributes
    ----------
    report : StreamReport
        What was recorded.
    store_path : str
        The store: a path or URL.
    """

    report: StreamReport
    store_path: str = ""


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """The stream ended by an error; what was published before stays readable.

    Attributes
    ----------
    error : BaseException
        The first error, which `append` and `close` raise.
    store_path : str
        The store: a path or URL.
    unreadable_frames : int
        Frames that were accepted and cannot be read from the store, all arrays together.
    """

    error: BaseException
    store_path: str = ""
    unreadable_frames: int = 0


Event: TypeAlias = (
    StreamOpened | Progress | ShardWritten | StreamSpilled | StreamClosed | StreamFailed
)
"""Any event that an observer can be told."""
