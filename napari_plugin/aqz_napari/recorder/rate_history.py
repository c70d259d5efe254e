"""How fast a recording goes, and how much room is left for it."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import deque
from pathlib import Path

__all__ = ["RateHistory", "free_disk", "local_folder"]

_WINDOW = 3.0
"""Seconds over which rates are taken."""


class RateHistory:
    """Rates of two counts, frames and bytes, over the last seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[tuple[float, int, int]] = deque()

    def note(self, frames: int, nbytes: int) -> None:
        """Note both counts at this moment."""
        now = time.monotonic()
        with self._lock:
            self._looks.append((now, frames, nbytes))
            while self._looks[0][0] < now - _WINDOW:
                self._looks.popleft()

    def rates(self) -> tuple[float, float]:
        """Return frames and bytes a second."""
        with self._lock:
            if len(self._looks) < 2:
                return 0.0, 0.0
            (t0, n0, b0), (t1, n1, b1) = self._looks[0], self._looks[-1]
        span = max(t1 - t0, 1e-6)
        return (n1 - n0) / span, (b1 - b0) / span


def free_disk(folder: Path | None) -> int | None:
    """Return the bytes free where a folder is; None where nobody knows."""
    if folder is not None:
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def local_folder(store_path: str) -> Path | None:
    """Return the folder that a local store is in, None for a store elsewhere."""
    scheme, found, rest = store_path.partition("://")
    if not found:
        return Path(store_path).expanduser().absolute().parent
    return Path(rest).parent if scheme == "file" else None
