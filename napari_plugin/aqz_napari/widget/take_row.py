"""What can be done with the last recording: open it, find it, verify it, repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication, QWidget
from superqt import QElidingLabel

import aqz_core as aqz
from aqz_napari.form.destination import is_remote, local_file
from aqz_napari.form.verify import verify_store
from aqz_napari.widget.form_parts import ERROR, GOOD, WARNING, button, flow, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.recorder.recorder_status import RecorderStatus
    from aqz_napari.widget.background import Background

__all__ = ["TakeRow"]


class TakeRow:
    """The name of the last recording, and buttons that are about it; hidden while recording.

    Parameters
    ----------
    background : Background
        Where verifying and repairing are done.
    say : callable
        Called with a message and its colour.
    on_open : callable
        Called when the recording is to be opened.
    """

    def __init__(
        self,
        background: Background,
        say: Callable[[str, str], None],
        on_open: Callable[[], Any],
    ) -> None:
        self._background, self._say = background, say
        self.store = ""
        self._lost = 0
        self.name = QElidingLabel()
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.name.setEllipsesWidth(8)
        self.open = button("Open", on_open, "Show it as layers, below the live view")
        self.folder = button("Folder", self._open_folder, "Show its folder")
        self.copy = button("Copy path", self._copy_path, "Copy its path")
        self.verify = button(
            "Verify", self.verify_take, "Read everything back and check every checksum"
        )
        self.repair = button(
            "Repair", self.repair_take, "Finish what the failed recording left unfinished"
        )
        buttons = flow(self.open, self.folder, self.copy, self.verify, self.repair)
        self.widget: QWidget = stack(self.name, buttons)
        self.widget.hide()

    def show(self, status: RecorderStatus, store_path: str) -> None:
        """Be about this recording."""
        self.store, self._lost = store_path, status.lost
        self.name.setText(f"Last: {store_path.rstrip('/').rpartition('/')[2]}")
        self.name.setToolTip(store_path)
        local = not is_remote(store_path)
        self.folder.setEnabled(local)
        self.verify.setEnabled(local)
        self.copy.setVisible(status.error_free)
        self.repair.setVisible(local and not status.error_free)
        self.widget.show()

    def hide(self) -> None:
        """Be out of the way: another recording has begun."""
        self.widget.hide()

    def verify_take(self) -> None:
        """Read the recording back, without holding up the window."""
        self._say("Verifying…", "")
        store, lost = self.store, self._lost

        def finished(result: Any) -> None:
            if isinstance(result, Exception):
                self._say(f"Verifying failed: {result}", ERROR)
                return
            problem, summary = result
            if lost and not problem:  # what is there is sound; what is not there is still missing
                self._say(f"{summary} {lost} frames were lost and are not in it.", WARNING)
            else:
                self._say(problem or summary, ERROR if problem else GOOD)

        self._background.do(lambda: verify_store(store), finished)

    def repair_take(self) -> None:
        """Give the recording the form of a finished one."""
        self._say("Repairing…", "")
        store = self.store

        def finished(result: Any) -> None:
            if isinstance(result, Exception):
                self._say(f"Repairing failed: {result}", ERROR)
                return
            done = len(result.actions)
            left = f", {len(result.findings)} findings are left" if result.findings else ""
            changes = f"{done} change{'s' * (done != 1)}" if done else "there was nothing to do"
            self._say(f"Repaired: {changes}{left}.", WARNING if result.findings else GOOD)

        self._background.do(lambda: aqz.repair_store(store, apply=True), finished)

    def _open_folder(self) -> None:
        """Show the store in the desktop's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(local_file(self.store).parent)))

    def _copy_path(self) -> None:
        """Copy where the store is."""
        QApplication.clipboard().setText(self.store)
        self._say("The path is in the clipboard.", GOOD)
