"""The recorder: takes frames from sources on any thread and stores them. No Qt, no napari.

A recorder lives once: `start`, perhaps `pause` and `resume`, `stop`. Frames are copied into a
queue bounded in bytes; one writer thread hands them to a `aqz_core.ZarrStream`. Producers are
never blocked for long and never see an exception: what cannot be taken is counted, and what
cannot go on ends the recording with a message. The store is finished on the writer thread, so
that no window ever waits for a disk.

The work is in `recorder_life` (state and reasons), `frame_intake` (taps to queue) and
`frame_writer` (queue to store).
"""

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Any, Self

import aqz_core as aqz
from aqz_napari.recorder.frame_intake import FrameIntake
from aqz_napari.recorder.frame_queue import FrameQueue, default_capacity
from aqz_napari.recorder.frame_writer import FrameWriter
from aqz_napari.recorder.recorder_life import RecorderLife
from aqz_napari.recorder.recorder_status import (
    RecorderState,
    RecorderStatus,
    RecordingReport,
    StopRule,
)
from aqz_napari.recorder.source_tap import SourceTap
from aqz_napari.recorder.stream_end import StreamEnd
from aqz_napari.recorder.take_rule import TakeRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from aqz_napari.sources.frame_source import FrameSource

__all__ = ["Recorder"]

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
    take_rule : TakeRule, optional
        Which frames are recorded: from which one on, and one in how many seconds.
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
        take_rule: TakeRule | None = None,
        queue_nbytes: int | None = None,
        wait: float = 0.05,
        publish_every: float | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        self.settings = settings
        self.stop_rule = stop_rule or StopRule()
        self.take_rule = take_rule or TakeRule()
        self._sources = dict(sources or {})
        self._end = StreamEnd()
        self._plugins = (*plugins, self._end)
        self._publish_every = publish_every
        self._life = RecorderLife()
        queue = FrameQueue(default_capacity() if queue_nbytes is None else queue_nbytes)
        self._intake = FrameIntake(self._life, queue, self.stop_rule, self.take_rule, wait)
        self._stream: aqz.ZarrStream | None = None
        self._writer: FrameWriter | None = None
        self._report: RecordingReport | None = None

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
        self._life.prepare()
        try:
            writer = self._open()
        except BaseException:
            self._life.could_not_begin()
            raise
        atexit.register(self._finish_at_exit)
        try:
            self._start_sources()
        finally:
            writer.sources_started.set()

    def _open(self) -> FrameWriter:
        """Open the store, which takes as long as the network, and let the writer begin."""
        keys = self.settings.get_array_keys()
        if unknown := sorted(set(self._sources) - set(keys)):
            raise ValueError(f"no array has the key {unknown[0]!r}; there are {keys}")
        specs = {key: source.describe() for key, source in self._sources.items()}
        stream = aqz.ZarrStream(self.settings, self._plugins)
        try:
            arrays = dict(zip(keys, self.settings.arrays, strict=False))
            taps = {
                key: SourceTap(self._intake, key, arrays.get(key), specs.get(key)) for key in keys
            }
            writer = FrameWriter(
                stream, self._intake, self._sources, self._publish_every, self._on_over
            )
            with self._life.lock:
                self._stream, self._writer, self._intake.taps = stream, writer, taps
                self._life.begin(armed=self.take_rule.waits)
                writer.start()
        except BaseException:
            self._stream, self._writer, self._intake.taps = None, None, {}
            with contextlib.suppress(Exception):
                stream.close()
            raise
        return writer

    def _start_sources(self) -> None:
        """Start the sources, unless the recording has ended meanwhile."""
        life = self._life
        for key, source in self._sources.items():
            if life.stop_asked:
                return
            try:
                source.start(self.taps[key])
            except Exception as error:
                life.ask_to_stop(f"the source of {key!r} did not start: {error}", error)
                raise

    def pause(self) -> None:
        """Take no frames until `resume`; the gap is noted with the next frame."""
        self._life.pause()

    def resume(self) -> None:
        """Take frames again after `pause`."""
        self._intake.resume()

    def stop(self) -> None:
        """End the recording: what was taken is stored, and the store finished. Returns at once."""
        self._life.ask_to_stop("stopped", take_rest=True, planned=True)

    def wait(self, timeout: float | None = None) -> RecordingReport | None:
        """Wait until the recording is over.

        Returns
        -------
        RecordingReport or None
            None when it is not over after `timeout` seconds, or the store could not be opened.
        """
        self._life.wait(timeout)
        return self._report

    def close(self) -> RecordingReport | None:
        """Stop, wait, and raise what went wrong.

        Raises
        ------
        aqz_core.AqzError
            The recording failed; what had been published stays readable.
        """
        if self.state is RecorderState.IDLE:
            return None
        self.stop()
        report = self.wait()
        if self._life.error is not None:
            raise self._life.error
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
        if key is None and len(self.taps) == 1:
            key = next(iter(self.taps))
        tap = self.taps.get(key or "")
        if tap is None:
            if self.state.is_running:
                self._life.note(f"a frame was pushed to {key!r}; there are {list(self.taps)}")
            return False
        return tap(frame, index=index, metadata=metadata)

    @property
    def store_path(self) -> str:
        """Where the store is: a path or URL, without a password."""
        if self._stream is not None:
            return self._stream.store_path
        return aqz.without_password(str(self.settings.store_path))

    @property
    def state(self) -> RecorderState:
        """Where the recorder is in its life."""
        return self._life.state

    @property
    def report(self) -> RecordingReport | None:
        """What was recorded, once it is over."""
        return self._report

    @property
    def taps(self) -> Mapping[str, SourceTap]:
        """The sink of each array by key; empty before `start`."""
        return self._intake.taps

    def status(self) -> RecorderStatus:
        """Return the counts and rates of this moment."""
        stream, writer, life = self._stream, self._writer, self._life
        running = life.state.is_running
        fill = 0.0
        if stream is not None and running:
            fill = max(stream.statistics().queue_fill, self._intake.queue.fill)
        with life.lock:
            counts = {key: tap.count for key, tap in self.taps.items()}
            seconds = life.seconds
            nbytes = 0 if writer is None else writer.nbytes
            if running and writer is not None:
                frame_rate, byte_rate = writer.rates.rates()
            else:  # the mean of all
                taken = sum(count.accepted for count in counts.values())
                frame_rate, byte_rate = (n / max(seconds, 1e-6) for n in (taken, nbytes))
            return RecorderStatus(
                state=life.state,
                message=life.message,
                arrays=counts,
                seconds=seconds,
                frames_per_second=frame_rate,
                megabytes_per_second=byte_rate / 1e6,
                queue_fill=fill,
                nbytes=nbytes,
                free_disk=None if writer is None else writer.free_disk,
                is_armed=life.is_armed,
                pauses=life.pause_count,
                waiting=len(self._intake.queue),
                was_planned=life.was_planned,
                unreadable=self._end.unreadable,
                spill_path=self._end.spill_path,
                spill_reason=self._end.spill_reason,
            )

    # ---- the end -----------------------------------------------------------------------------

    def _on_over(self) -> None:
        """Say how it went; runs on the writer thread when the store is closed."""
        life = self._life
        try:
            with life.lock:
                written = any(tap.count.written for tap in self.taps.values())
                if life.error is None and not written:
                    life.note(f"{life.message}; no frames came, so the store is valid but empty")
                life.over()
                self._report = RecordingReport(
                    self.store_path, self.status(), self._end.report, life.error
                )
        finally:
            life.tell_waiting()
            atexit.unregister(self._finish_at_exit)

    def _finish_at_exit(self) -> None:
        """Finish when the interpreter ends during a recording."""
        self._life.ask_to_stop("the program ended")
        self.wait(_AT_EXIT)
