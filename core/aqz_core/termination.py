"""SIGTERM and SIGHUP that end a program in an orderly way: open streams finish their stores.

Python turns SIGINT (Ctrl-C) into ``KeyboardInterrupt``, which leaves ``with`` blocks properly.
SIGTERM, which batch systems, containers and ``kill`` send, and SIGHUP, which comes when a terminal
or an ssh connection is closed, end the process on the spot: what was not stored is lost. Within
`exit_on_sigterm` they raise ``SystemExit`` in the main thread instead.
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
    """Let the first SIGTERM or SIGHUP raise ``SystemExit`` (143, 129) while the block runs.

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
    before = {number: signal.getsignal(number) for number in _signals()}
    # None stands for a handler that was not installed from Python and cannot be put back; a signal
    # that is ignored, SIGHUP after `nohup`, goes on being ignored.
    previous = {
        number: signal.SIG_DFL if handler is None else handler
        for number, handler in before.items()
        if handler is not signal.SIG_IGN
    }

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, previous[number])
        raise SystemExit(128 + number)

    for number in previous:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _signals() -> list[int]:
    """Return the signals that end a program, as far as the system has them."""
    found = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    return [int(number) for number in found if number is not None]
