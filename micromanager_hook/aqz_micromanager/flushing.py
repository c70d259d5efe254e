"""Makes frames safe at intervals, however slowly they come."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import aqz_core as aqz

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FLUSH_SECONDS", "Flusher"]

FLUSH_SECONDS = 10.0
"""Most that a loss of power, or of an object store's sender, should cost by default."""

_PAUSE = 0.5  # seconds without a frame: a flush then is in nobody's way
_PATIENCE = 3  # intervals after which a flush is due in the middle of a burst, too

_log = logging.getLogger("aqz.micromanager")


class Flusher:
    """Calls a function when frames came and a while has passed.

    Frames that come without a pause fill shards, which are stored as they fill; a flush in the
    middle of them would only be in their way, and waits for the end of the burst or a few
    intervals.

    Parameters
    ----------
    seconds
        Interval; None never flushes.
    flush
        What to call, on a thread of its own.
    """

    def __init__(self, seconds: float | None, flush: Callable[[], None]) -> None:
        self._seconds = seconds
        self._flush = flush
        self._over = threading.Event()
        self._frames = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless that was done before."""
        if self._seconds is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aqz-flush", daemon=True)
            self._thread.start()

    def note_frame(self) -> None:
        """Note that a frame came."""
        self._frames += 1

    def stop(self) -> None:
        """End, once a flush that has begun is done."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        """Flush at intervals."""
        assert self._seconds is not None
        flushed, waited = 0, 0
        while not self._over.wait(self._seconds):
            before = self._frames
            if before == flushed:
                continue
            if self._over.wait(min(_PAUSE, self._seconds)):
                return
            waited += 1
            if self._frames != before and waited < _PATIENCE:
                continue
            waited, flushed = 0, self._frames
            try:
                self._flush()
            except aqz.AqzError as error:
                _log.warning("a flush failed: %s", error)
                return  # the next frame raises the error itself
