"""A disk in memory that remembers every write and sync, and can be cut off from power at any one.

What a loss of power leaves is modelled from what POSIX promises, and nothing more:

* a file's bytes are certain once the file was synced after they were written; until then every
  512-byte sector, and the file's size, is as it was at the last sync or after any write since,
  independently of every other sector;
* a name is certain once its directory was synced; until then it stands for any of the files that it
  was given since, or for what it stood for at the last sync.

File systems in use promise more (journals keep an order, pages are larger than sectors), so what
survives here survives there.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aqz_core.storage.sink import Bytes, Sink, as_view

__all__ = ["Choose", "TracedDisk", "drop_all", "keep_all", "keep_any"]

SECTOR = 512

Choose = Callable[[int], int]
"""Picks one of so many versions: 0 is the one that is certain, the last one the newest."""


def drop_all(versions: int) -> int:
    """Lose whatever can be lost."""
    return 0


def keep_all(versions: int) -> int:
    """Lose nothing."""
    return versions - 1


def keep_any(seed: int) -> Choose:
    """Lose each thing, or not, as a coin falls."""
    generator = random.Random(seed)
    return generator.randrange


@dataclass
class _Event:
    """What happened: a write or a change of size to a file, a name, or a sync of either."""

    kind: str
    file: int = -1
    name: str = ""
    offset: int = 0
    data: bytes = b""
    size: int = 0


@dataclass
class TracedDisk(Sink):
    """A sink that keeps its objects in memory and a trace of what was done to them."""

    url: str = "traced://"
    random_access: bool = True
    events: list[_Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._content: dict[int, bytearray] = {}
        self._names: dict[str, int] = {}
        self._lock = threading.RLock()

    # ---- the sink ---------------------------------------------------------------------------

    def read(self, name: str) -> bytes | None:
        with self._lock:
            return bytes(self._content[self._names[name]]) if name in self._names else None

    def names(self, prefix: str) -> Iterator[str]:
        below = f"{prefix}/" if prefix else ""
        with self._lock:
            found = {n[len(below) :].split("/")[0] for n in self._names if n.startswith(below)}
        yield from sorted(found)

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        with self._lock:
            file = self._new_file()
            self.write_to(file, 0, data)
            if sync:
                self.sync_file(file)
            self.give_name(name, file)

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> _TracedShard:
        with self._lock:
            file = self._new_file()
            if nbytes:
                self.resize(file, nbytes)
            if visible:
                self.give_name(name, file)
            return _TracedShard(self, file, name, visible)

    def open_shard(self, name: str) -> _TracedShard | None:
        with self._lock:
            file = self._names.get(name)
            return None if file is None else _TracedShard(self, file, name, True)

    def append(self, name: str, data: Bytes) -> None:
        with self._lock:
            if name not in self._names:
                self.give_name(name, self._new_file())
            file = self._names[name]
            self.write_to(file, len(self._content[file]), data)

    def commit(self, names: Iterable[str] = ()) -> None:
        with self._lock:
            for name in names:
                self.sync_file(self._names[name])
            self.events.append(_Event("sync names"))

    def remove(self, name: str) -> None:
        assert not name or name not in self._names, "a recording removes nothing that it made"

    def close(self) -> None:
        pass

    # ---- what is done to files --------------------------------------------------------------

    def _new_file(self) -> int:
        file = len(self._content)
        self._content[file] = bytearray()
        return file

    def write_to(self, file: int, offset: int, data: Bytes) -> None:
        with self._lock:
            view = bytes(as_view(data))
            content = self._content[file]
            content.extend(bytes(max(0, offset + len(view) - len(content))))
            content[offset : offset + len(view)] = view
            self.events.append(_Event("write", file, offset=offset, data=view))

    def resize(self, file: int, size: int) -> None:
        with self._lock:
            content = self._content[file]
            del content[size:]
            content.extend(bytes(size - len(content)))
            self.events.append(_Event("resize", file, size=size))

    def sync_file(self, file: int) -> None:
        with self._lock:
            self.events.append(_Event("sync", file))

    def give_name(self, name: str, file: int) -> None:
        with self._lock:
            self._names[name] = file
            self.events.append(_Event("name", file, name=name))

    def content_of(self, file: int) -> bytearray:
        return self._content[file]

    # ---- the loss of power ------------------------------------------------------------------

    def after_loss_of_power(self, cut: int, choose: Choose) -> dict[str, bytes]:
        """Return what is found by name when the power fails behind the first `cut` events."""
        files: dict[int, _Versions] = {}
        names: dict[str, list[int | None]] = {}
        for event in self.events[:cut]:
            if event.kind == "sync names":
                names = {name: versions[-1:] for name, versions in names.items()}
            elif event.kind == "name":
                names.setdefault(event.name, [None]).append(event.file)
            else:
                files.setdefault(event.file, _Versions()).apply(event)
        found = {}
        kept: dict[int, bytes] = {}
        for name, versions in names.items():
            file = versions[choose(len(versions))]
            if file is not None:
                if file not in kept:
                    kept[file] = files[file].pick(choose) if file in files else b""
                found[name] = kept[file]
        return found


@dataclass
class _TracedShard:
    """A shard's file."""

    disk: TracedDisk
    file: int
    name: str
    visible: bool

    def write_at(self, offset: int, data: Bytes) -> None:
        self.disk.write_to(self.file, offset, data)

    def read(self, offset: int, nbytes: int) -> bytes:
        return bytes(self.disk.content_of(self.file)[offset : offset + nbytes])

    def nbytes(self) -> int:
        return len(self.disk.content_of(self.file))

    def sync(self) -> None:
        self.disk.sync_file(self.file)

    def finish(self, nbytes: int, *, sync: bool) -> None:
        self.disk.resize(self.file, nbytes)
        if sync:
            self.sync()
        if not self.visible:
            self.disk.give_name(self.name, self.file)

    def discard(self) -> None:
        pass


class _Versions:
    """A file since its last sync: the sectors that were written, and its sizes, in each version."""

    def __init__(self) -> None:
        self._now = bytearray()
        self._sectors: dict[int, list[bytes]] = {}
        self._sizes = [0]
        self._base = b""

    def apply(self, event: _Event) -> None:
        """Take a write, a change of size, or a sync."""
        if event.kind == "sync":
            self._base, self._sectors, self._sizes = bytes(self._now), {}, [len(self._now)]
            return
        if event.kind == "resize":
            del self._now[event.size :]
            self._now.extend(bytes(event.size - len(self._now)))
        else:
            end = event.offset + len(event.data)
            self._now.extend(bytes(max(0, end - len(self._now))))
            self._now[event.offset : end] = event.data
            for sector in range(event.offset // SECTOR, -(-end // SECTOR)):
                span = slice(sector * SECTOR, (sector + 1) * SECTOR)
                before = self._base[span].ljust(SECTOR, b"\0")
                versions = self._sectors.setdefault(sector, [before])
                versions.append(bytes(self._now[span]).ljust(SECTOR, b"\0"))
        if len(self._now) != self._sizes[-1]:
            self._sizes.append(len(self._now))

    def pick(self, choose: Choose) -> bytes:
        """Return the bytes that are found."""
        size = self._sizes[choose(len(self._sizes))]
        content = bytearray(self._base[:size].ljust(size, b"\0"))
        for sector, versions in self._sectors.items():
            start = sector * SECTOR
            if start < size:
                content[start : start + SECTOR] = versions[choose(len(versions))]
        return bytes(content[:size])


def write_to_directory(found: dict[str, bytes], root: Path) -> None:
    """Store what was found as files."""
    for name, content in found.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
