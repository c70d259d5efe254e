"""Where a recorder is in its life, and why it ends. Any thread may ask and tell.

Knows neither frames nor stores: `Recorder`, the taps and the writer thread share one of these.
The first reason to end is kept; what comes after it is a consequence.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from aqz_napari.recorder.recorder_status import RecorderState

__all__ = ["Pause", "RecorderLife"]


@dataclass(frozen=True, slots=True)
class Pause:
    """A time without frames: how many each array had before, and how long it was."""

    after_frames: dict[str, int]
    seconds: float


class RecorderLife:
    """The state of one recording.

    Attributes
    ----------
    lock : threading.RLock
        Held for every change; may be held by those who need several answers that agree.
    state : RecorderState
        Where it is.
    message : str
        Why it ended, or what was noticed last.
    error : BaseException or None
        What made it fail.
    was_planned : bool
        Whether it ended as the user wanted: by Stop, at a limit, or because a source was complete.
    pauses : list of Pause
        Those that are over.
    is_armed : bool
        Whether frames come, but the one that the recording begins with has not.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.state = RecorderState.IDLE
        self.message = ""
        self.error: BaseException | None = None
        self.was_planned = False
        self.pauses: list[Pause] = []
        self.is_armed = False
        self._stop_asked = threading.Event()
        self._over = threading.Event()
        self._sources_may_finish = False
        self._started = self._ended = self._paused_at = 0.0

    def prepare(self) -> None:
        """Begin to open the store, which can take seconds: the lock is not held meanwhile.

        Raises
        ------
        RuntimeError
            It was begun before.
        """
        with self.lock:
            if self.state is not RecorderState.IDLE:
                raise RuntimeError("a Recorder records once; make another one")
            self.state = RecorderState.STARTING
            self._over.clear()

    def begin(self, *, armed: bool = False) -> None:
        """Begin to record; if armed, with the frame that `trigger` is called for."""
        with self.lock:
            self._started = time.monotonic()
            self.is_armed = armed
            self.state = RecorderState.RECORDING

    def trigger(self) -> None:
        """Begin with this frame what was armed."""
        with self.lock:
            if self.is_armed:
                self._started, self.is_armed = time.monotonic(), False

    def could_not_begin(self) -> None:
        """Be as before `prepare`; those who wait already are woken."""
        with self.lock:
            self.state, self.message, self.error = RecorderState.IDLE, "", None
            self._stop_asked.clear()
            self._over.set()

    @property
    def seconds(self) -> float:
        """Since the start, up to the moment it was asked to end: finishing is not recording."""
        if self.is_armed or self.state in (RecorderState.IDLE, RecorderState.STARTING):
            return 0.0
        return max(0.0, (self._ended or time.monotonic()) - self._started)

    @property
    def pause_count(self) -> int:
        """How often it was paused."""
        return len(self.pauses) + (self.state is RecorderState.PAUSED)

    @property
    def stop_asked(self) -> bool:
        """Whether somebody asked it to end."""
        return self._stop_asked.is_set()

    @property
    def sources_may_finish(self) -> bool:
        """Whether what sources have at hand is still taken."""
        return self._sources_may_finish

    def pause(self) -> None:
        """Take no frames for a while."""
        with self.lock:
            if self.state is RecorderState.RECORDING:
                self.state = RecorderState.PAUSED
                self._paused_at = time.monotonic()

    def resume(self, after_frames: dict[str, int]) -> float | None:
        """Go on after a pause, noting what had been taken; returns its seconds, None if none."""
        with self.lock:
            if self.state is not RecorderState.PAUSED:
                return None
            gap = round(time.monotonic() - self._paused_at, 6)
            self.pauses.append(Pause(after_frames, gap))
            self.state = RecorderState.RECORDING
            return gap

    def ask_to_stop(
        self,
        message: str,
        error: BaseException | None = None,
        *,
        take_rest: bool = False,
        planned: bool = False,
    ) -> None:
        """End the recording, or end it as soon as it has begun; the first reason is kept.

        With `take_rest`, what sources have at hand is recorded as well. `planned` ends are those
        that the user wanted; all others are reported as such.
        """
        with self.lock:
            can_end = self.state.is_running or self.state is RecorderState.STARTING
            if not can_end or self._stop_asked.is_set():
                return
            self.message, self.was_planned = message, planned
            self._ended = time.monotonic()
            self.error = self.error or error
            self._sources_may_finish = take_rest and self.state is RecorderState.RECORDING
            self._stop_asked.set()

    def fail(self, message: str, error: BaseException) -> None:
        """End because of an error; the first one is kept."""
        self.error = self.error or error
        self.ask_to_stop(message, error)

    def wait_for_stop(self, timeout: float) -> bool:
        """Sleep until somebody asks it to end, at most `timeout` seconds."""
        return self._stop_asked.wait(timeout)

    def note(self, message: str) -> None:
        """Keep a message for the status."""
        with self.lock:
            self.message = message

    def accepts(self, *, from_source: bool) -> bool:
        """Return whether frames are taken; a source that stops may still hand over what it has."""
        if self._stop_asked.is_set():
            return from_source and self._sources_may_finish
        return self.state is RecorderState.RECORDING

    def finishing(self) -> None:
        """No more frames are asked for; the store is being finished."""
        with self.lock:
            self.state = RecorderState.FINISHING

    def sources_are_done(self) -> None:
        """Refuse what sources hand over from now on."""
        self._sources_may_finish = False

    def over(self) -> RecorderState:
        """Enter the last state; returns it."""
        with self.lock:
            failed = self.error is not None
            self.state = RecorderState.FAILED if failed else RecorderState.FINISHED
            return self.state

    def tell_waiting(self) -> None:
        """Wake those who `wait`."""
        self._over.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is over; False if it is not after `timeout` seconds."""
        return self._over.wait(timeout)
