"""The first error of a recording: kept, logged once, and raised to everyone who asks."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from aqz_core.errors import AqzError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Failure"]

_log = logging.getLogger("aqz")


class Failure:
    """Holds the first error that any thread of a recording met.

    Threads call `set` when something failed and `check` before they go on. Whoever waits for
    something registers a callback with `on_set` that ends the wait.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        """Return whether anything failed."""
        return self._first is not None

    @property
    def error(self) -> BaseException | None:
        """The first error, or None."""
        return self._first

    def set(self, error: BaseException) -> None:
        """Keep `error` if it is the first, log it once and wake everyone who waits."""
        with self._lock:
            if self._first is not None:
                return
            self._first = error
        # Whoever records gets the error raised, with all that led to it: one line is enough here.
        _log.error("recording failed: %s", str(error) or repr(error))
        _log.debug("where that came from:", exc_info=error)
        for callback in self._callbacks:
            callback()

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the first error is set."""
        self._callbacks.append(callback)

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Keep an error of the operating system that the block meets, and raise it as `check`."""
        try:
            yield
        except AqzError:
            raise
        except OSError as error:
            self.set(error)
            self.check()
            raise

    def check(self) -> None:
        """Raise the first error, if there is one.

        Raises
        ------
        AqzError
            A new exception of the same class with the first error as its cause; errors of the
            operating system become `StorageError`.
        """
        error = self._first
        if error is None:
            return
        if isinstance(error, AqzError):
            raise type(error)(*error.args) from error
        if isinstance(error, OSError):
            raise StorageError(error.errno, f"The recording stopped: {error}") from error
        raise AqzError(f"The recording stopped: {error!r}") from error
