"""Errors as the status codes of C."""

from __future__ import annotations

import enum

from aqz_core.errors import (
    FrameShapeError,
    MemoryBudgetError,
    MetadataError,
    OutOfBoundsError,
    PluginError,
    SettingsError,
    StorageError,
    StoreExistsError,
    StreamClosedError,
    UnknownArrayError,
)

__all__ = [
    "ArgumentError",
    "IndexTooLargeError",
    "LoggedError",
    "PartialWriteError",
    "Status",
    "status_of",
]


class Status(enum.IntEnum):
    """``ZarrStatusCode``, as far as Python returns it."""

    SUCCESS = 0
    INVALID_ARGUMENT = 1
    INVALID_INDEX = 3
    INTERNAL_ERROR = 5
    OUT_OF_MEMORY = 6
    IO_ERROR = 7
    INVALID_SETTINGS = 9
    WILL_NOT_OVERWRITE = 10
    PARTIAL_WRITE = 11
    WRITE_OUT_OF_BOUNDS = 12
    KEY_NOT_FOUND = 13


class ArgumentError(ValueError):
    """A program in C gave an argument that means nothing."""


class IndexTooLargeError(IndexError):
    """A program in C asked for more than there is."""


class LoggedError(Exception):
    """Metadata are there already, as the engine has logged by itself."""


class PartialWriteError(Exception):
    """Something failed after the first bytes of a call were taken.

    Parameters
    ----------
    taken
        How many they were.
    cause
        What failed.
    """

    def __init__(self, taken: int, cause: BaseException) -> None:
        super().__init__(f"only the first {taken:,} bytes were taken: {cause}")
        self.taken = taken


_STATUSES: list[tuple[type[BaseException], Status]] = [
    (PartialWriteError, Status.PARTIAL_WRITE),
    (LoggedError, Status.WILL_NOT_OVERWRITE),
    (IndexTooLargeError, Status.INVALID_INDEX),
    (OutOfBoundsError, Status.WRITE_OUT_OF_BOUNDS),
    (UnknownArrayError, Status.KEY_NOT_FOUND),
    (StoreExistsError, Status.WILL_NOT_OVERWRITE),
    (MemoryBudgetError, Status.OUT_OF_MEMORY),
    (MemoryError, Status.OUT_OF_MEMORY),
    (SettingsError, Status.INVALID_SETTINGS),
    (PluginError, Status.INVALID_SETTINGS),
    (StreamClosedError, Status.INVALID_ARGUMENT),
    (MetadataError, Status.INVALID_ARGUMENT),
    (FrameShapeError, Status.INVALID_ARGUMENT),
    (ArgumentError, Status.INVALID_ARGUMENT),
    (StorageError, Status.IO_ERROR),
    (OSError, Status.IO_ERROR),
]


def status_of(error: BaseException) -> Status:
    """Return the status that stands for an error."""
    matches = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(matches, Status.INTERNAL_ERROR)
