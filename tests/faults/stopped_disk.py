"""A disk that a recording stops at: at one operation its process is killed, or that one fails.

To be killed is to do nothing more: every later operation of that recording is refused, so that the
files stay as they are, while the process goes on and can look at them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from aqz_core import AqzError, ZarrStream
from aqz_core.storage import filesystem, platform
from aqz_core.storage.filesystem import FilesystemSink

__all__ = ["OPERATIONS", "SYSTEM_CALLS", "Killed", "Stop", "stopping"]

End = Literal["kill", "fail", "break", "exit", "close"]

OPERATIONS: list[tuple[Any, str]] = [
    (FilesystemSink, name) for name in ("write", "append", "create_shard", "write_at", "commit")
]
OPERATIONS += [(filesystem._ShardOnDisk, "finish"), (filesystem._ShardOnDisk, "_give_name")]

SYSTEM_CALLS: list[tuple[Any, str]] = [
    (os, name) for name in ("open", "write", "ftruncate", "truncate", "mkdir", "fsync")
]
SYSTEM_CALLS += [(platform, name) for name in ("pwrite", "replace", "sync_file", "set_aside")]


@dataclass
class Stop:
    """Where and how recordings stop: at the operation numbered `after`, from 0.

    "fail" lets one operation fail, "break" all that follow as well; "exit" ends the process for
    good, "close" lets the recording end as it would.
    """

    how: End
    after: int
    error: int = errno.EIO
    done: int = 0
    is_dead: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def kill(self) -> None:
        """Refuse every operation from now on."""
        with self.lock:
            self.is_dead = True

    def operate(self, call: Callable[[], Any]) -> Any:
        """Do one operation, unless it is refused."""
        with self.lock:
            number, self.done = self.done, self.done + 1
            if number == self.after:
                if self.how == "exit":
                    os._exit(9)
                self.is_dead = self.how in ("kill", "break")
                if self.how == "fail":
                    raise OSError(self.error, os.strerror(self.error))
            if self.is_dead:
                raise OSError(self.error, os.strerror(self.error))
            return call()


@contextlib.contextmanager
def stopping(stop: Stop, operations: list[tuple[Any, str]] = OPERATIONS) -> Iterator[None]:
    """Let the recordings of this process stop so inside of the context."""
    before = [getattr(owner, name) for owner, name in operations]

    def stopped(method: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:
            return stop.operate(lambda: method(*args, **kwargs))

        return operate

    for (owner, name), method in zip(operations, before, strict=True):
        setattr(owner, name, stopped(method))
    try:
        yield
    finally:
        for (owner, name), method in zip(operations, before, strict=True):
            setattr(owner, name, method)


class Killed:
    """Kills the recording whose calls are made in the context, at its end at the latest."""

    def __init__(self, stream: ZarrStream, after: int = -1) -> None:
        self._stop, self._stream = Stop("kill", after), stream

    def __enter__(self) -> ZarrStream:
        self._stopping = stopping(self._stop)
        self._stopping.__enter__()
        return self._stream

    def __exit__(self, *error: object) -> None:
        self._stop.kill()
        with pytest.raises(AqzError):
            self._stream.close()
        self._stopping.__exit__(None, None, None)
