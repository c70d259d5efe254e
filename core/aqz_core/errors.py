"""Every error that aqz raises, as one tree.

Each class is also a ``RuntimeError``, because that is what programs written for
acquire-zarr catch, and the standard class that a Python reader would expect.
Classes of ``OSError`` name it first: it takes the error number out of the arguments. ::

    AqzError (RuntimeError)
    ├── SettingsError (ValueError)            the settings cannot be recorded
    │   ├── SettingsTypeError (TypeError)     an argument is of the wrong type
    │   └── MemoryBudgetError                 max_memory is too small for the layout
    ├── StoreExistsError (FileExistsError)    an array is already at that key
    ├── PluginError                           a plug-in clashes with another, or failed
    ├── FrameShapeError (ValueError)          appended pixels do not make up frames
    ├── FrameTypeError (TypeError)            appended pixels have another data type
    ├── UnknownArrayError (KeyError)          no array of that key in the stream
    ├── FrameIndexError (ValueError)          an index names axes or channels that are not there
    ├── FrameExistsError (ValueError)         a frame is written to an index a second time
    ├── FrameMissingError (LookupError)       a frame is read that was never recorded
    ├── OutOfBoundsError (IndexError)         more frames than the array was declared for
    ├── MetadataError (ValueError)            custom metadata that JSON or NGFF cannot hold
    ├── ResumeError (ValueError)              a store that recording cannot go on in
    ├── StreamClosedError                     the stream was closed before the call
    └── StorageError (OSError)                bytes could not be stored or read
        ├── StalledError (TimeoutError)       nothing was stored for too long
        └── StoreBusyError (BlockingIOError)  another stream or process writes the store

``kind`` is a short machine-readable name that stays the same between releases.
"""

from __future__ import annotations

from typing import ClassVar

from aqz_core.display.printable import visible

__all__ = [
    "AqzError",
    "FrameExistsError",
    "FrameIndexError",
    "FrameMissingError",
    "FrameShapeError",
    "FrameTypeError",
    "MemoryBudgetError",
    "MetadataError",
    "OutOfBoundsError",
    "PluginError",
    "ResumeError",
    "SettingsError",
    "SettingsTypeError",
    "StalledError",
    "StorageError",
    "StoreBusyError",
    "StoreExistsError",
    "StreamClosedError",
    "UnknownArrayError",
]


class AqzError(RuntimeError):
    """Base of every error that aqz raises on purpose."""

    kind: ClassVar[str] = "aqz"

    def __str__(self) -> str:
        """Return the message; control characters of what it quotes are shown by their codes."""
        return visible(super().__str__())


class SettingsError(AqzError, ValueError):
    """The settings contradict themselves, a format, or the machine."""

    kind = "settings"


class SettingsTypeError(SettingsError, TypeError):
    """An argument or a setting is of a type that means nothing there."""

    kind = "settings-type"


class MemoryBudgetError(SettingsError):
    """``max_memory`` is below what the layout needs at least."""

    kind = "memory-budget"


class StoreExistsError(FileExistsError, AqzError):
    """Something is already stored where the stream would write."""

    kind = "store-exists"

    def __str__(self) -> str:
        """Return the message, as `AqzError` does."""
        return visible(super().__str__())


class PluginError(AqzError):
    """Two plug-ins offer the same name, or a plug-in failed while it was asked."""

    kind = "plugin"


class FrameShapeError(AqzError, ValueError):
    """The appended pixels are neither frames nor a run of pixels."""

    kind = "frame-shape"


class FrameTypeError(AqzError, TypeError):
    """The appended pixels cannot be stored in the array's data type without change."""

    kind = "frame-type"


class FrameIndexError(AqzError, ValueError):
    """An index does not name the axes of the array, or a position on them."""

    kind = "frame-index"


class FrameExistsError(AqzError, ValueError):
    """A frame is recorded at that index already."""

    kind = "frame-exists"


class FrameMissingError(AqzError, LookupError):
    """No frame was recorded at that index, so there are no pixels to return."""

    kind = "frame-missing"


class UnknownArrayError(AqzError, KeyError):
    """The stream, or the store, has no array of that key."""

    kind = "unknown-array"

    def __str__(self) -> str:
        """Return the message itself; ``KeyError`` would quote it."""
        return visible(self.args[0]) if self.args else ""


class OutOfBoundsError(AqzError, IndexError):
    """The frame lies past the declared size of the append dimension."""

    kind = "out-of-bounds"


class MetadataError(AqzError, ValueError):
    """Custom metadata that is not JSON, or uses a reserved name."""

    kind = "metadata"


class ResumeError(AqzError, ValueError):
    """The store cannot be recorded into any further, or not with these settings."""

    kind = "resume"


class StreamClosedError(AqzError):
    """The stream was already closed."""

    kind = "stream-closed"


class StorageError(OSError, AqzError):
    """The store refused, failed or disappeared; the cause is chained."""

    kind = "storage"

    def __str__(self) -> str:
        """Return the message, as `AqzError` does."""
        return visible(super().__str__())


class StalledError(StorageError, TimeoutError):
    """Nothing could be stored for longer than the stream may wait."""

    kind = "stalled"


class StoreBusyError(StorageError, BlockingIOError):
    """Another stream, of this process or another, writes the store."""

    kind = "store-busy"
