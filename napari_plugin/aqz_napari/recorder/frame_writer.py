"""The writer thread: takes frames out of the queue, stores them, and finishes the store.

It is the only one that speaks to the stream while a recording runs. After an error the frames
that wait are counted as lost; whatever happens, the store is closed and the end is told.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.recorder.error_text import first_line
from aqz_napari.recorder.rate_history import RateHistory, free_disk, local_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import aqz_core as aqz
    from aqz_napari.recorder.frame_intake import FrameIntake
    from aqz_napari.recorder.frame_queue import QueuedFrame
    from aqz_napari.recorder.source_tap import SourceTap
    from aqz_napari.sources.frame_source import FrameSource

__all__ = ["FrameWriter"]

_log = logging.getLogger("aqz.napari")

_LOOK_AROUND = 0.25
"""Seconds between looks at the clock and at the disk."""

_GATHER = 0.01
"""Seconds in which frames gather: waking for several at once disturbs a producer less."""

_STOP_SECONDS = 10.0
"""Seconds that sources may take to stop."""


class FrameWriter(threading.Thread):
    """Stores the frames of one recording.

    Parameters
    ----------
    stream : aqz_core.ZarrStream
        Open; closed at the end.
    intake : FrameIntake
        The queue, the life of the recording and its limits.
    sources : mapping of str to FrameSource
        Stopped before the store is finished.
    publish_every : float or None
        Seconds after which everything taken so far is made readable.
    on_over : callable
        Called, without arguments, when the store is closed.

    Attributes
    ----------
    nbytes : int
        Bytes of pixels handed to the store.
    free_disk : int or None
        Bytes free where the store is, when it was looked last.
    sources_started : threading.Event
        To be set once no source will be started any more: none is stopped before that.
    """

    def __init__(
        self,
        stream: aqz.ZarrStream,
        intake: FrameIntake,
        sources: Mapping[str, FrameSource],
        publish_every: float | None,
        on_over: Callable[[], None],
    ) -> None:
        super().__init__(name="aqz recorder", daemon=True)
        self.nbytes = 0
        self.sources_started = threading.Event()
        self.rates = RateHistory()
        self._stream = stream
        self._intake, self._life, self._queue = intake, intake.life, intake.queue
        self._sources = sources
        self._publish_every = publish_every
        self._published = 0.0
        self._on_over = on_over
        self._folder = local_folder(stream.store_path)
        self.free_disk = free_disk(self._folder)

    def run(self) -> None:
        """Store frames until asked to stop, then finish."""
        looked = 0.0
        try:
            while not self._life.stop_asked:
                frame = self._queue.get(0.05)
                if frame is not None:
                    self._store(frame)
                    if not len(self._queue):
                        self._life.wait_for_stop(_GATHER)
                now = time.monotonic()
                if now - looked >= _LOOK_AROUND:
                    looked = now
                    self._look_around(now)
        except BaseException as error:  # nothing may end this thread before the store is finished
            _log.exception("the recorder stumbled")
            self._life.fail(first_line(error), error)
        self._finish()

    def _store(self, frame: QueuedFrame) -> None:
        """Hand one frame to the stream; after an error frames are counted as lost."""
        tap = self._intake.taps[frame.key]
        try:
            if self._life.error is not None:
                tap.lose(frame.metadata.get("number"))
                return
            _append(self._stream, frame, tap.axes)
            tap.written()
            self.nbytes += frame.pixels.nbytes
        except Exception as error:
            tap.lose(frame.metadata.get("number"))
            self._life.fail(first_line(error), error)
        finally:
            self._queue.done(frame)

    def _look_around(self, now: float) -> None:
        """Note rates, and end at a limit of time or disk."""
        self.rates.note(sum(tap.count.accepted for tap in self._intake.taps.values()), self.nbytes)
        free = free_disk(self._folder)
        self.free_disk = free if free is not None else self.free_disk
        rule, life = self._intake.stop_rule, self._life
        if rule.seconds is not None and life.seconds >= rule.seconds:
            life.ask_to_stop(
                f"the limit of {rule.seconds:g} s is reached", take_rest=True, planned=True
            )
        if rule.disk_floor is not None and free is not None and free < rule.disk_floor:
            life.ask_to_stop(f"the disk is almost full: {free / 1e9:.1f} GB are free")
        if not self._stream.is_active() and not life.stop_asked:
            self._publish()  # which raises what made it fail
            life.ask_to_stop("the store failed")
        elif self._publish_every is not None and now - self._published >= self._publish_every:
            self._published = now
            self._publish()

    def _publish(self) -> None:
        """Make readable what was taken so far; a failure ends the recording."""
        try:
            self._stream.flush()
        except Exception as error:
            self._life.fail(first_line(error), error)

    def _finish(self) -> None:
        """Take what is on its way, close the store, and tell, whatever happens on the way."""
        try:
            self._take_rest()
        except BaseException as error:
            _log.exception("the last frames could not be taken")
            self._life.fail(first_line(error), error)
        try:
            self._close_stream()
        finally:
            self._on_over()

    def _take_rest(self) -> None:
        """Stop the sources, and store what they and the queue still have."""
        with self._life.lock:
            self._intake.resume()
            self._life.finishing()
        self._stop_sources()
        self._life.sources_are_done()
        self._queue.close()
        for tap in self._intake.taps.values():
            tap.settle()
        while (frame := self._queue.get(0.0)) is not None:
            self._store(frame)

    def _stop_sources(self) -> None:
        """Stop the sources, storing meanwhile what they still deliver."""
        if not self._life.sources_may_finish:
            self._queue.close()

        def stop() -> None:
            self.sources_started.wait(_STOP_SECONDS / 2)
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
        if self._life.error is None:
            for key, tap in self._intake.taps.items():
                try:
                    self._stream.write_custom_metadata(self._account(tap), key, "recording")
                except Exception as error:  # if the store failed, close says what went wrong
                    _log.exception("what is known of the recording of %r was not stored", key)
                    self._life.note(
                        f"{self._life.message}; what is known of the recording of {tap.name} "
                        f"could not be stored: {first_line(error)}"
                    )
        try:
            self._stream.close()
        except Exception as error:
            if self._life.error is None:
                self._life.note(first_line(error))
                self._life.error = error

    def _account(self, tap: SourceTap) -> dict[str, Any]:
        """Return what the store should say of how an array was recorded."""
        axes = tap.describe_axes()
        return {
            **({} if axes is None else {"axes": axes}),
            "source": tap.describe(),
            "frames": tap.count.written,
            "interval": tap.interval(),
            "dropped": tap.count.dropped,
            "first_dropped": tap.count.first_dropped,
            "pauses": [
                {"after_frame": pause.after_frames[tap.key], "seconds": pause.seconds}
                for pause in self._life.pauses
            ],
            "ended": self._life.message,
        }


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
