"""SIGTERM that ends a program in an orderly way, so that open streams finish their stores.

Python turns SIGINT (Ctrl-C) into ``KeyboardInterrupt``, which leaves ``with`` blocks properly.
SIGTERM, which batch systems, containers and ``kill`` send, ends the process on the spot: what was
not stored is lost. Within `exit_on_sigterm` it raises ``SystemExit`` in the main thread instead.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["exit_on_sigterm"]


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let the first SIGTERM raise ``SystemExit(143)`` while the block runs.

    The second one acts as it did before, so that a program which does not come to its end can
    still be ended. Outside of the main thread, where Python takes no signal handlers, nothing
    changes.

    Examples
    --------
    >>> with exit_on_sigterm(), ZarrStream(settings) as stream:  # doctest: +SKIP
    ...     record(stream)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    # None stands for a handler that was not installed from Python and cannot be put back.
    previous = signal.SIG_DFL if before is None else before

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, previous)
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
