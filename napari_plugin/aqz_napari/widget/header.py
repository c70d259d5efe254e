"""The head of the dock, which is always in view: what is going on, Record, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from aqz_napari.form.destination import short_path
from aqz_napari.form.estimates import readable_bytes
from aqz_napari.recorder.recorder_status import RecorderState, RecorderStatus
from aqz_napari.widget.form_parts import ERROR, GOOD, IDLE, WARNING, wrapping_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.recorder.recorder_status import StopRule

__all__ = ["Header", "notify_of_end"]

_FULL = 0.8
"""Share of the queue from which people should do something."""

SHORTCUT = "Ctrl+Shift+R"


class Header(QWidget):  # type: ignore[misc]  # Qt is not typed here
    """State, Record, numbers, the next file, and messages.

    Parameters
    ----------
    on_record, on_pause, on_snap : callable
        Called, without arguments, when a button is pressed.
    """

    def __init__(
        self,
        on_record: Callable[[], None],
        on_pause: Callable[[], None],
        on_snap: Callable[[], object],
    ) -> None:
        super().__init__()
        self.dot = QLabel("●")
        self.state = QElidingLabel("Ready")
        self.state.setStyleSheet("font-weight: bold;")
        self.clock = QLabel()
        self.record = QPushButton("Record")
        self.record.setStyleSheet("font-weight: bold; padding: 6px;")
        self.record.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.record.clicked.connect(lambda: on_record())
        self.pause = QPushButton("Pause")
        self.pause.setToolTip("Take no frames for a while; the gap is noted in the recording")
        self.pause.setStyleSheet("padding: 6px;")
        self.pause.clicked.connect(lambda: on_pause())
        self.snap = QPushButton("Snap")
        self.snap.setToolTip("Record one frame: what a layer shows, or the next of a camera")
        self.snap.setStyleSheet("padding: 6px;")
        self.snap.clicked.connect(lambda: on_snap())
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.numbers = wrapping_label()
        self.numbers.setTextFormat(Qt.TextFormat.RichText)
        self.file = QElidingLabel()
        self.file.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.message = wrapping_label()
        self._lay_out()
        self.show_ready("")

    def _lay_out(self) -> None:
        """Put it together."""
        first, buttons = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.dot)
        first.addWidget(self.state, 1)
        first.addWidget(self.clock)
        buttons.addWidget(self.record, 1)
        buttons.addWidget(self.pause)
        buttons.addWidget(self.snap)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(4)
        layout.addLayout(first)
        layout.addLayout(buttons)
        for widget in (self.progress, self.numbers, self.file, self.message):
            layout.addWidget(widget)
        self.progress.hide()
        self.say("")

    # ---- what is said ------------------------------------------------------------------------

    def say(self, message: str, colour: str = "") -> None:
        """Show a message below the numbers; empty removes it."""
        self.message.setText(message)
        self.message.setStyleSheet(f"color: {colour};" if colour else "")
        self.message.setVisible(bool(message))

    def show_file(self, path: str, note: str = "") -> None:
        """Show where the recording is, or the next one will be: its name, and all in the tip."""
        self.file.setText(f"→ {path.rstrip('/').rpartition('/')[2]}" if path else "")
        self.file.setToolTip(f"{short_path(path)}{note}" if path else "")

    def show_state(self, state: str, colour: str) -> None:
        """Show a word for what is going on, and its colour."""
        self.state.setText(state)
        self.state.setToolTip(state)
        self.dot.setStyleSheet(f"color: {colour};")

    # ---- states ------------------------------------------------------------------------------

    def show_ready(self, problem: str) -> None:
        """Let Record be pressed, unless there is a problem; what was said of the last one stays."""
        self._show_record("Record", not problem, pause=False)
        tip = f"First: {problem}" if problem else f"Start recording ({SHORTCUT})"
        self.record.setToolTip(tip)
        self.progress.hide()

    def show_idle(self, problem: str) -> None:
        """Show that nothing was recorded yet, or the form was changed since."""
        self.show_state("Not ready" if problem else "Ready", WARNING if problem else IDLE)
        self.clock.clear()
        self._say_numbers("")

    def show_opening(self) -> None:
        """Show that the store is being opened."""
        self._show_record("Opening…", enabled=False, pause=False)
        self._clear("Opening the store", IDLE)

    def show_waiting(self) -> None:
        """Show that an acquisition is awaited; Record gives up."""
        self._show_record("Wait no longer", enabled=True, pause=False)
        self._clear("Waiting for the acquisition", WARNING)
        self.say("Start the acquisition: it is recorded from its first frame.")

    def show_status(self, status: RecorderStatus, rule: StopRule) -> None:
        """Show counts, rates and how far it is."""
        paused = status.state is RecorderState.PAUSED
        finishing = status.state is RecorderState.FINISHING
        self._show_record("Finishing…" if finishing else "Stop", not finishing, pause=not finishing)
        self.record.setToolTip(f"Stop recording ({SHORTCUT})")
        self.pause.setText("Resume" if paused else "Pause")
        armed = status.is_armed and not paused and not finishing
        going = "Armed: waits for frames" if armed else "Recording"
        state = "Finishing" if finishing else "Paused" if paused else going
        colour = ERROR if status.lost else WARNING if state != "Recording" else GOOD
        self.show_state(state, colour)
        self._show_numbers(status)
        if finishing:
            self._show_finishing(status)
        else:
            self._show_limit(status, rule)
        if status.spill_path:
            self.say(f"The service failed: {status.spill_reason}. {_spilled(status)}", WARNING)
        elif status.queue_fill >= _FULL and not finishing:
            self.say(
                "The store is slower than the frames: use a faster codec or a lower level, whole "
                "frames per chunk, or a faster disk.",
                WARNING,
            )

    def show_end(self, status: RecorderStatus, store_path: str) -> None:
        """Say how it ended: green only if it went as the user wanted."""
        self._show_numbers(status)
        state, colour = _verdict(status)
        self.show_state(state, colour)
        self.clock.setText(_clock(status.seconds))
        said = "" if status.is_complete else f"{status.message.rstrip('.')}."
        if status.spill_path:
            said = f"{said} {_spilled(status)}".strip()
        self.say(said, colour)
        self.show_file(store_path)

    def show_not_started(self, reason: str) -> None:
        """Say that there is no recording, and why; stays until the next attempt."""
        self._clear("Not started", ERROR)
        self.say(f"The recording did not start: {reason}", ERROR)

    # ---- parts -------------------------------------------------------------------------------

    def _show_record(self, text: str, enabled: bool, *, pause: bool) -> None:
        """Show what the two buttons do now."""
        self.record.setText(text)
        self.record.setIcon(_sign("●" if text == "Record" else "■" if enabled else ""))
        self.record.setEnabled(enabled)
        self.pause.setEnabled(pause)
        self.pause.setVisible(pause)
        self.snap.setEnabled(enabled)
        self.snap.setVisible(text == "Record")
        if not pause:
            self.pause.setText("Pause")

    def _say_numbers(self, text: str) -> None:
        """Show the numbers; without any, their line is not there."""
        self.numbers.setText(text)
        self.numbers.setVisible(bool(text))

    def _clear(self, state: str, colour: str) -> None:
        """Forget the numbers of the recording before."""
        self.show_state(state, colour)
        self.clock.clear()
        self._say_numbers("")
        self.progress.hide()
        self.say("")

    def _show_numbers(self, status: RecorderStatus) -> None:
        """Show frames, rate, size, what was lost, and a queue that fills."""
        parts = [
            f"{status.written:,} frames".replace(",", "\u202f"),
            f"{status.frames_per_second:.1f} fps",
            readable_bytes(status.nbytes),
            _lost(status),
        ]
        if status.state.is_running and status.queue_fill >= 0.1:
            colour = WARNING if status.queue_fill >= _FULL else ""
            parts.append(_coloured(f"queue {100 * status.queue_fill:.0f} %", colour))
        self._say_numbers(" · ".join(parts))
        free = status.free_disk
        self.numbers.setToolTip(
            f"{status.megabytes_per_second:.1f} MB/s"
            + (f", {readable_bytes(free)} free" if free is not None else "")
        )

    def _show_limit(self, status: RecorderStatus, rule: StopRule) -> None:
        """Show the time, and how far it is to a limit."""
        share = _share(status, rule)
        self.progress.setVisible(share is not None)
        clock = _clock(status.seconds)
        if share is not None:
            self.progress.setRange(0, 1000)
            self.progress.setValue(round(1000 * min(share, 1.0)))
            self.progress.setFormat(f"{100 * min(share, 1.0):.0f} %")
            if share > 0.01:
                clock += f", {_clock(status.seconds * (1 - share) / share)} left"
        self.clock.setText(clock)
        self.clock.setToolTip("Elapsed, and what is left by the rate so far")

    def _show_finishing(self, status: RecorderStatus) -> None:
        """Show how many frames are still to be stored."""
        taken = max(1, status.accepted)
        self.progress.show()
        if status.waiting:
            self.progress.setRange(0, 1000)
            self.progress.setValue(round(1000 * (1 - status.waiting / taken)))
            rate = status.written / max(status.seconds, 1e-3)
            left = f", {_clock(status.waiting / rate)} left" if rate > 0 else ""
            self.progress.setFormat(f"{status.waiting} frames to store{left}")
        else:
            self.progress.setRange(0, 0)  # the last shards and the metadata: nobody knows how long
            self.progress.setFormat("")


def _sign(sign: str) -> QIcon:
    """Return the red disk of recording, or the square of stopping; none for an empty text."""
    picture = QPixmap(32, 32)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(ERROR))
    if sign == "●":
        painter.drawEllipse(4, 4, 24, 24)
    elif sign:
        painter.drawRect(6, 6, 20, 20)
    painter.end()
    return QIcon(picture)


def notify_of_end(status: RecorderStatus, store_path: str) -> None:
    """Tell napari's notifications how a recording ended, with the reason."""
    from napari.utils import notifications

    name = store_path.rstrip("/").rpartition("/")[2]
    if status.state is RecorderState.FAILED:
        notifications.show_error(f"Recording {name} failed: {status.message}")
    elif status.spill_path:
        notifications.show_warning(f"The service failed. {_spilled(status)}")
    elif not status.is_complete:
        lost = f", {status.lost} lost" if status.lost else ""
        notifications.show_warning(
            f"Recording {name} ended early: {status.message} ({status.written} frames{lost})"
            if not status.was_planned
            else f"Recorded {name}: {status.message} ({status.written} frames{lost})"
        )
    else:
        notifications.show_info(f"Recorded {status.written} frames to {store_path}")


def _verdict(status: RecorderStatus) -> tuple[str, str]:
    """Return a word for how it ended, and its colour."""
    if status.state is RecorderState.FAILED:
        return "Failed", ERROR
    if status.lost:
        return f"Done, {status.lost} lost", ERROR
    if not status.written:
        return "Nothing recorded", WARNING
    if not status.was_planned:
        return "Ended early", WARNING
    return "Done", WARNING if status.spill_path else GOOD


def _share(status: RecorderStatus, rule: StopRule) -> float | None:
    """Return how far it is to the nearest limit, 0 to 1; None if there is none."""
    shares = []
    if rule.frames:
        least = min((count.accepted for count in status.arrays.values()), default=0)
        shares.append(least / rule.frames)
    if rule.seconds:
        shares.append(status.seconds / rule.seconds)
    if rule.nbytes:
        shares.append(status.nbytes / rule.nbytes)
    return max(shares, default=None)


def _clock(seconds: float) -> str:
    """Return a time as on a clock."""
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _coloured(text: str, colour: str) -> str:
    """Return rich text."""
    return f'<span style="color:{colour}">{text}</span>' if colour else text


def _lost(status: RecorderStatus) -> str:
    """Return what was lost, coloured: one number, wherever it was lost."""
    if not status.lost:
        return _coloured("0 lost ✔", GOOD)
    firsts = [c.first_dropped for c in status.arrays.values() if c.first_dropped is not None]
    first = f", the first is number {min(firsts)}" if firsts else ""
    return f"<b>{_coloured(f'{status.lost} lost{first}', ERROR)}</b>"


def _spilled(status: RecorderStatus) -> str:
    """Say where a recording went on, and how to send it."""
    return (
        "What it did not take is on this machine. When it works again: "
        f"aqz upload {short_path(status.spill_path)}"
    )
