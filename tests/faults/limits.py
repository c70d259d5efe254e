"""Readers of what is not to be trusted, each with an end to its memory and time."""

from __future__ import annotations

import contextlib
import multiprocessing
from pathlib import Path

import aqz_core as aqz

__all__ = ["outcomes"]

MEMORY = 2 << 30
"""Address space that a reader may take besides what the test process has by then."""
SECONDS = 60


def _read_with_limits(readers, store, told):
    """Use every reader, and tell of each what came out of it; runs in the child."""
    import resource
    import signal

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.alarm(SECONDS)  # ends the child
    for name, read in readers.items():
        try:
            read(store)
            outcome = "answered"
        except aqz.AqzError as error:
            outcome = str(error)
        except BaseException as error:
            outcome = f"{name}: {error!r}"
            told.send((name, outcome, False))
            continue
        told.send((name, outcome, True))
    told.close()


def outcomes(readers, store):
    """Return what every reader made of a store."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(
        target=_read_with_limits, args=(readers, store, sender)
    )
    child.start()
    sender.close()
    found = {}
    with contextlib.suppress(EOFError):
        while True:
            name, outcome, is_right = receiver.recv()
            assert is_right, outcome
            found[name] = outcome
    child.join()
    assert child.exitcode == 0, f"ended by {child.exitcode} after {list(found)}"
    return found
