"""What a stream knows of its store without asking it: `KnownStore`.

An array that is added to a stream after the store has failed must still find what the stream has
recorded: the groups that it goes into, and arrays that are in its way. So the metadata that went
into the store, or came from there, are remembered, and what lay in its root before. Where something
else had been stored before, nobody can tell whether a new array would damage it: that is refused.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.storage.names import ACQUIRE_JSON, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KnownStore"]


class KnownStore:
    """Metadata of one store by name, and the names that its root had when recording began.

    Parameters
    ----------
    url
        The store, for messages.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._documents: dict[str, bytes] = {}
        self._before: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def begin(self, names: Iterable[str]) -> None:
        """Note what lies directly in the store before the stream stores anything."""
        self._before = frozenset(names)

    def note(self, name: str, content: bytes) -> None:
        """Remember an object that is in the store, if it is metadata."""
        if name == ACQUIRE_JSON or name.rpartition("/")[2] in METADATA:
            with self._lock:
                self._documents[name] = content

    def read(self, name: str, reason: BaseException | None) -> bytes | None:
        """Return metadata, or None where there are certainly none.

        Raises
        ------
        StorageError
            Only the store, which has failed for that reason, could tell.
        """
        if (content := self._documents.get(name)) is None:
            self._check(name, reason)
        return content

    def names(self, prefix: str, reason: BaseException | None) -> set[str]:
        """Return the names directly below `prefix` that lead to metadata; errors as of `read`."""
        self._check(prefix, reason)
        start = f"{prefix}/" if prefix else ""
        with self._lock:
            found = [name for name in self._documents if name.startswith(start)]
        return {name[len(start) :].partition("/")[0] for name in found}

    def _check(self, name: str, reason: BaseException | None) -> None:
        """Raise if something had been stored there, or above it, before the stream began."""
        first = name.partition("/")[0]
        if first in self._before or (not name and self._before):
            raise StorageError(
                f"whether there is something at {name!r} cannot be told: {self._url} had "
                f"{first or 'something'!r} before this stream began, and fails now: {reason}. "
                "Record what is new under another key, or into another store"
            ) from reason
