"""What the library's functions do: run by the Python inside a program in C, and nowhere else.

Every function named ``python_...`` is called by one in ``source/library.c``, from any thread. It
returns a status plus 1, since 0 is what C sees when Python could not be called; no error leaves it.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from _aqz_c_library import ffi, lib

import aqz_core
from aqz_core.c_library.byte_runs import ByteRun
from aqz_core.c_library.c_settings import read_settings
from aqz_core.c_library.statuses import (
    ArgumentError,
    IndexTooLargeError,
    LoggedError,
    PartialWriteError,
    Status,
    status_of,
)
from aqz_core.compat import v0_5
from aqz_core.enums import LogLevel
from aqz_core.log_level import set_log_level

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("aqz")


class _Recording:
    """A stream of a program: one call at a time."""

    def __init__(self, stream: aqz_core.ZarrStream) -> None:
        self.stream = stream
        self.turn = threading.Lock()
        self._runs: dict[bytes, ByteRun] = {}

    def run(self, key: Any) -> ByteRun:
        """Return the bytes of an array; the key is a text of C, or NULL."""
        name = ffi.string(key) if key else b""
        run = self._runs.get(name)
        if run is None:
            run = ByteRun(self.stream, _text(key))
            # A key has several spellings, and the rest of a pixel belongs to the array.
            known = (one for one in self._runs.values() if one.array is run.array)
            run = self._runs[name] = next(known, run)
        return run

    def close(self) -> None:
        """Finish the store."""
        with self.turn:
            for run in set(self._runs.values()):
                if count := run.trailing_nbytes:
                    where = run.array.plan.key
                    _log.warning("array %r: the last %d bytes were no whole pixel", where, count)
            self._runs.clear()
            self.stream.close()


_recordings: dict[int, _Recording] = {}
_numbers = itertools.count(16, 16)  # C takes them for addresses: none is 0


def _recording(number: int) -> _Recording:
    """Return the stream that C means."""
    try:
        return _recordings[number]
    except KeyError:
        raise ArgumentError(
            "there is no such stream: it was destroyed, or never made; make one with "
            "ZarrStream_create, and use it until ZarrStream_destroy"
        ) from None


def _text(pointer: Any) -> str | None:
    """Return a text of C; None for NULL."""
    if not pointer:
        return None
    try:
        return str(ffi.string(pointer).decode())
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{error.object!r} is not UTF-8, which all texts must be") from None


def _answers(function: Callable[..., None]) -> Callable[..., int]:
    """Make a function one that C can call."""

    def guarded(*arguments: Any) -> int:
        try:
            function(*arguments)
        except BaseException as error:
            return _failed(error) + 1
        return Status.SUCCESS + 1

    made: Callable[..., int] = ffi.def_extern(name=function.__name__)(guarded)
    return made


def _failed(error: BaseException) -> Status:
    """Log a failure, note its message for the program, and return its status."""
    status = status_of(error)
    message = str(error) or type(error).__name__
    if status is Status.INTERNAL_ERROR:
        message = f"{type(error).__name__}: {message}"
    if not isinstance(error, LoggedError):
        _log.error("%s", message)
    _log.debug("where that came from:", exc_info=error)
    lib.aqz_note(status, message.encode(errors="replace"))
    return status


# ---- streams --------------------------------------------------------------------------------


@_answers
def python_create(given: Any, number: Any) -> None:
    """Open a stream."""
    settings = read_settings(ffi, given)
    if isinstance(settings, v0_5.StreamSettings):
        stream: aqz_core.ZarrStream = v0_5.ZarrStream(settings)
    else:
        stream = aqz_core.ZarrStream(settings)
    number[0] = next(_numbers)
    _recordings[number[0]] = _Recording(stream)


@_answers
def python_append(number: int, data: Any, nbytes: int, taken: Any, key: Any) -> None:
    """Take bytes, or pass over them where there are no data."""
    recording = _recording(number)
    with recording.turn:
        run = recording.run(key)
        try:
            taken[0] = run.append(ffi.buffer(data, nbytes), nbytes) if data else run.skip(nbytes)
        except PartialWriteError as error:
            taken[0] = error.taken
            raise


@_answers
def python_write_metadata(number: int, array_key: Any, metadata_key: Any, json: Any) -> None:
    """Add attributes to an array."""
    recording = _recording(number)
    with recording.turn:
        if isinstance(recording.stream, v0_5.ZarrStream):
            _refuse_other_generation()
        recording.stream.write_custom_metadata(_text(json), _text(array_key), _text(metadata_key))


@_answers
def python_write_acquire_json(number: int, json: Any, overwrite: bool) -> None:
    """Store the metadata of a store, as acquire-zarr 0.5 has them."""
    recording = _recording(number)
    with recording.turn:
        stream = recording.stream
        if not isinstance(stream, v0_5.ZarrStream):
            _refuse_other_generation()
        if not stream.write_custom_metadata(_text(json) or "", bool(overwrite)):
            raise LoggedError("acquire.json is there already; set overwrite to replace it")


def _refuse_other_generation() -> NoReturn:
    """Raise for a program that mixes the headers of two generations."""
    raise ArgumentError(
        "this stream was made with the header of another generation of acquire-zarr; include the "
        "same acquire.zarr.h in all of the program"
    )


@_answers
def python_close(number: int) -> None:
    """Finish a store."""
    _recording(number).close()


@_answers
def python_forget(number: int) -> None:
    """Finish a store and forget the stream."""
    recording = _recordings.pop(number, None)
    if recording is None:
        _recording(number)
    else:
        recording.close()


@_answers
def python_finish_all() -> None:
    """Finish what a program leaves open when it ends."""
    for number in list(_recordings):
        recording = _recordings.pop(number)
        try:
            recording.close()
        except Exception as error:
            _failed(error)


@_answers
def python_memory(number: int, usage: Any) -> None:
    """Report the memory of a stream."""
    usage[0] = _recording(number).stream.get_current_memory_usage()


def _renew_locks() -> None:
    """Let a forked child use streams that another thread of the parent was using."""
    for recording in _recordings.values():
        recording.turn = threading.Lock()


# ---- settings -------------------------------------------------------------------------------


@_answers
def python_maximum_memory(given: Any, usage: Any) -> None:
    """Report the memory that a stream may take."""
    settings = read_settings(ffi, given)
    newest = settings.newest() if isinstance(settings, v0_5.StreamSettings) else settings
    usage[0] = newest.get_maximum_memory_usage()


def _keys(given: Any) -> list[str]:
    """Return the keys of the arrays in settings."""
    settings = read_settings(ffi, given)
    newest = settings.newest() if isinstance(settings, v0_5.StreamSettings) else settings
    return newest.get_array_keys()


@_answers
def python_count_keys(given: Any, count: Any) -> None:
    """Count the arrays in settings."""
    count[0] = len(_keys(given))


@_answers
def python_key(given: Any, index: int, key: Any) -> None:
    """Copy the key of an array for the program."""
    keys = _keys(given)
    if index >= len(keys):
        raise IndexTooLargeError(f"there is no array {index}: there are {len(keys)}, from 0")
    key[0] = lib.aqz_copy(keys[index].encode())
    if not key[0]:
        raise MemoryError


# ---- messages -------------------------------------------------------------------------------


class _ToStandardError(logging.Handler):
    """Writes lines as the C part of the library does."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = min(max(record.levelno // 10 - 1, LogLevel.DEBUG), LogLevel.ERROR)
        lib.aqz_log(level, self.format(record).replace("\0", "").encode(errors="replace"))


@_answers
def python_set_log_level(level: int) -> None:
    """Choose what is logged."""
    set_log_level(LogLevel(level))


def _begin() -> None:
    """Set up messages and forks; a host that has a Python of its own keeps its ways."""
    if not logging.getLogger("aqz").hasHandlers():
        _log.addHandler(_ToStandardError())
    set_log_level(LogLevel(lib.Zarr_get_log_level()))
    if lib.engine_is_ours():
        warnings.simplefilter("ignore")  # the log says the same
        logging.logThreads = False  # a record would keep an object for each thread of the host
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew_locks)


_begin()
