"""What a store is by now: its nodes, surveyed again while a recording adds to them."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.files import open_files
from aqz_core.reading.survey import survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.reading.node import Node
    from aqz_core.settings.s3 import S3Settings

__all__ = ["StoreView"]

_LEAST_SECONDS = 0.1
"""A store is surveyed again no sooner, and no sooner than it takes."""
_DESERTED_SECONDS = 5.0
"""The same for one whose recording has not ended and that nobody writes: it may be resumed."""

_OPEN: weakref.WeakValueDictionary[tuple[str, str], StoreView] = weakref.WeakValueDictionary()
"""Views that were unpickled: the tasks of a worker share one of each store."""


class StoreView:
    """A store that may still be recorded.

    It can be pickled: whoever unpickles it opens the store anew.

    Parameters
    ----------
    store, s3, plugins
        As for `open_dataset`.

    Raises
    ------
    SettingsError
        The store cannot be reached like that.
    StorageError
        There is no such store, or it cannot be read.
    """

    def __init__(
        self, store: str | os.PathLike[str], s3: S3Settings | None, plugins: Iterable[object]
    ) -> None:
        self._given = store, s3, tuple(plugins)
        self.files: StoredFiles = open_files(store, s3)
        self.providers: Mapping[str, CodecProvider] = create_plugin_manager(plugins).codecs()
        self._lock = threading.Lock()
        # Connections end with the view: few people close what they only read.
        self._closing = weakref.finalize(self, self.files.close)
        try:
            self._survey()
        except BaseException:
            self.close()
            raise

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _reopened, self._given

    @property
    def url(self) -> str:
        """Where the store is, without a password."""
        return self.files.url

    def nodes(self) -> Mapping[str, Node]:
        """Return the nodes by name: as they were found last, or as they are if that may differ."""
        with self._lock:
            if self.recording and time.monotonic() >= self._next:
                self._survey()
            return self._nodes

    @property
    def recording(self) -> bool:
        """Whether a node said, when it was surveyed, that its recording goes on."""
        return any(node.aqz.get("state") == "recording" for node in self._nodes.values())

    def is_deserted(self) -> bool:
        """Return whether nobody writes the store, and what is known of it is from after that.

        Of an object store nobody can tell: it never is.
        """
        if not self.files.is_local or self.files.is_written():
            return False
        with self._lock:
            if not self.idle:
                self._survey()
            return self.idle

    def _survey(self) -> None:
        """Find out what is stored."""
        began = time.monotonic()
        idle = not self.files.is_written()
        nodes = {node.name: node for node in survey(self.files)}
        if not any(node.has_metadata for node in nodes.values()):
            raise StorageError(f"{self.files.url}: there is no Zarr store; is it the path of one?")
        self._nodes: Mapping[str, Node] = nodes
        self.idle = idle
        ended = time.monotonic()
        is_deserted = idle and self.files.folder is not None
        least = _DESERTED_SECONDS if is_deserted else _LEAST_SECONDS
        self._next = ended + max(least, ended - began)

    def close(self) -> None:
        """Let go of connections."""
        self._closing()


def _reopened(
    store: str | os.PathLike[str], s3: S3Settings | None, plugins: tuple[object, ...]
) -> StoreView:
    """Return the view of a store in the process that unpickles it."""
    key = os.fspath(store), repr(s3)
    found = None if plugins else _OPEN.get(key)
    if found is None:
        found = StoreView(store, s3, plugins)
        if not plugins:
            _OPEN[key] = found
    return found
