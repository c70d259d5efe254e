"""A store in one SQLite file: an object is a row.

Shards are kept in memory until they are synchronised or finished, so that this is for small
recordings; what matters here is which methods there are.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aqz_core import Sink, SinkProvider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA = "CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, data BLOB NOT NULL)"


class SqliteSink(Sink):
    """Objects in the table ``objects``."""

    random_access = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()  # every method may be called from any thread
        self._database = sqlite3.connect(urlsplit(url).path, check_same_thread=False)
        self._run(SCHEMA)

    def read(self, name: str) -> bytes | None:
        """Return an object, or None."""
        rows = self._run("SELECT data FROM objects WHERE name = ?", name)
        return bytes(rows[0][0]) if rows else None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below `prefix`."""
        below = f"{prefix}/" if prefix else ""
        rows = self._run("SELECT name FROM objects WHERE substr(name, 1, ?) = ?", len(below), below)
        yield from sorted({name[len(below) :].split("/")[0] for (name,) in rows})

    def write(self, name: str, data: Any, *, sync: bool) -> None:
        """Replace an object; SQLite makes that all or nothing."""
        self._run("REPLACE INTO objects VALUES (?, ?)", name, bytes(memoryview(data).cast("B")))

    def append(self, name: str, data: Any) -> None:
        """Add to an object."""
        self.write(name, (self.read(name) or b"") + bytes(data), sync=False)

    def commit(self, names: Iterable[str] = ()) -> None:
        """Do nothing: every statement is committed at once."""

    def remove(self, name: str) -> None:
        """Delete an object and what is below it."""
        below = f"{name}/" if name else ""
        self._run(
            "DELETE FROM objects WHERE name = ? OR substr(name, 1, ?) = ?", name, len(below), below
        )

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> SqliteShard:
        """Start a shard."""
        return SqliteShard(self, name, bytearray(nbytes or 0), visible=visible)

    def open_shard(self, name: str) -> SqliteShard | None:
        """Resume a shard."""
        data = self.read(name)
        return None if data is None else SqliteShard(self, name, bytearray(data), visible=True)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows. `sqlite3.Error` is not an `OSError`."""
        try:
            with self._lock, self._database:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise OSError(f"{self.url}: {error}") from error


class SqliteShard:
    """A shard that grows in memory."""

    def __init__(self, sink: SqliteSink, name: str, content: bytearray, *, visible: bool) -> None:
        self._sink = sink
        self._name = name
        self._content = content
        self._visible = visible
        self._lock = threading.Lock()

    def write_at(self, offset: int, data: Any) -> None:
        """Put bytes at a place."""
        view = memoryview(data).cast("B")
        with self._lock:
            missing = offset + len(view) - len(self._content)
            self._content.extend(bytes(max(missing, 0)))
            self._content[offset : offset + len(view)] = view

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return bytes that were written."""
        with self._lock:
            return bytes(self._content[offset : offset + nbytes])

    def nbytes(self) -> int:
        """Return the size."""
        return len(self._content)

    def sync(self) -> None:
        """Store what is there, if readers may see it."""
        if self._visible:
            self._sink.write(self._name, self.read(0, self.nbytes()), sync=True)

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Cut to size and store."""
        self._sink.write(self._name, self.read(0, nbytes), sync=sync)

    def discard(self) -> None:
        """Forget the shard; nobody has seen it."""

    def add_tail(self, data: Any) -> None:
        """Refuse: only sinks without random access are asked."""
        raise NotImplementedError

    def show(self, tail: Any) -> Any:
        """Refuse, likewise."""
        raise NotImplementedError


PROVIDER = SinkProvider(("sqlite",), lambda url, settings: SqliteSink(url), storage="random")
