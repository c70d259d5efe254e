"""Uploads in parts that were begun and not completed: the ones to abort when a recording fails.

Parts of an upload that never ends are kept, and charged for, until somebody aborts it. Only
uploads that this sink began are touched: it knows their identifiers. Where the answer to the
beginning of one was lost, it looks for uploads of that very key.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.service import Upload

__all__ = ["UnfinishedUploads"]

_log = logging.getLogger("aqz")


class UnfinishedUploads:
    """The uploads of one sink that have not ended.

    Parameters
    ----------
    connection
        The store.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._begun: dict[str, Upload] = {}
        self._requests: dict[str, int] = {}
        self._doubtful: set[str] = set()
        self._lock = threading.Lock()

    def expect(self, key: str) -> None:
        """Note that an upload of `key` is being requested."""
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1

    def add(self, upload: Upload) -> None:
        """Note an upload that has begun."""
        with self._lock:
            self._begun[upload.key] = upload

    def done(self, upload: Upload) -> None:
        """Note that an upload was completed."""
        with self._lock:
            self._begun.pop(upload.key, None)
            if self._requests.pop(upload.key, 0) > 1:  # one of them may have begun a second one
                self._doubtful.add(upload.key)

    def abort(self, keys: Iterable[str] | None = None) -> None:
        """Abort the uploads of some keys, or of all; briefly, and without raising."""
        with self._lock:
            chosen = list(self._requests) if keys is None else list(keys)
            uploads = [self._begun[key] for key in chosen if key in self._begun]
            for key in chosen:
                begun = self._begun.pop(key, None) is not None
                if self._requests.pop(key, 0) > begun:
                    self._doubtful.add(key)
            doubtful: set[str] = set()
            if keys is None:
                doubtful, self._doubtful = self._doubtful, set()
        if not uploads and not doubtful:
            return
        if not self._connection.tidy(lambda: self._abort(uploads, doubtful)):
            _log.warning(
                "%d uploads to %s could not be aborted. Their parts take room until they are: a "
                "rule of the bucket that ends incomplete uploads after some days cleans up.",
                len(uploads) + len(doubtful),
                self._connection.where,
            )

    async def _abort(self, uploads: list[Upload], doubtful: set[str]) -> None:
        """Abort known uploads, and those of keys whose identifier never arrived."""
        service = self._connection.parts
        await asyncio.gather(*(service.abort(upload) for upload in uploads))
        for key in sorted(doubtful):
            for upload in await service.uploads(key):
                if upload.key == key:
                    await service.abort(upload)
