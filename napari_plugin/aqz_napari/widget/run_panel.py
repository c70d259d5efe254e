"""The part of the form that starts, stops and shows a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, PushButton

from aqz_napari.form.destination import short_path
from aqz_napari.form.estimates import readable_bytes
from aqz_napari.recorder.recorder_status import RecorderState, RecorderStatus
from aqz_napari.widget.form_parts import ERROR, GOOD, WARNING, cell, row, text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunPanel", "notify_of_end"]

_FULL = 0.8
"""Share of the queue from which people should do something."""


class RunPanel:
    """Record, Pause, and what there is to say.

    Parameters
    ----------
    on_record, on_pause : callable
        Called, without arguments, when a button is pressed.
    """

    def __init__(self, on_record: Callable[[], None], on_pause: Callable[[], None]) -> None:
        self.record = PushButton(text="● Record")
        self.record.tooltip = "Start or stop recording (Ctrl+Shift+R)"
        self.record.native.setMinimumHeight(34)
        self.record.changed.connect(on_record)
        self.pause = cell(PushButton(text="Pause"), 70, "Take no frames for a while; marks a gap")
        self.pause.changed.connect(on_pause)
        self.pause.enabled = False
        self.estimates = text(small=True)
        self.progress = text(small=True)
        self.health = text(small=True, rich=True)
        self.message = text(small=True)
        self.open_after = CheckBox(text="open when done", value=True)
        self.open_after.tooltip = "Show the recording as a layer when it is done"
        self.follow = CheckBox(text="follow while recording", value=False)
        self.follow.tooltip = "Show what is in the store while it grows, the newest frame in front"
        self.rows = [
            self.estimates,
            row(self.record, self.pause),
            self.progress,
            self.health,
            self.message,
            row(self.open_after, self.follow),
        ]

    def say(self, message: str, colour: str = "") -> None:
        """Show a message below the progress."""
        self.message.value = message or " "
        self.message.native.setStyleSheet(f"color: {colour}; font-size: 9pt;" if colour else "")

    def show_ready(self, problem: str) -> None:
        """Let Record be pressed, unless there is a problem."""
        self.record.text, self.record.enabled = "● Record", not problem
        self.record.tooltip = f"First: {problem}" if problem else "Start recording (Ctrl+Shift+R)"
        self.pause.text, self.pause.enabled = "Pause", False

    def show_opening(self) -> None:
        """Show that the store is being opened."""
        self.record.text, self.record.enabled = "Opening…", False
        self._clear()

    def show_waiting(self) -> None:
        """Show that an acquisition is awaited; Record gives up."""
        self.record.text, self.record.enabled = "■ Wait no longer", True
        self._clear()
        self.say("Waiting: start the acquisition, and it is recorded from its first frame.")

    def show_status(self, status: RecorderStatus, limit: int | None) -> None:
        """Show counts and rates."""
        paused = status.state is RecorderState.PAUSED
        running = status.state in (RecorderState.RECORDING, RecorderState.PAUSED)
        self.record.text = "■ Stop" if running else "Finishing…"
        self.record.tooltip = "Stop recording (Ctrl+Shift+R)"
        self.record.enabled = self.pause.enabled = running
        self.pause.text = "Go on" if paused else "Pause"
        of = f" / {limit}" if limit else ""
        self.progress.value = (
            f"{'Ⅱ paused · ' if paused else ''}{status.written}{of} frames · "
            f"{readable_bytes(status.nbytes)} · {status.seconds:.0f} s · "
            f"{status.frames_per_second:.1f} fps · {status.megabytes_per_second:.1f} MB/s"
        )
        self.health.value = _health(status)
        if running and status.spill_path:
            self.say(f"The service failed: {status.spill_reason}. {_spilled(status)}", WARNING)
        elif running and status.queue_fill >= _FULL:
            self.say(
                "The store is slower than the frames: use a faster codec or a lower level, whole "
                "frames per chunk, or a faster disk.",
                WARNING,
            )

    def show_end(self, status: RecorderStatus, store_path: str) -> None:
        """Say how it ended."""
        failed = status.state is RecorderState.FAILED
        lost = status.dropped + status.unreadable
        said = (
            f"{'Failed' if failed else 'Done'}: {status.message.rstrip('.')}. {status.written} "
            f"frames, {readable_bytes(status.nbytes)} in {status.seconds:.1f} s, dropped "
            f"{status.dropped}.\n{short_path(store_path)}"
        )
        if status.spill_path:
            said += f"\n{_spilled(status)}"
        warn = WARNING if status.spill_path else GOOD
        self.say(said, ERROR if failed or lost else warn)

    def _clear(self) -> None:
        """Forget the numbers of the recording before."""
        self.progress.value = self.health.value = " "
        self.say("")


def notify_of_end(status: RecorderStatus, store_path: str) -> None:
    """Tell napari's notifications how a recording ended."""
    from napari.utils import notifications

    if status.state is RecorderState.FAILED:
        notifications.show_error(f"Recording failed: {status.message}")
    elif status.spill_path:
        notifications.show_warning(f"The service failed. {_spilled(status)}")
    elif status.dropped:
        notifications.show_warning(f"Recorded {status.written} frames, dropped {status.dropped}")
    else:
        notifications.show_info(f"Recorded {status.written} frames to {store_path}")


def _spilled(status: RecorderStatus) -> str:
    """Say where a recording went on, and how to send it."""
    return (
        "What it did not take is on this machine. When it works again: "
        f"aqz upload {short_path(status.spill_path)}"
    )


def _health(status: RecorderStatus) -> str:
    """Return queue, dropped frames and free disk, coloured."""
    queue = f"queue {100 * status.queue_fill:.0f} %"
    if status.queue_fill >= _FULL:
        queue = f'<span style="color:{WARNING}">{queue}</span>'
    firsts = [c.first_dropped for c in status.arrays.values() if c.first_dropped is not None]
    dropped = f'<span style="color:{GOOD}">dropped 0 ✔</span>'
    if status.dropped or status.unreadable:
        first = f", the first is number {min(firsts)}" if firsts else ""
        words = [f"dropped {status.dropped}{first}"] if status.dropped else []
        words += [f"lost in the store {status.unreadable}"] if status.unreadable else []
        dropped = f'<b style="color:{ERROR}">{" · ".join(words)}</b>'
    free = f" · {readable_bytes(status.free_disk)} free" if status.free_disk is not None else ""
    return f"{queue} · {dropped}{free}"
