"""The objects of a store below a URL, read through the connection that recordings go through.

The same credentials, deadlines, retries and messages as for a stream, but nothing is written: a
store can be checked with the permission to list and read alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.settings.location import S3_SCHEMES, is_local, s3_location
from aqz_core.settings.paths import url_scheme
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.objects.connection import Connection
from aqz_core.storage.objects.machine_lock import is_locked_on_this_machine
from aqz_core.storage.objects.place import place_of
from aqz_core.storage.objects.probe import opening_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.objects.service import Upload

__all__ = ["ObjectFiles", "open_objects"]


class ObjectFiles:
    """The objects below one prefix.

    Parameters
    ----------
    url, s3
        As ``store_path`` and ``s3`` of `StreamSettings`.

    Raises
    ------
    SettingsError
        Credentials, bucket, region or endpoint are wrong; the message says which.
    StorageError
        The service does not answer.
    """

    is_local = False
    reads_at_once = 8

    def __init__(self, url: str, s3: S3Settings | None) -> None:
        place = place_of(url, s3)
        self._given = url, s3
        self.url = place.url
        self.settings = StreamSettings(store_path=place.address, s3=s3)
        self._root = f"{place.prefix}/" if place.prefix else ""
        self._service = place.service
        self._connection = Connection(
            place.service, place.where, place.policy, place.in_flight, place.redaction
        )
        policy = opening_policy(place.policy)
        try:
            self._connection.open(policy)
            self._connection.call(
                lambda: self._service.list_page(self._root, deep=False, page=None),
                "listing the store",
                policy=policy,
            )
        except BaseException:
            self._connection.close()
            raise

    def find(self) -> Iterator[tuple[str, int]]:
        """Yield every object of the store."""
        found = False
        for page in self._connection.pages(self._root, deep=True):
            for key, nbytes in zip(page.keys, page.sizes, strict=True):
                name = key[len(self._root) :]
                # Some programs store an object for an empty directory; and a bucket takes names
                # that would lead out of a folder when a store is copied to a disk.
                if not key.endswith("/") and _is_inside(name):
                    found = True
                    yield name, nbytes
        if not found:
            raise StorageError(f"{self._connection.where}: nothing is stored there; is it a store?")

    def size(self, name: str) -> int | None:
        """Return the size of an object."""
        key = self._root + name
        return self._connection.call(lambda: self._service.size(key), f"asking for {name!r}")

    def read(self, name: str) -> bytes | None:
        """Return an object."""
        key = self._root + name
        return self._connection.call(lambda: self._service.get(key), f"reading {name!r}")

    def read_range(self, name: str, start: int, nbytes: int) -> bytes:
        """Return some bytes of an object."""
        key = self._root + name
        return self._connection.call(
            lambda: self._service.get_range(key, start, start + nbytes),
            f"reading {name!r}",
            nbytes=nbytes,
        )

    def check_inside(self) -> None:
        """Do nothing: there are no links among objects."""

    def unfinished(self) -> list[tuple[str, Callable[[], None]]]:
        """Return the uploads of objects of the store that have begun and not ended."""
        parts = self._service.parts
        if parts is None:
            return []
        uploads = self._connection.call(
            lambda: parts.uploads(self._root), "listing unfinished uploads"
        )
        return [(upload.key[len(self._root) :], partial(self._abort, upload)) for upload in uploads]

    def _abort(self, upload: Upload) -> None:
        """Throw away the parts of an object that was never completed."""
        self._connection.call(
            lambda: self._connection.parts.abort(upload), f"aborting an upload of {upload.key!r}"
        )

    def is_written(self) -> bool:
        """Return whether somebody on this machine writes the store; of others nobody knows."""
        return is_locked_on_this_machine(*self._given)

    def is_at(self, settings: StreamSettings) -> bool:
        """Return whether a URL, or a path in a bucket, names the same objects."""
        path, s3 = settings.store_path, settings.s3
        if is_local(path, s3):
            return False
        if s3 is not None or url_scheme(path) in S3_SCHEMES:
            return s3_location(path, s3).url == self.url
        return path.rstrip("/") == self.settings.store_path

    def close(self) -> None:
        """Let go of connections."""
        self._connection.close()


def _is_inside(name: str) -> bool:
    """Return whether a name is below the store, on a disk too."""
    return not {"", ".", ".."} & set(name.replace("\\", "/").split("/"))


def open_objects(url: str, s3: S3Settings | None) -> ObjectFiles:
    """Open the objects below a URL, or below a path in a bucket; errors as for `ObjectFiles`."""
    check_store(StreamSettings(store_path=url, s3=s3))
    return ObjectFiles(url, s3)
