"""What stays outside of the dock: the window's status bar, and a window that is closed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QLabel, QMainWindow, QMessageBox, QProgressDialog

from aqz_napari.widget.form_parts import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.recorder.recorder import Recorder

__all__ = ["WindowGuard"]

_FINISHING = 300.0
"""Seconds that a closing window waits for a recording to finish."""


class WindowGuard(QObject):  # type: ignore[misc]  # Qt is not typed here
    """Keeps a recording in sight and safe while its dock is closed.

    Parameters
    ----------
    window : QMainWindow
        napari's main window.
    on_close : callable
        Called, without arguments, when the window is about to close.
    """

    def __init__(self, window: Any, on_close: Callable[[], None]) -> None:
        super().__init__(window)
        self._window = window
        self._recorder: Recorder | None = None
        self._on_close = on_close
        self._label = QLabel()
        self._label.setToolTip("Record to Zarr")
        self._label.hide()
        window.statusBar().addPermanentWidget(self._label)
        window.installEventFilter(self)

    def watch(self, recorder: Recorder | None) -> None:
        """Guard this recording, or none."""
        self._recorder = recorder

    def show_text(self, text: str, *, alarm: bool = False) -> None:
        """Show a text in the status bar; empty removes it."""
        self._label.setText(text)
        self._label.setStyleSheet(f"color: {ERROR};" if alarm else "")
        self._label.setVisible(bool(text))

    def let_go(self) -> None:
        """Guard the window no longer."""
        window, self._window = self._window, None
        if window is not None:
            window.removeEventFilter(self)
            window.statusBar().removeWidget(self._label)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Ask before the window closes during a recording, then finish it."""
        # A window that is being deleted still sends events, when Python has let go of the rest.
        window = getattr(self, "_window", None)
        if window is not None and watched is window and event.type() == QEvent.Type.Close:
            recorder = self._recorder
            if recorder is not None and recorder.state.is_running:
                if not self.ask():
                    event.ignore()
                    return True
                self.finish(recorder)
                if event.spontaneous():
                    # napari would ask once more, as a person closes the window: once is enough.
                    event.ignore()
                    QTimer.singleShot(0, lambda: QMainWindow.close(window))
                    return True
            self._on_close()
        return False

    def ask(self) -> bool:
        """Ask whether to stop the recording and close."""
        answer = QMessageBox.question(
            self._window,
            "Record to Zarr",
            "A recording is running. Stop it, finish the store and close napari?",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        return bool(answer == QMessageBox.StandardButton.Yes)

    def finish(self, recorder: Recorder) -> None:
        """Stop, and wait with a dialog until the store is finished."""
        recorder.stop()
        if recorder.wait(0.3) is not None:
            return
        dialog = QProgressDialog("Finishing the recording…", "", 0, 0, self._window)
        dialog.setCancelButton(None)
        dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
        dialog.show()
        deadline = time.monotonic() + _FINISHING
        while recorder.wait(0.02) is None and time.monotonic() < deadline:
            QApplication.processEvents()
        dialog.close()
