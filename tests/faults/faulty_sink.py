"""A file system that fails on demand: real files, and errors when and where a test wants them."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import aqz_core as aqz
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.sink import Bytes, ShardFile, as_view

__all__ = ["FAULTS", "Faults", "faulty_plugin"]


@dataclass
class Faults:
    """What goes wrong, and when.

    ``after`` counts the calls of one kind ("write", "sync", "rename", "create") that still work;
    ``nbytes`` the bytes that still fit. ``struck`` is when it first went wrong, by `monotonic`.
    """

    kind: str
    number: int
    after: int = 0
    nbytes: int | None = None
    stalls: threading.Event | None = None
    remove: Path | None = None
    struck: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, kind: str, nbytes: int = 0) -> int:
        """Let a call pass, or fail; return how many of its bytes may be written before."""
        with self._lock:
            if self.nbytes is not None:
                fits = min(nbytes, self.nbytes)
                self.nbytes -= fits
                if fits == nbytes:
                    return nbytes
                self._strike()
                return fits
            if kind != self.kind:
                return nbytes
            self.after -= 1
            if self.after >= 0:
                return nbytes
            self._strike()
        if self.stalls is not None:
            self.stalls.wait()
            return nbytes
        if self.remove is not None:
            shutil.rmtree(self.remove, ignore_errors=True)
            return nbytes
        raise OSError(self.number, os.strerror(self.number))

    def _strike(self) -> None:
        if self.struck is None:
            self.struck = monotonic()

    def no_room(self, nbytes: int, passed: int) -> None:
        """Fail if not all bytes fit."""
        if passed < nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _FaultySink(FilesystemSink):
    """The usual sink behind faults."""

    def __init__(self, root: Path, faults: Faults) -> None:
        super().__init__(root)
        self._faults = faults

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        nbytes = as_view(data).nbytes
        self._faults.no_room(nbytes, self._faults.before("write", nbytes))
        if sync:
            self._faults.before("sync")
        self._faults.before("rename")
        super().write(name, data, sync=sync)

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> ShardFile:
        self._faults.before("create")
        return _FaultyShard(super().create_shard(name, nbytes, visible=visible), self._faults)

    def open_shard(self, name: str) -> ShardFile | None:
        self._faults.before("create")
        shard = super().open_shard(name)
        return None if shard is None else _FaultyShard(shard, self._faults)

    def commit(self, names: Iterable[str] = ()) -> None:
        self._faults.before("sync")
        super().commit(names)


class _FaultyShard:
    """A shard's file behind faults; a write that does not fit is cut in the middle."""

    def __init__(self, shard: ShardFile, faults: Faults) -> None:
        self._shard = shard
        self._faults = faults
        self.read = shard.read
        self.nbytes = shard.nbytes
        self.discard = shard.discard

    def write_at(self, offset: int, data: Bytes) -> None:
        view = as_view(data)
        passed = self._faults.before("write", view.nbytes)
        if passed < view.nbytes:
            self._shard.write_at(offset, bytes(view[:passed]))
        self._faults.no_room(view.nbytes, passed)
        self._shard.write_at(offset, data)

    def sync(self) -> None:
        self._faults.before("sync")
        self._shard.sync()

    def finish(self, nbytes: int, *, sync: bool) -> None:
        if sync:
            self._faults.before("sync")
        self._shard.finish(nbytes, sync=sync)


def faulty_plugin(faults: Faults) -> object:
    """Return a plug-in whose stores ``faulty:///directory`` fail as `faults` says."""

    class Plugin:
        @aqz.hookimpl
        def aqz_sinks(self) -> list[aqz.SinkProvider]:
            def open_sink(url: str, settings: aqz.StreamSettings) -> FilesystemSink:
                return _FaultySink(Path(url.removeprefix("faulty://")), faults)

            return [aqz.SinkProvider(schemes=("faulty",), open=open_sink)]

    return Plugin()


FAULTS: dict[str, Callable[[int, Path], Faults]] = {
    "disk full": lambda n, store: Faults("", 0, nbytes=4096 * n + 100),
    "write fails": lambda n, store: Faults("write", errno.EIO, after=n),
    "sync fails": lambda n, store: Faults("sync", errno.EIO, after=n),
    "rename fails": lambda n, store: Faults("rename", errno.EIO, after=n),
    "too many open files": lambda n, store: Faults("write", errno.EMFILE, after=n),
    "permission lost": lambda n, store: Faults("write", errno.EACCES, after=n),
    "read-only": lambda n, store: Faults("write", errno.EROFS, after=n),
    "store removed": lambda n, store: Faults("write", 0, after=n, remove=store),
}
"""Each fault by name, from how many calls it spares and where the store is."""
