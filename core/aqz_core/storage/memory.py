"""A store in a dictionary: for tests, and for programs that pass a recording on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

from aqz_core.storage.sink import Sink, as_view

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aqz_core.storage.sink import Bytes

__all__ = ["MemorySink"]


class MemorySink(Sink):
    """Objects in ``objects``, a dictionary of names to bytes."""

    random_access = True

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self.objects: dict[str, bytes | bytearray] = {}
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes | None:
        """Return an object's bytes, or None."""
        data = self.objects.get(name)
        return None if data is None else bytes(data)

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the first part of every name below `prefix`."""
        below = f"{prefix}/" if prefix else ""
        yield from sorted(
            {name[len(below) :].split("/")[0] for name in self.objects if name.startswith(below)}
        )

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        """Keep a copy of `data`."""
        self.objects[name] = bytes(as_view(data))

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> _ShardInMemory:
        """Start a shard as an array of bytes."""
        shard = _ShardInMemory(self, name, bytearray(nbytes or 0))
        if visible:
            self.objects[name] = shard.content
        return shard

    def open_shard(self, name: str) -> _ShardInMemory | None:
        """Resume a shard."""
        content = self.objects.get(name)
        return None if content is None else _ShardInMemory(self, name, bytearray(content))

    def append(self, name: str, data: Bytes) -> None:
        """Add to an object."""
        with self._lock:
            self.objects[name] = bytes(self.objects.get(name, b"")) + bytes(as_view(data))

    def commit(self, names: Iterable[str] = ()) -> None:
        """Do nothing: memory survives no loss of power."""

    def remove(self, name: str) -> None:
        """Forget an object and everything below it."""
        with self._lock:
            for other in list(self.objects):
                if not name or other == name or other.startswith(f"{name}/"):
                    del self.objects[other]


class _ShardInMemory:
    """A growing array of bytes."""

    __slots__ = ("_lock", "_name", "_sink", "content")

    def __init__(self, sink: MemorySink, name: str, content: bytearray) -> None:
        self._sink = sink
        self._name = name
        self._lock = threading.Lock()
        self.content = content

    def write_at(self, offset: int, data: Bytes) -> None:
        """Copy `data` to `offset`, growing as needed."""
        view = as_view(data)
        with self._lock:
            missing = offset + len(view) - len(self.content)
            if missing > 0:
                self.content.extend(bytes(missing))
            self.content[offset : offset + len(view)] = view

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return bytes of the shard."""
        with self._lock:
            return bytes(self.content[offset : offset + nbytes])

    def nbytes(self) -> int:
        """Return its size."""
        return len(self.content)

    def add_tail(self, data: Bytes) -> None:
        """Refuse; see `show`."""
        self.show(data)

    def show(self, tail: Bytes) -> NoReturn:
        """Refuse: what can be written at any place needs nothing behind its end."""
        raise AssertionError("shards in memory are shown by their own index")

    def sync(self) -> None:
        """Do nothing: memory survives no loss of power."""

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Cut to size and make visible."""
        with self._lock:
            del self.content[nbytes:]
        self._sink.objects[self._name] = self.content

    def discard(self) -> None:
        """Do nothing: what was visible stays."""
