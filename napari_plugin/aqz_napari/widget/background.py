"""Work that would hold up the window, done on threads; results are handed over on the main one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Background"]

_LOOK_MS = 50


class Background(QObject):  # type: ignore[misc]  # Qt is not typed here
    """Does work on threads that end with the program, whatever they wait for."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: list[tuple[threading.Thread, list[Any], Callable[[Any], None]]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self._collect)

    def do(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do work on a thread, and hand its result, or its exception, over on the main one."""
        result: list[Any] = []

        def run() -> None:
            try:
                result.append(work())
            except Exception as error:  # told where the result is awaited
                result.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._waiting.append((thread, result, then))
        self._timer.start()

    def _collect(self) -> None:
        """Hand over the results of threads that are done."""
        for entry in list(self._waiting):
            thread, result, then = entry
            if not thread.is_alive():
                self._waiting.remove(entry)
                then(result[0])
        if not self._waiting:
            self._timer.stop()
