"""A store that goes on in a local folder when it fails: what it lacks is kept there, by name.

Everything that is stored is tried at the store first. The first call that fails there, after all
retries, and all that come after it, go into the folder. An object store shows nothing of a shard
before it is complete, and cannot give back what was sent of it; so each shard that is being written
is copied into the folder as it goes, and the copy is deleted when the store has the shard. Logs,
which the store takes as a whole, are kept in memory until then. After the failure the store is not
read either: what it has of this stream is known (`KnownStore`). Only deleting is always its own.

A small object in the store marks it as the one that the folder belongs to.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

from aqz_core.errors import AqzError, StorageError
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.names import PARTIAL
from aqz_core.storage.sink import Sink
from aqz_core.storage.spill.copied_shard import CopiedShard
from aqz_core.storage.spill.known_store import KnownStore
from aqz_core.storage.whole_logs import WholeLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aqz_core.storage.sink import Bytes, ShardFile
    from aqz_core.storage.spill.folder import SpillFolder

__all__ = ["SpillingSink"]

_log = logging.getLogger("aqz")


class SpillingSink(Sink):
    """A store with a local folder behind it.

    Parameters
    ----------
    store
        Takes shards in order only.
    folder
        Where everything goes once the store has failed.
    """

    random_access = False
    reads_back = False

    def __init__(self, store: Sink, folder: SpillFolder) -> None:
        self.url = store.url
        self.folder = folder
        self.local = FilesystemSink(folder.objects)
        self._store = store
        self._marked = False
        self._known = KnownStore(store.url)
        self._logs = WholeLogs()
        self._lock = threading.RLock()

    # ---- where things go --------------------------------------------------------------------

    def stored(self, call: Callable[[], object]) -> bool:
        """Try a call at the store; return whether it succeeded. If not, the folder takes over."""
        if self.failover is not None:
            return False
        try:
            call()
        except (AqzError, OSError) as error:
            self._spill(error)
            return False
        return True

    def set_part_memory(self, nbytes: int) -> None:
        """Set how many bytes the parts of shards may take on their way into the store."""
        self._store.set_part_memory(nbytes)

    def _spill(self, error: BaseException) -> None:
        """Turn to the folder for good, and say so."""
        with self._lock:
            if self.failover is not None:
                return
            self.failover = error
            _log.warning(
                "%s. The recording goes on in %s; `aqz upload %s` sends it when %s works again.",
                str(error).rstrip("."),
                self.folder.path,
                self.folder.path,
                self.url,
            )
            self._store.give_up(error)
            with self.locally():
                self.folder.update(state="spilled", reason=str(error))
                for name, content in self._logs.take_all():
                    self.local.write(name, content, sync=False)
        if self.on_failover is not None:
            self.on_failover(error, str(self.folder.path))

    @contextlib.contextmanager
    def locally(self) -> Iterator[None]:
        """Add to an error of the folder why it was needed."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                error.errno,
                f"the spill {self.folder.path} failed: {error}. It was needed because the store "
                f"had failed: {self.failover}",
            ) from error

    def _mark(self) -> None:
        """Mark the store before anything else goes there; errors are those of opening it."""
        if self._marked:
            return
        with self._lock:
            if not self._marked:
                self._known.begin(self._store.names(""))
                place = f"{self.folder.path} on {socket.gethostname()}"
                text = f"A recording goes here; if this store fails, the rest goes to {place}.\n"
                self._store.write(self.folder.manifest.marker, text.encode(), sync=True)
                self._marked = True

    # ---- reading ----------------------------------------------------------------------------

    def read(self, name: str) -> bytes | None:
        """Return an object, or None when there is none.

        Raises
        ------
        StorageError
            The store has failed, and only it could tell.
        """
        found: list[bytes | None] = []
        if self._asked(lambda: found.append(self._store.read(name))):
            (content,) = found
            if content is not None:
                self._known.note(name, content)
            return content
        with self.locally():
            content = self.local.read(name)
        return self._known.read(name, self.failover) if content is None else content

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below `prefix`; after a failure, those of this stream."""
        found: list[str] = []
        if not self._asked(lambda: found.extend(self._store.names(prefix))):
            with self.locally():
                here = {n for n in self.local.names(prefix) if not n.endswith(PARTIAL)}
            found = sorted(here | self._known.names(prefix, self.failover))
        yield from found

    def _asked(self, call: Callable[[], object]) -> bool:
        """Ask the store; return whether it answered. Before recording began, errors are let out."""
        if self._marked:
            return self.stored(call)
        call()
        return True

    # ---- writing ----------------------------------------------------------------------------

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        """Store or replace an object."""
        self._mark()
        if self.stored(lambda: self._store.write(name, data, sync=sync)):
            self._known.note(name, bytes(data))
            return
        with self.locally():
            self.local.write(name, data, sync=sync)

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> CopiedShard:
        """Start a shard, and a copy of it."""
        self._mark()
        made: list[ShardFile] = []
        store = self._store
        self.stored(lambda: made.append(store.create_shard(name, nbytes, visible=visible)))
        return CopiedShard(self, name, made[0] if made else None)

    def open_shard(self, name: str) -> None:
        """Return None: what is stored takes no more bytes."""
        return

    def append(self, name: str, data: Bytes) -> None:
        """Add to a log, which the store gets as a whole at `commit`."""
        before: list[bytes] = []
        if name not in self._logs and self.failover is None:
            self.stored(lambda: before.append(self._store.read(name) or b""))
        with self._lock:
            if self.failover is None:
                self._logs.add(name, data, b"".join(before))
                return
            with self.locally():
                if not self._is_here(name):  # the store may have the beginning of it
                    additions = (*self.folder.manifest.additions, name)
                    self.folder.update(additions=additions)
                self.local.append(name, data)

    def commit(self, names: Iterable[str] = ()) -> None:
        """Return when everything that was stored would survive a loss of power."""
        names = list(names)
        for name, content in self._logs.take_unsaved():
            if not self.stored(lambda: self._store.write(name, content, sync=True)):  # noqa: B023
                break  # the folder has all logs now
        if not self.stored(lambda: self._store.commit(names)):
            with self.locally():
                self.local.commit(name for name in names if self._is_here(name))

    def _is_here(self, name: str) -> bool:
        """Return whether the folder has an object."""
        return (self.folder.objects / name).exists()

    def remove(self, name: str) -> None:
        """Delete an object and everything below it, in the store."""
        self._store.remove(name)

    def abort_unfinished(self, ours: Callable[[str], bool]) -> None:
        """Have the store throw away uploads that never ended."""
        self._store.abort_unfinished(ours)

    def free_nbytes(self) -> int | None:
        """Return how many bytes still fit into the store."""
        return self._store.free_nbytes()

    # ---- the end ----------------------------------------------------------------------------

    def finished(self) -> None:
        """Note that the recording was finished."""
        if self.failover is not None:
            with self.locally():
                self.folder.update(state="complete")

    def close(self) -> None:
        """Store the logs, let go of the store and, if it never failed, remove the folder."""
        try:
            self.commit()
            if self.failover is None and self._marked:
                with contextlib.suppress(AqzError, OSError):
                    self._store.remove(self.folder.manifest.marker)
        finally:
            try:
                self._store.close()
            finally:
                self.folder.close()
