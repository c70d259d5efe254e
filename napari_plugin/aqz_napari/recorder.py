"""The recorder: takes frames from sources on any thread and stores them. No Qt, no napari.

A recorder lives once: `start`, perhaps `pause` and `resume`, `stop`. Frames are copied into a
queue bounded in bytes; one writer thread hands them to a `aqz_core.ZarrStream`. Producers are
never blocked for long and never see an exception: what cannot be taken is counted, and what
cannot go on ends the recording with a message. The store is finished on the writer thread, so
that no window ever waits for a disk.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

import aqz_core as aqz
from aqz_napari.frame_queue import FrameQueue, QueuedFrame, default_capacity
from aqz_napari.recorder_status import (
    RecorderState,
    RecorderStatus,
    RecordingReport,
    StopRule,
)
from aqz_napari.source_tap import SourceTap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    from aqz_napari.frame_source import FrameSource

__all__ = ["Recorder"]

_log = logging.getLogger("aqz.napari")

_LOOK_AROUND = 0.25
"""Seconds between looks at the clock and at the disk."""

_RATE_WINDOW = 3.0
"""Seconds over which rates are taken."""

_STOP_SECONDS = 10.0
"""Seconds that sources may take to stop."""

_AT_EXIT = 60.0
"""Seconds that a closing interpreter waits for a recording to finish."""


class Recorder:
    """Records sources, or frames that are pushed, into one store.

    Parameters
    ----------
    settings : StreamSettings
        What to record and where. Copied when the recorder starts.
    sources : mapping of str to FrameSource, optional
        Sources by the key of the array they are recorded into. Arrays without a source take
        frames by `push`.
    stop_rule : StopRule
        Limits at which the recording ends by itself.
    queue_nbytes : int, optional
        Bound on the frames that wait to be stored; by default 1 GiB, or a quarter of the
        memory if that is less.
    wait : float, default 0.05
        Seconds that a producer may be held up when the queue is full, before its frame is
        dropped and counted. Sources that can wait say so themselves.
    publish_every : float, optional
        Seconds after which everything taken so far is made readable, for those who follow the
        recording in the store; by default chunks become readable when they are complete.
    plugins : iterable of object
        As for `aqz_core.ZarrStream`.

    Examples
    --------
    >>> recorder = Recorder(settings)  # doctest: +SKIP
    >>> with recorder:
    ...     for frame in camera:
    ...         recorder.push(frame)
    """

    def __init__(
        self,
        settings: aqz.StreamSettings,
        sources: Mapping[str, FrameSource] | None = None,
        *,
        stop_rule: StopRule | None = None,
        queue_nbytes: int | None = None,
        wait: float = 0.05,
        publish_every: float | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        self.settings = settings
        self.stop_rule = stop_rule or StopRule()
        self._sources = dict(sources or {})
        self._plugins = tuple(plugins)
        self._queue = FrameQueue(default_capacity() if queue_nbytes is None else queue_nbytes)
        self._wait = wait
        self._publish_every = publish_every
        self._lock = threading.RLock()
        self._state = RecorderState.IDLE
        self._message = ""
        self._error: BaseException | None = None
        self._stop_asked = threading.Event()
        self._over = threading.Event()
        self._sources_may_finish = False
        self._stream: aqz.ZarrStream | None = None
        self._stream_report: aqz.StreamReport | None = None
        self._report: RecordingReport | None = None
        self._taps: dict[str, SourceTap] = {}
        self._thread: threading.Thread | None = None
        self._started = self._ended = self._paused_at = self._published = 0.0
        self._pauses: list[dict[str, Any]] = []
        self._accepted_nbytes = self._written_nbytes = 0
        self._history: deque[tuple[float, int, int]] = deque()
        self._free_disk: int | None = None
        self._local: Path | None = None

    # ---- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the store and begin to take frames.

        Raises
        ------
        aqz_core.AqzError
            The settings cannot be recorded, or the store cannot be made.
        SourceError, ValueError
            A source cannot deliver, or its key is not one of the settings'.
        RuntimeError
            The recorder was started before.
        """
        with self._lock:
            if self._state is not RecorderState.IDLE:
                raise RuntimeError("a Recorder records once; make another one")
            keys = self.settings.get_array_keys()
            if unknown := sorted(set(self._sources) - set(keys)):
                raise ValueError(f"no array has the key {unknown[0]!r}; there are {keys}")
            specs = {key: source.describe() for key, source in self._sources.items()}
            self._stream = aqz.ZarrStream(self.settings, self._plugins)
            arrays = dict(zip(keys, self.settings.arrays, strict=False))
            self._taps = {
                key: SourceTap(self, key, arrays.get(key), specs.get(key)) for key in keys
            }
            self._local = _local_folder(self._stream.store_path)
            self._look_at_disk()
            self._started = time.monotonic()
            self._state = RecorderState.RECORDING
            self._thread = threading.Thread(target=self._run, name="aqz recorder", daemon=True)
            self._thread.start()
        atexit.register(self._finish_at_exit)
        for key, source in self._sources.items():
            try:
                source.start(self._taps[key])
            except Exception as error:
                self.ask_to_stop(f"the source of {key!r} did not start: {error}", error)
                raise

    def pause(self) -> None:
        """Take no frames until `resume`; the gap is noted with the next frame."""
        with self._lock:
            if self._state is RecorderState.RECORDING:
                self._state = RecorderState.PAUSED
                self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Take frames again after `pause`."""
        with self._lock:
            if self._state is not RecorderState.PAUSED:
                return
            gap = round(time.monotonic() - self._paused_at, 6)
            self._pauses.append(
                {
                    "after_frame": {k: t.count.accepted for k, t in self._taps.items()},
                    "seconds": gap,
                }
            )
            for tap in self._taps.values():
                tap.gap_seconds += gap
            self._state = RecorderState.RECORDING

    def stop(self) -> None:
        """End the recording: what was taken is stored, and the store finished. Returns at once."""
        self.ask_to_stop("stopped", take_rest=True)

    def wait(self, timeout: float | None = None) -> RecordingReport | None:
        """Wait until the recording is over.

        Returns
        -------
        RecordingReport or None
            None when it is not over after `timeout` seconds.
        """
        self._over.wait(timeout)
        return self._report

    def close(self) -> RecordingReport | None:
        """Stop, wait, and raise what went wrong.

        Raises
        ------
        aqz_core.AqzError
            The recording failed; what had been published stays readable.
        """
        if self._state is RecorderState.IDLE:
            return None
        self.stop()
        report = self.wait()
        if self._error is not None:
            raise self._error
        return report

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and wait; an error inside the block is not hidden by one of the recording."""
        if error is None:
            self.close()
        else:
            with contextlib.suppress(Exception):
                self.close()

    # ---- frames ------------------------------------------------------------------------------

    def push(
        self,
        frame: Any,
        key: str | None = None,
        *,
        index: Mapping[str, int] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Record a frame; callable from any thread. Never raises once the recorder has started.

        Parameters
        ----------
        frame : array-like
            One frame or one stack of the array; copied before the call returns.
        key : str, optional
            The array; not needed if there is only one.
        index, metadata
            As for `FrameSink`.

        Returns
        -------
        bool
            Whether it will be stored.
        """
        if key is None and len(self._taps) == 1:
            key = next(iter(self._taps))
        tap = self._taps.get(key or "")
        if tap is None:
            if self._state.is_running:
                self._note(f"a frame was pushed to {key!r}; there are {list(self._taps)}")
            return False
        return tap(frame, index=index, metadata=metadata)

    @property
    def store_path(self) -> str:
        """Where the store is: a path or URL."""
        return self.settings.store_path if self._stream is None else self._stream.store_path

    @property
    def state(self) -> RecorderState:
        """Where the recorder is in its life."""
        return self._state

    @property
    def report(self) -> RecordingReport | None:
        """What was recorded, once it is over."""
        return self._report

    @property
    def taps(self) -> Mapping[str, SourceTap]:
        """The sink of each array by key; empty before `start`."""
        return self._taps

    def status(self) -> RecorderStatus:
        """Return the counts and rates of this moment."""
        stream = self._stream
        running = self._state.is_running
        fill = stream.statistics().queue_fill if stream is not None and running else 0.0
        with self._lock:
            end = time.monotonic() if running else self._ended
            if running:
                frames_per_second, bytes_per_second = self._rates()
            else:  # the mean of all
                seconds = max(end - self._started, 1e-6)
                taken = sum(tap.count.accepted for tap in self._taps.values())
                frames_per_second = taken / seconds
                bytes_per_second = self._written_nbytes / seconds
            return RecorderStatus(
                state=self._state,
                message=self._message,
                arrays={key: tap.count for key, tap in self._taps.items()},
                seconds=max(0.0, end - self._started),
                frames_per_second=frames_per_second,
                megabytes_per_second=bytes_per_second / 1e6,
                queue_fill=max(fill, self._queue.fill if running else 0.0),
                nbytes=self._written_nbytes,
                free_disk=self._free_disk,
                pauses=len(self._pauses) + (self._state is RecorderState.PAUSED),
            )

    # ---- what taps ask for -------------------------------------------------------------------

    def ask_to_stop(
        self, message: str, error: BaseException | None = None, *, take_rest: bool = False
    ) -> None:
        """End the recording, from any thread; the first reason is kept.

        With `take_rest`, what sources have at hand is recorded as well.
        """
        with self._lock:
            if not self._state.is_running or self._stop_asked.is_set():
                return
            self._message = message
            self._error = self._error or error
            self._sources_may_finish = take_rest and self._state is RecorderState.RECORDING
            self._stop_asked.set()

    def take(self, frame: QueuedFrame | None, nbytes: int, wait: float) -> bool:
        """Reserve room for a frame (`frame` None), or put it in. For `SourceTap`."""
        if frame is None:
            return self._queue.reserve(nbytes, wait)
        self._queue.put(frame)
        with self._lock:
            self._accepted_nbytes += nbytes
            if self.stop_rule.nbytes is not None and self._accepted_nbytes >= self.stop_rule.nbytes:
                self.ask_to_stop(f"the limit of {self.stop_rule.nbytes / 1e6:.0f} MB is reached")
        return True

    def copy_of(self, pixels: Any, nbytes: int) -> Any:
        """Copy pixels into a buffer of the queue; gives the room back if that fails."""
        try:
            return self._queue.copy_of(pixels)
        except BaseException:
            self._queue.cancel(nbytes)
            raise

    @property
    def default_wait(self) -> float:
        """Seconds that a producer may be held up."""
        return self._wait

    def accepts(self, *, from_source: bool) -> bool:
        """Tell whether frames are taken; a source that stops may still hand over what it has."""
        if self._stop_asked.is_set():
            return from_source and self._sources_may_finish
        return self._state is RecorderState.RECORDING

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def tap_completed(self) -> None:
        """Look whether every source is complete, and end if so."""
        if all(tap.is_complete for tap in self._taps.values()):
            self.ask_to_stop(next((t.end_message for t in self._taps.values()), ""))

    # ---- the writer thread -------------------------------------------------------------------

    def _run(self) -> None:
        """Store frames until asked to stop, then finish."""
        looked = 0.0
        try:
            while not self._stop_asked.is_set():
                frame = self._queue.get(0.05)
                if frame is not None:
                    self._store(frame)
                now = time.monotonic()
                if now - looked >= _LOOK_AROUND:
                    looked = now
                    self._look_around(now)
        except BaseException as error:  # nothing may end this thread before the store is finished
            _log.exception("the recorder stumbled")
            self.ask_to_stop(str(error), error)
        self._finish()

    def _store(self, frame: QueuedFrame) -> None:
        """Hand one frame to the stream; after an error frames are counted as lost."""
        tap = self._taps[frame.key]
        try:
            if self._error is not None:
                tap.lose(frame.metadata.get("number"))
                return
            assert self._stream is not None
            _append(self._stream, frame, tap.axes)
            tap.written()
            self._written_nbytes += frame.pixels.nbytes
        except Exception as error:
            tap.lose(frame.metadata.get("number"))
            self._error = error
            self.ask_to_stop(_first_line(error), error)
        finally:
            self._queue.done(frame)

    def _look_around(self, now: float) -> None:
        """Note rates, and end at a limit of time or disk."""
        with self._lock:
            accepted = sum(tap.count.accepted for tap in self._taps.values())
            self._history.append((now, accepted, self._written_nbytes))
            while self._history[0][0] < now - _RATE_WINDOW:
                self._history.popleft()
        self._look_at_disk()
        rule = self.stop_rule
        if rule.seconds is not None and now - self._started >= rule.seconds:
            self.ask_to_stop(f"the limit of {rule.seconds:g} s is reached", take_rest=True)
        floor, free = rule.disk_floor, self._free_disk
        if floor is not None and free is not None and free < floor:
            self.ask_to_stop(f"the disk is almost full: {free / 1e9:.1f} GB are free")
        stream = self._stream
        assert stream is not None
        if not stream.is_active() and not self._stop_asked.is_set():
            self.ask_to_stop("the store failed")
        elif self._publish_every is not None and now - self._published >= self._publish_every:
            self._published = now
            self._publish(stream)

    def _publish(self, stream: aqz.ZarrStream) -> None:
        """Make readable what was taken so far; a failure ends the recording."""
        try:
            stream.flush()
        except Exception as error:
            self._error = self._error or error
            self.ask_to_stop(_first_line(error), error)

    def _finish(self) -> None:
        """Take what is on its way, close the store, and say how it went."""
        with self._lock:
            if self._state is RecorderState.PAUSED:
                self.resume()
            self._state = RecorderState.FINISHING
        self._stop_sources()
        self._sources_may_finish = False
        self._queue.close()
        for tap in self._taps.values():
            tap.settle()
        while (frame := self._queue.get(0.0)) is not None:
            self._store(frame)
        self._close_stream()
        self._ended = time.monotonic()
        failed = self._error is not None
        with self._lock:
            if not failed and not any(tap.count.written for tap in self._taps.values()):
                self._note(f"{self._message}; no frames came, so the store is valid but empty")
            self._state = RecorderState.FAILED if failed else RecorderState.FINISHED
            status = self.status()
            self._report = RecordingReport(
                self.store_path, status, self._stream_report, self._error
            )
        self._over.set()
        atexit.unregister(self._finish_at_exit)

    def _stop_sources(self) -> None:
        """Stop the sources, storing meanwhile what they still deliver."""
        if not self._sources_may_finish:
            self._queue.close()

        def stop() -> None:
            for key, source in self._sources.items():
                try:
                    source.stop()
                except Exception:
                    _log.exception("the source of %r did not stop", key)

        stopper = threading.Thread(target=stop, name="aqz stop", daemon=True)
        stopper.start()
        deadline = time.monotonic() + _STOP_SECONDS
        while stopper.is_alive() and time.monotonic() < deadline:
            frame = self._queue.get(0.01)
            if frame is not None:
                self._store(frame)
            stopper.join(0.0 if frame is not None else 0.01)

    def _close_stream(self) -> None:
        """Add what is known of the recording to the store, and close it."""
        assert self._stream is not None
        if self._error is None:
            for key, tap in self._taps.items():
                with contextlib.suppress(aqz.AqzError):  # close says what went wrong
                    self._stream.write_custom_metadata(self._account(tap), key, "recording")
        try:
            self._stream.close()
        except Exception as error:
            if self._error is None:
                self._message = _first_line(error)
            self._error = self._error or error

    def _account(self, tap: SourceTap) -> dict[str, Any]:
        """Return what the store should say of how an array was recorded."""
        return {
            "source": tap.describe(),
            "frames": tap.count.written,
            "dropped": tap.count.dropped,
            "first_dropped": tap.count.first_dropped,
            "pauses": [
                {"after_frame": pause["after_frame"][tap.key], "seconds": pause["seconds"]}
                for pause in self._pauses
            ],
            "ended": self._message,
        }

    def _finish_at_exit(self) -> None:
        """Finish when the interpreter ends during a recording."""
        self.ask_to_stop("the program ended")
        self.wait(_AT_EXIT)

    def _note(self, message: str) -> None:
        """Keep a message for the status."""
        with self._lock:
            self._message = message

    def _look_at_disk(self) -> None:
        """Note the free bytes where a local store is."""
        if self._local is not None:
            with contextlib.suppress(OSError):
                self._free_disk = shutil.disk_usage(self._local).free

    def _rates(self) -> tuple[float, float]:
        """Return deliveries and bytes a second over the last seconds."""
        if len(self._history) < 2:
            return 0.0, 0.0
        (t0, n0, b0), (t1, n1, b1) = self._history[0], self._history[-1]
        span = max(t1 - t0, 1e-6)
        return (n1 - n0) / span, (b1 - b0) / span


def _append(stream: aqz.ZarrStream, frame: QueuedFrame, axes: Sequence[str]) -> None:
    """Hand a delivery to the stream, plane by plane; the first one carries the metadata."""
    key = frame.key or None
    for lead in np.ndindex(frame.pixels.shape[:-2]):
        plane = frame.pixels[lead]
        metadata = None if any(lead) else frame.metadata
        if frame.index is None:
            stream.append(plane, key, metadata)
        else:
            inner = dict(zip(axes[-2 - len(lead) : -2], lead, strict=True))
            stream.write(plane, {**frame.index, **inner}, key, metadata)


def _first_line(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _local_folder(store_path: str) -> Path | None:
    """Return the folder that a local store is in, None for a store elsewhere."""
    scheme, found, rest = store_path.partition("://")
    if not found:
        return Path(store_path).expanduser().absolute().parent
    return Path(rest).parent if scheme == "file" else None
