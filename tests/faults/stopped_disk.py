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

from aqz_core.storage import filesystem
from aqz_core.storage.filesystem import FilesystemSink

__all__ = ["Stop", "stopping"]

End = Literal["kill", "fail", "exit", "close"]

_OPERATIONS = [
    (FilesystemSink, name) for name in ("write", "append", "create_shard", "write_at", "commit")
]
_OPERATIONS += [(filesystem._ShardOnDisk, "finish"), (filesystem._ShardOnDisk, "_give_name")]


@dataclass
class Stop:
    """Where and how recordings stop: at the operation numbered `after`, from 0.

    "exit" ends the process for good, "close" lets the recording end as it would.
    """

    how: End
    after: int
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
                self.is_dead = self.how == "kill"
                if self.how == "fail":
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            if self.is_dead:
                raise OSError(errno.EIO, "the process is dead")
            return call()


@contextlib.contextmanager
def stopping(stop: Stop) -> Iterator[None]:
    """Let the recordings of this process stop so inside of the context."""
    before = [getattr(owner, name) for owner, name in _OPERATIONS]

    def stopped(method: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:
            return stop.operate(lambda: method(*args, **kwargs))

        return operate

    for (owner, name), method in zip(_OPERATIONS, before, strict=True):
        setattr(owner, name, stopped(method))
    try:
        yield
    finally:
        for (owner, name), method in zip(_OPERATIONS, before, strict=True):
            setattr(owner, name, method)
