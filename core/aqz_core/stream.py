"""The public stream: frames go in, a store comes out."""

from __future__ import annotations

import copy
import logging
import operator
import warnings
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from aqz_core.display.html import html_table
from aqz_core.enums import ZarrVersion
from aqz_core.errors import AqzError, MetadataError, SettingsTypeError
from aqz_core.plugins import create_plugin_manager
from aqz_core.recording.opening import extend, open_new, open_resumed
from aqz_core.recording.process import ParentsRecording, leave_to_parent
from aqz_core.recording.progress import statistics_rows
from aqz_core.settings.acquire_zarr import NEWEST
from aqz_core.settings.checks import check_plugins, describe, store_text
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.stream import validate

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from aqz_core.events import StreamReport, StreamStatistics
    from aqz_core.recording.session import RecordingSession
    from aqz_core.settings.s3 import S3Settings

__all__ = ["PartialFrameWarning", "ZarrStream"]

_log = logging.getLogger("aqz")


class PartialFrameWarning(UserWarning):
    """Pixels at the end of a recording did not make up a frame and were not stored."""


class ZarrStream:
    """Records frames into a Zarr store.

    The store is valid from the moment the stream is open. Use it as a context manager, or call
    `close`: only then is everything stored that was appended.

    Parameters
    ----------
    settings : StreamSettings
        What to record and where. They are copied: changing them later has no effect.
    plugins : iterable of object
        Plug-ins for this stream, beside the installed ones: modules or objects with functions
        marked by `aqz_core.hookimpl`, and frame processors (see `aqz_core.processors`), which
        run in the order given.

    Raises
    ------
    SettingsError
        The settings cannot be recorded; the message says which, and what to do.
    StoreExistsError
        An array is stored at one of the keys already, and ``overwrite`` is not set.
    PluginError
        A plug-in failed or clashes with another.
    StorageError
        The store cannot be written.

    Examples
    --------
    >>> import numpy as np, aqz_core as aqz
    >>> settings = aqz.StreamSettings(store_path="out.zarr", overwrite=True, arrays=[...])
    >>> with aqz.ZarrStream(settings) as stream:  # doctest: +SKIP
    ...     stream.append(np.zeros((512, 512), "uint16"))
    """

    def __init__(self, settings: StreamSettings, plugins: Iterable[object] = ()) -> None:
        if not isinstance(settings, StreamSettings):
            raise SettingsTypeError(
                f"ZarrStream takes StreamSettings, not {type(settings).__name__}; "
                "see also aqz_core.open_stream"
            )
        check_plugins(plugins)
        validate(settings)
        if settings.version is ZarrVersion.V2:
            _warn_of_zarr_v2(settings)
        self._hold(_opened(settings, plugins))

    @classmethod
    def resume(
        cls,
        store: str | os.PathLike[str],
        settings: StreamSettings | None = None,
        plugins: Iterable[object] = (),
        *,
        s3: S3Settings | None = None,
    ) -> Self:
        """Resume a recording that was interrupted, or finished, at its next frame.

        `append` continues behind the last frame of which, and of all before, every chunk is
        stored; ``statistics().frames`` tells how many those are. Shards that lack the index of
        a finished store get it first, as by ``aqz repair``. In an object store the frames of shards
        that are not full are read back, a few at a time, and the shards rewritten when they are
        complete; until then the old ones stay.

        Parameters
        ----------
        store : str or os.PathLike
            Where the recording is: a path or a URL. Recorded by aqz.
        settings : StreamSettings, optional
            What the recording must agree with; read from the store when left out. Memory, threads,
            durability and time limits are taken from here, and need not agree with anything.
        plugins : iterable of object
            As for `ZarrStream`.
        s3 : S3Settings, optional
            How to reach a bucket, if that does not stand in `settings`. With it, `store` may be a
            path in the bucket.

        Raises
        ------
        ResumeError
            There is nothing to resume, the store is damaged, or `settings` differ from it:
            the message names what differs.
        MemoryBudgetError
            Shards of that size cannot be rewritten within ``max_memory``.
        StoreBusyError
            Another stream records there; to an object store, one of this machine and user.
        SettingsError, StorageError
            The store cannot be read or written.

        Examples
        --------
        >>> with ZarrStream.resume("out.zarr") as stream:  # doctest: +SKIP
        ...     stream.append(frame)
        """
        from aqz_core.recovery.resume import open_resumed_store

        store = store_text(store)
        if settings is not None:
            _check_settings("resume", settings)
        check_plugins(plugins)
        hooks = create_plugin_manager(plugins)
        resumed = open_resumed_store(store, settings, hooks, s3)
        stream = cls.__new__(cls)
        try:
            stream._hold(open_resumed(resumed, hooks))
        finally:
            resumed.close()
        return stream

    def _hold(self, session: RecordingSession) -> None:
        """Take charge of a session: until `close`, this object is dropped, or a fork."""
        self._session = session
        self._forgotten = weakref.finalize(self, _finish_forgotten, session)
        leave_to_parent(self)

    def _disown(self) -> None:
        """In a forked child: leave the recording to the parent."""
        self._forgotten.detach()
        if self._session.lock is not None:
            self._session.lock.disown()
        self._session = cast("RecordingSession", ParentsRecording(self._session.sink.url))

    def append(
        self, data: Any, key: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Record frames that follow those recorded before.

        The data are copied before the call returns. It waits only while the memory budget is
        used up, that is, while the store is slower than the camera.

        Parameters
        ----------
        data : numpy.ndarray
            One frame of shape (Y, X); whole frames, of shape (..., Y, X), in the order of
            arrival; or a flat run of pixels that continues the one before. In the data type of
            the array; another byte order is converted.
        key : str, optional
            The array; not needed if there is only one.
        metadata : mapping, optional
            Anything that JSON can hold about the frame, of which there must be one: a time
            stamp, a stage position. `read_frame_metadata` reads it back.

        Raises
        ------
        FrameTypeError, FrameShapeError
            The data do not fit the array. Nothing of them was recorded.
        OutOfBoundsError
            They reach past the declared size. Nothing of them was recorded.
        UnknownArrayError
            There is no such array.
        StreamClosedError
            The stream was closed before.
        StorageError
            Something appended earlier could not be stored.
        """
        session = self._session
        array = session.ready.get(key) if key is None or type(key) is str else None
        if array is None:
            array = session.array(key)
        array.append(data, metadata)

    def write(
        self,
        data: Any,
        index: Mapping[str, int | str],
        key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        replace: bool = False,
    ) -> None:
        """Record one frame at a position, in any order; gaps read as the fill value.

        An `append` afterwards goes on behind the last frame written so far.

        Parameters
        ----------
        data : numpy.ndarray
            One frame of shape (Y, X).
        index : mapping of str to int or str
            Position on each axis in front of Y and X, by name: ``{"t": 3, "c": "DAPI"}``. A
            channel may be given by its name.
        key, metadata
            As for `append`.
        replace : bool, default False
            Write again where a frame is recorded already. Possible in arrays without a pyramid,
            as long as its chunk is not complete, or if each frame has chunks of its own and each
            chunk is a file (``shard_size_chunks=None``).

        Raises
        ------
        FrameIndexError
            The index does not name every axis, or a channel that there is none of.
        OutOfBoundsError
            A position is outside of its axis.
        FrameExistsError
            A frame is recorded there already.
        FrameTypeError, FrameShapeError, UnknownArrayError, StreamClosedError, StorageError
            As for `append`.
        """
        self._session.array(key).write(data, index, metadata, replace=replace)

    def skip(self, n_bytes: int, key: str | None = None) -> None:
        """Pass over pixels as if they had been appended; they read as the fill value.

        Parameters
        ----------
        n_bytes : int
            How many bytes of pixels; any number of frames, whole or not.
        key : str, optional
            As for `append`.

        Raises
        ------
        TypeError
            It is not a number of bytes, 0 or more.
        FrameShapeError
            The bytes are not a whole number of pixels.
        OutOfBoundsError, UnknownArrayError, StreamClosedError, StorageError
            As for `append`.
        """
        self._session.array(key).skip_bytes(_count(n_bytes, "n_bytes"))

    def skip_frames(self, n: int, key: str | None = None) -> None:
        """Pass over whole frames, a camera's lost ones for instance; see `skip`.

        Parameters
        ----------
        n : int
            How many frames.
        key : str, optional
            As for `append`.
        """
        self._session.array(key).skip_frames(_count(n, "n"))

    def flush(self, key: str | None = None) -> None:
        """Return when all frames taken so far can be read, and would survive a loss of power.

        Chunks that lack frames are stored as they are, and again when they are complete. With
        ``durability="none"`` nothing is forced to the disk. A store on a disk that is not live
        shows complete shards only.

        Parameters
        ----------
        key : str, optional
            One array; by default all of them.

        Raises
        ------
        UnknownArrayError, StreamClosedError, StorageError
            As for `append`.
        """
        self._session.flush(key)

    def extend(self, settings: StreamSettings) -> None:
        """Begin more arrays, or fields of plates, while the stream is open.

        Parameters
        ----------
        settings : StreamSettings
            Those that the stream was opened with, and more arrays or fields. They are copied.

        Raises
        ------
        SettingsError
            An array that is being recorded lacks or differs, or anything else but arrays does.
        MemoryBudgetError
            ``max_memory`` is too small for all of them.
        StoreExistsError
            An array is stored at one of the new keys already.
        StreamClosedError, StorageError
            As for `append`.
        """
        _check_settings("extend", settings)
        extend(self._session, copy.deepcopy(settings))

    def write_custom_metadata(
        self,
        metadata: Any = None,
        array_key: str | bool | None = None,
        metadata_key: str | None = None,
        *,
        custom_metadata: Any = None,
        overwrite: bool | None = None,
    ) -> bool:
        """Add metadata to the attributes of an array, or of an image.

        Called as in acquire-zarr 0.5.1, ``(metadata, overwrite)`` with a truth value in second
        place, it writes the metadata of the whole store into ``acquire.json`` instead.

        Parameters
        ----------
        metadata : str or mapping
            JSON text, where comments are allowed, or anything that JSON can hold. Without
            `metadata_key` it must be an object, whose members become attributes.
        array_key : str, optional
            The array; not needed if there is only one.
        metadata_key : str, optional
            Attribute that the metadata are stored under.
        custom_metadata, overwrite
            Names of the two arguments in acquire-zarr 0.5.1; `overwrite` allows to replace what
            an earlier call wrote.

        Returns
        -------
        bool
            True; failure raises.

        Raises
        ------
        MetadataError
            It is not JSON, or uses the name ``ome`` or ``aqz``, which are reserved.
        TypeError
            Arguments of the two forms are mixed.
        UnknownArrayError, StreamClosedError, StorageError
            As for `append`.
        """
        flags = [flag for flag in (array_key, overwrite) if isinstance(flag, bool)]
        if custom_metadata is not None or flags:
            given = [one for one in (metadata, custom_metadata) if one is not None]
            if len(given) != 1 or len(flags) > 1 or isinstance(array_key, str) or metadata_key:
                raise TypeError(
                    "write_custom_metadata takes (metadata, array_key, metadata_key) or, as in "
                    "acquire-zarr 0.5.1, (custom_metadata, overwrite); the two cannot be mixed"
                )
            self._session.write_acquire_json(given[0], overwrite=any(flags))
            return True
        if metadata_key is not None and not isinstance(metadata_key, str):
            raise MetadataError(f"metadata_key must be a string, got {describe(metadata_key)}")
        assert not isinstance(array_key, bool)
        self._session.add_metadata(metadata, array_key, metadata_key)
        return True

    def is_active(self) -> bool:
        """Return whether frames can be appended: the stream is open and nothing has failed."""
        return self._session.is_open

    def statistics(self) -> StreamStatistics:
        """Return counts and rates of this moment."""
        return self._session.statistics()

    def get_current_memory_usage(self) -> int:
        """Return the bytes of memory that pixels take at the moment."""
        return self._session.nbytes

    @property
    def store_path(self) -> str:
        """Where the store is."""
        return self._session.sink.url

    @property
    def array_keys(self) -> list[str]:
        """Keys that frames can be appended to, in the order of the settings."""
        return self._session.settings.get_array_keys()

    def close(self) -> None:
        """Store everything that was appended and finish the store. Later calls do nothing.

        Raises
        ------
        StorageError
            Something could not be stored. What had been published stays readable.

        Warns
        -----
        PartialFrameWarning
            Pixels at the end made up no whole frame and were not stored.
        """
        try:
            report = self._session.close()
        finally:
            if self._session.is_finished:  # or else it is finished when the program ends
                self._forgotten.detach()
        if report is not None:
            _warn_of_partial_frames(report)

    def __enter__(self) -> Self:
        """Return the stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the stream; an error inside the block is not hidden by one in closing."""
        if error is None:
            self.close()
            return
        try:
            self.close()
        except AqzError as second:
            error.add_note(f"While that was handled, closing the stream failed too: {second}")

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise TypeError(
            f"the stream to {self.store_path} belongs to this process and cannot be pickled or "
            "copied; give the other process the StreamSettings, which can, and open the stream "
            "there, or send the frames here"
        )

    def _repr_html_(self) -> str:
        """Show how it is doing, for notebooks."""
        return html_table(repr(self), statistics_rows(self.statistics()))

    def __repr__(self) -> str:
        """Say where it records to and whether it is open."""
        state = "open" if self.is_active() else "closed or failed"
        return f"<ZarrStream to {self.store_path!r}, {state}>"


def _count(value: int, name: str) -> int:
    """Return a number of things that there can be."""
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < 0:
        raise TypeError(f"{name} must be an integer of 0 or more, not {value!r}")
    return count


def _check_settings(function: str, settings: object) -> None:
    """Raise if what a method was given are no settings of a stream."""
    if not isinstance(settings, StreamSettings):
        raise SettingsTypeError(
            f"settings: ZarrStream.{function} takes StreamSettings, not {describe(settings)}"
        )


def _opened(settings: StreamSettings, plugins: Iterable[object]) -> RecordingSession:
    """Begin recording with a copy of the settings."""
    return open_new(copy.deepcopy(settings), create_plugin_manager(plugins))


def _warn_of_zarr_v2(settings: StreamSettings) -> None:
    """Say that V2 is for old readers; only in the log to programs written for acquire-zarr 0.5."""
    message = "Zarr V2 is deprecated: new readers expect V3. Use it for programs that need it only."
    _log.warning(message)
    if settings.newest_rules is NEWEST:
        warnings.warn(message, DeprecationWarning, stacklevel=3)


def _finish_forgotten(session: RecordingSession) -> None:
    """Close a recording whose stream nobody holds any more, or that is open at exit."""
    try:
        report = session.close()
    except AqzError as error:
        _log.error("the stream to %s could not be finished: %s", session.sink.url, error)
        _log.debug("where that came from:", exc_info=error)
        report = None
    warnings.warn(
        f"The stream to {session.sink.url} was not closed; it was finished now. "
        "Call close(), or use the stream in a with statement.",
        ResourceWarning,
        stacklevel=2,
    )
    if report is not None:
        _warn_of_partial_frames(report)


def _warn_of_partial_frames(report: StreamReport) -> None:
    """Say which arrays ended in the middle of a frame."""
    for array in report.arrays:
        if array.trailing_bytes:
            message = (
                f"array {array.key!r}: the last {array.trailing_bytes} bytes appended did not "
                "make up a whole frame and were not stored"
            )
            _log.warning(message)
            warnings.warn(message, PartialFrameWarning, stacklevel=3)
