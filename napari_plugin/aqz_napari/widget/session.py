"""One viewer's recordings, one after the other; the dock is only a view of it.

A recording outlives its dock: closed and opened again, the dock shows the same session. Each
recording starts once and ends once, and whoever listens is told of both. All of it is on the main
thread, driven by a timer of its own; what other threads have to say is read there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from aqz_napari.form.recording_start import RecordingStart
from aqz_napari.recorder.recorder_status import RecorderState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_napari.form.recording_plan import RecordingPlan
    from aqz_napari.recorder.recorder import Recorder
    from aqz_napari.recorder.recorder_status import RecorderStatus
    from aqz_napari.sources.frame_source import FrameSource, SourceSpec

__all__ = ["RecordingSession"]

_TICK_MS = 250


class RecordingSession(QObject):  # type: ignore[misc]  # Qt is not typed here
    """What is recorded in one viewer.

    Attributes
    ----------
    recorder : Recorder or None
        The recording under way, or the last one that started.
    starting : RecordingStart or None
        The attempt to start that is under way.
    began, ended : Signal
        With the recorder: once each for every recording.
    failed : Signal
        With the error of an attempt to start that came to nothing; None if it was given up.
    running : Signal
        With the status, four times a second while recording.
    idle : Signal
        Four times a second otherwise.
    """

    began = Signal(object)
    ended = Signal(object)
    failed = Signal(object)
    running = Signal(object)
    idle = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.recorder: Recorder | None = None
        self.starting: RecordingStart | None = None
        self._has_ended = True
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._timer.start()

    @property
    def is_busy(self) -> bool:
        """Whether a recording is awaited, opening, running, or its end is not told yet."""
        return self.starting is not None or not self._has_ended

    def start(
        self,
        plan: RecordingPlan,
        sources: Sequence[tuple[FrameSource, SourceSpec]],
        publish_every: float | None,
    ) -> RecordingStart:
        """Open the store on another thread, or wait for the acquisition; returns at once."""
        self.starting = RecordingStart(plan, sources, publish_every)
        self.starting.begin()
        return self.starting

    def stop(self) -> None:
        """End the recording, or wait no longer for an acquisition."""
        if self.starting is not None:
            self.starting.give_up()
        elif self.recorder is not None:
            self.recorder.stop()

    def pause(self) -> None:
        """Pause, or resume."""
        recorder = self.recorder
        if recorder is not None and recorder.state is RecorderState.PAUSED:
            recorder.resume()
        elif recorder is not None:
            recorder.pause()

    def status(self) -> RecorderStatus | None:
        """Return the status of the recording under way, or of the last one."""
        return None if self.recorder is None else self.recorder.status()

    def tick(self) -> None:
        """See how it goes, and tell those who listen."""
        if self.starting is not None:
            if not self.starting.is_busy:
                self._started(self.starting)
        elif self._has_ended:
            self.idle.emit()
        elif self.recorder is not None:
            # Told only when the store is closed: the state alone changes a moment before.
            if self.recorder.wait(0) is not None or self.recorder.report is not None:
                self._has_ended = True
                self.ended.emit(self.recorder)
            else:
                self.running.emit(self.recorder.status())

    def close(self) -> None:
        """Watch no longer."""
        self._timer.stop()

    def _started(self, starting: RecordingStart) -> None:
        """Tell of a store that was opened, could not be, or is not wanted any more."""
        self.starting = None
        recorder: Any = starting.recorder
        if recorder is None or (starting.error is not None and not recorder.state.is_running):
            self.failed.emit(starting.error)
            return
        self.recorder, self._has_ended = recorder, False
        self.began.emit(recorder)
