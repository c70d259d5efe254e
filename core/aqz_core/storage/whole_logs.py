"""Logs that a store takes as a whole: kept in memory, and given out when they have grown.

Objects cannot be added to. So a log is read once, grows here, and is rewritten by each commit.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from aqz_core.storage.sink import Bytes

__all__ = ["WholeLogs"]


class WholeLogs:
    """Every log of one store, by name, and which of them have grown since they were stored."""

    def __init__(self) -> None:
        self._contents: dict[str, bytearray] = {}
        self._unsaved: set[str] = set()
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Return whether a log is known, so that nobody has to read what is stored of it."""
        return name in self._contents

    def add(self, name: str, data: Bytes, before: bytes) -> None:
        """Add to a log; if it was not known, it begins with what was stored `before`."""
        with self._lock:
            log = self._contents.setdefault(name, bytearray(before))
            log += as_view(data)
            self._unsaved.add(name)

    def take_unsaved(self) -> list[tuple[str, bytes]]:
        """Return name and content of each log that has grown since this was last called."""
        with self._lock:
            unsaved = [(name, bytes(self._contents[name])) for name in sorted(self._unsaved)]
            self._unsaved.clear()
        return unsaved

    def take_all(self) -> list[tuple[str, bytes]]:
        """Return name and content of every log, and forget them."""
        with self._lock:
            every = [(name, bytes(content)) for name, content in self._contents.items()]
            self._contents.clear()
            self._unsaved.clear()
        return every
