"""The thread that lets readers see a growing store, a few times a second."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_core.pipeline.failure import Failure

__all__ = ["INTERVAL", "Publisher"]

INTERVAL = 0.5
"""Seconds between two looks. A reader that meets an index just as it is rewritten must try again,
so rewriting is gathered; a viewer does not need more than a few updates a second."""


class Publisher:
    """Calls `publish` at intervals until it is stopped or the recording fails.

    Parameters
    ----------
    publish
        What to call; its first error becomes the recording's.
    failure
        The recording's first error.
    interval
        Seconds between two calls.
    """

    def __init__(
        self, publish: Callable[[], None], failure: Failure, interval: float = INTERVAL
    ) -> None:
        self._interval = interval
        self._publish = publish
        self._failure = failure
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aqz-publisher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait until its last call is over."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval) and not self._failure:
            try:
                self._publish()
            except Exception as error:
                self._failure.set(error)
