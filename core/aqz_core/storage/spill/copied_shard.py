"""A shard on its way into a store, and its copy in the folder of a spill.

The copy takes every byte first. It is written through the page cache, and is mostly deleted before
the cache is: what goes to the device is little. Tails, which are shown once and belong to no
shard, lie in files of their own until the store has shown them.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Protocol

from aqz_core.errors import StorageError
from aqz_core.storage import platform
from aqz_core.storage.names import PARTIAL
from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from aqz_core.storage.filesystem import FilesystemSink
    from aqz_core.storage.sink import Bytes, ShardFile
    from aqz_core.storage.spill.folder import SpillFolder

__all__ = ["CopiedShard"]

_log = logging.getLogger("aqz")

PIECE_NBYTES = 1 << 20


class FailingOver(Protocol):
    """A store with a folder behind it, as its shards see it."""

    folder: SpillFolder
    local: FilesystemSink
    failover: BaseException | None

    def stored(self, call: Callable[[], object]) -> bool:
        """Try a call at the store; return whether it succeeded. If not, the folder takes over."""

    def locally(self) -> AbstractContextManager[None]:
        """Add to an error of the folder why it was needed."""


class CopiedShard:
    """A shard that goes to a store and to the folder of a spill at the same time.

    Parameters
    ----------
    sink
        Knows whether the store still works, and where the folder is.
    name
        Of the shard.
    remote
        The shard in the store; None if that has failed already.
    """

    def __init__(self, sink: FailingOver, name: str, remote: ShardFile | None) -> None:
        self._sink = sink
        self._name = name
        self._remote = remote
        self._copy: ShardFile | None = None
        self._tails = 0
        self._seen = 0
        self._finished = False
        self._lost: OSError | None = None
        self._seeing = threading.Lock()

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write in order, to both."""
        view = as_view(data)
        self._keep(lambda: self._write(offset, view))
        self._at_store(lambda remote: remote.write_at(offset, view))

    def _write(self, offset: int, view: memoryview) -> None:
        """Write to the copy; a tail that was never shown is gone."""
        if self._copy is None:
            self._copy = self._sink.local.create_shard(self._name, None, visible=False)
        self._tail_path.unlink(missing_ok=True)
        self._copy.write_at(offset, view)

    def _keep(self, call: Callable[[], object]) -> None:
        """Write to the folder. While the store works, a copy that cannot be kept ends nothing."""
        if self._lost is not None:
            return
        try:
            call()
        except OSError as error:
            self._lost = error
            if self._copy is not None:
                self._copy.discard()
            if self._remote is not None and self._sink.failover is None:
                _log.warning(
                    "the spill %s cannot keep a copy of %s: %s. If the store fails before this "
                    "shard is complete, its frames are lost.",
                    self._sink.folder.path,
                    self._name,
                    error,
                )

    def _at_store(self, call: Callable[[ShardFile], object]) -> bool:
        """Try a call at the store; return whether it has what the call was to store.

        Raises
        ------
        StorageError
            It has not, and there is no copy.
        """
        remote = self._remote
        if remote is not None and self._sink.stored(lambda: call(remote)):
            return True
        self._remote = None
        if self._lost is not None:
            with self._sink.locally():
                raise self._lost
        return False

    def read(self, offset: int, nbytes: int) -> bytes:
        """Refuse, as the store does."""
        raise StorageError(f"{self._name!r} is not complete and cannot be read back")

    def nbytes(self) -> int:
        """Return how many bytes were written."""
        return 0 if self._copy is None else self._copy.nbytes()

    def sync(self) -> None:
        """Do nothing: nothing is promised of a shard before it is complete or shown."""

    # ---- what is shown before the end -------------------------------------------------------

    @property
    def _path(self) -> Path:
        """Where the shard is in the folder once readers can see it."""
        return self._sink.folder.objects / self._name

    @property
    def _tail_path(self) -> Path:
        """Where the tail that is growing is kept."""
        return self._path.with_name(f"{self._path.name}.tail-{self._tails}{PARTIAL}")

    def add_tail(self, data: Bytes) -> None:
        """Add to the tail that is shown next."""
        view = as_view(data)
        self._keep(lambda: self._write_tail(view))
        self._at_store(lambda remote: remote.add_tail(view))

    def _write_tail(self, view: memoryview) -> None:
        """Add to the copy of the tail."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._tail_path.open("ab") as file:
            file.write(view)

    def show(self, tail: Bytes) -> Callable[[], None]:
        """Let readers, or a later upload, find what was written so far."""
        view = as_view(tail)
        self._keep(lambda: self._write_tail(view))
        nbytes, kept = self.nbytes(), self._tail_path
        self._tails += 1
        begun: list[Callable[[], None]] = []
        self._at_store(lambda remote: begun.append(remote.show(view)))
        return partial(self._wait_until_shown, begun, nbytes, kept, self._tails)

    def _wait_until_shown(
        self, begun: list[Callable[[], None]], nbytes: int, tail: Path, number: int
    ) -> None:
        """Wait for the store; if it fails, show the first `nbytes` and the tail in the folder."""
        stored = self._at_store(lambda _: begun[0]()) if begun else False
        with self._sink.locally(), self._seeing:
            if not stored and not self._finished and number > self._seen:
                self._show_copy(nbytes, tail)
            self._seen = max(self._seen, number)
            tail.unlink(missing_ok=True)

    def _show_copy(self, nbytes: int, tail: Path) -> None:
        """Make an object of the beginning of the copy and a tail."""
        shown = self._path.with_name(f"{self._path.name}.shown{PARTIAL}")
        with shown.open("wb") as file:
            if nbytes:
                with self._path.with_name(f"{self._path.name}{PARTIAL}").open("rb") as copy:
                    copy_bytes(copy, file, nbytes)
            with tail.open("rb") as more:
                shutil.copyfileobj(more, file)
            file.flush()
            os.fsync(file.fileno())
        platform.replace(shown, self._path)

    # ---- the end ----------------------------------------------------------------------------

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Give the shard to readers, or to a later upload."""
        stored = self._at_store(lambda remote: remote.finish(nbytes, sync=sync))
        with self._seeing:
            self._finished = True
        if self._copy is None:
            return
        if stored:
            self._copy.discard()
            return
        with self._sink.locally():
            self._copy.finish(nbytes, sync=sync)

    def discard(self) -> None:
        """Give up the shard."""
        if self._remote is not None:
            self._remote.discard()
        if self._copy is not None:
            self._copy.discard()


def copy_bytes(source: BinaryIO, target: BinaryIO, nbytes: int) -> None:
    """Copy the next `nbytes` from one file to another."""
    while nbytes:
        piece = source.read(min(nbytes, PIECE_NBYTES))
        if not piece:
            raise OSError(f"the copy of a shard is {nbytes} bytes short")
        target.write(piece)
        nbytes -= len(piece)
