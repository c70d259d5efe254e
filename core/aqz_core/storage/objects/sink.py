"""Storing in an object store: Amazon S3 and its like, and whatever else fsspec reaches.

Objects cannot be changed once they are there. A shard is filled in order (`MultipartObject`) and
becomes visible when it is complete; metadata are replaced whole. An object that was stored is
safe: there is nothing to flush.

The packages that do the talking are imported when a store is opened, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError
from aqz_core.storage.objects.part_sizes import PART_NBYTES, part_size
from aqz_core.storage.objects.place import place_of
from aqz_core.storage.objects.service import ClaimService
from aqz_core.storage.sink import Sink, as_view
from aqz_core.storage.whole_logs import WholeLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.objects.lease import Lease
    from aqz_core.storage.objects.multipart import MultipartObject
    from aqz_core.storage.objects.place import ObjectLocation
    from aqz_core.storage.sink import Bytes

__all__ = ["ObjectStoreSink", "open_objects"]

DEFAULT_MEMORY = 256 << 20
"""Bytes that parts may take unless the stream says how many."""

BATCH = 1000
"""Objects that one request may delete."""

MAX_SMALL_NBYTES = 256 << 10
"""Objects up to this size are metadata, or cost no more memory than such."""


class ObjectStoreSink(Sink):
    """A store in an object store.

    Parameters
    ----------
    place
        Where it is, with the service that reaches it, not opened yet.

    Raises
    ------
    SettingsError, StorageError
        The store cannot be used; the message says why.
    """

    random_access = False

    def __init__(self, place: ObjectLocation) -> None:
        from aqz_core.storage.objects.connection import Connection
        from aqz_core.storage.objects.lease import LOCK_SUFFIX
        from aqz_core.storage.objects.parts import PartPool
        from aqz_core.storage.objects.probe import probe
        from aqz_core.storage.objects.unfinished import UnfinishedUploads

        self.url = place.url
        self._root = f"{place.prefix}/" if place.prefix else ""
        self._connection = Connection(
            place.service, place.where, place.policy, place.in_flight, place.redaction
        )
        self._service = place.service
        self._prefix = place.prefix
        self._pool = PartPool(DEFAULT_MEMORY, self._connection.check)
        self._unfinished = UnfinishedUploads(self._connection)
        self._logs = WholeLogs()
        self._lock_suffix = LOCK_SUFFIX
        self._lease: Lease | None = None
        try:
            probe(self._connection, self._root, self._unfinished)
        except BaseException:
            self._connection.close()
            raise

    def claim(self) -> None:
        """Keep other machines from the store, where its service takes requests with conditions."""
        from aqz_core.storage.objects.lease import Lease

        if isinstance(self._service, ClaimService):
            self._lease = Lease(self._connection, self._service, self.url, self._prefix)

    def set_part_memory(self, nbytes: int) -> None:
        """Set how many bytes parts may take, being filled and sent together."""
        self._pool.capacity = nbytes

    @property
    def peak_part_nbytes(self) -> int:
        """Most bytes that parts took at once."""
        return self._pool.peak

    # ---- reading ----------------------------------------------------------------------------

    def read(self, name: str) -> bytes | None:
        """Return an object, or None when there is none."""
        key = self._root + name
        return self._connection.call(lambda: self._service.get(key), f"reading {name!r}")

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below `prefix`."""
        start = f"{self._root}{prefix}/" if prefix else self._root
        for page in self._connection.pages(start, deep=False):
            for key in (*page.keys, *page.groups):
                name = key[len(start) :]
                if name and not name.endswith(self._lock_suffix):
                    yield name

    # ---- writing ----------------------------------------------------------------------------

    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        """Store or replace an object; what is longer than a part goes in parts."""
        view = as_view(data)
        if len(view) <= MAX_SMALL_NBYTES:
            self._write_small(name, view)
            return
        growing = self.create_shard(name, len(view), visible=False)
        growing.write_at(0, view)
        growing.finish(len(view), sync=sync)

    def _write_small(self, name: str, content: memoryview) -> None:
        """Store metadata; after a failure too, if the store still answers, so that they are right.

        Their memory is not counted, and does not drive larger pieces out of the pool.
        """
        from aqz_core.storage.objects.request_body import PartBody

        key = self._root + name
        body = PartBody(len(content))
        body.fill(0, content)
        connection, put = self._connection, self._service.put
        if connection.error is None:
            connection.call(lambda: put(key, body), f"storing {name!r}", nbytes=len(body))
        elif not connection.tidy(lambda: put(key, body)):
            connection.check()

    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> MultipartObject:
        """Start an object of at most `nbytes` bytes."""
        from aqz_core.storage.objects.multipart import MultipartObject

        bound = PART_NBYTES * 1000 if nbytes is None else nbytes
        part_nbytes = part_size(bound) if self._service.parts is not None else bound
        key = self._root + name
        return MultipartObject(
            self._connection, self._pool, self._unfinished, key, bound, part_nbytes
        )

    def open_shard(self, name: str) -> None:
        """Return None: an object that is stored takes no more bytes."""
        return

    def append(self, name: str, data: Bytes) -> None:
        """Add to a log, which is stored as a whole by `commit` and `close`."""
        before = b"" if name in self._logs else self.read(name) or b""  # may take its time
        self._logs.add(name, data, before)

    def commit(self, names: Iterable[str] = ()) -> None:
        """Store the logs; everything else is safe since it was stored."""
        for name, content in self._logs.take_unsaved():
            self.write(name, content, sync=True)

    # ---- deleting ---------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        """Delete an object and everything below it, and abort what is being uploaded there.

        Raises
        ------
        SettingsError
            It is the root of a bucket: other people's data may be there.
        """
        if not name and not self._root:
            raise SettingsError(
                f"{self.url} is the root of a bucket, which overwrite=True would empty; give the "
                "store a name of its own in the bucket"
            )
        if name:
            self._delete([self._root + name])
        below = f"{self._root}{name}/" if name else self._root
        for page in self._connection.pages(below, deep=True):
            for first in range(0, len(page.keys), BATCH):
                self._delete(page.keys[first : first + BATCH])
        self._abort_uploads(below, lambda _: True)

    def _delete(self, keys: Sequence[str]) -> None:
        """Delete up to 1000 objects."""
        what = f"deleting {len(keys)} objects"
        # a service that deletes them one by one needs its time
        self._connection.call(lambda: self._service.delete(keys), what, nbytes=len(keys) * 50_000)

    def abort_unfinished(self, ours: Callable[[str], bool]) -> None:
        """Abort uploads that never ended of the objects that are `ours` by name; never raises."""
        self._abort_uploads(self._root, ours)

    def _abort_uploads(self, prefix: str, ours: Callable[[str], bool]) -> None:
        """Abort unfinished uploads of keys that start with a prefix and are `ours` by name."""
        parts = self._service.parts
        if parts is None:
            return

        async def abort() -> None:
            for upload in await parts.uploads(prefix):
                if ours(upload.key[len(self._root) :]):
                    await parts.abort(upload)

        self._connection.tidy(abort)

    # ---- the end ----------------------------------------------------------------------------

    def give_up(self, error: BaseException) -> None:
        """Drop what is under way; every further call fails with this error."""
        self._connection.fail(error)

    def close(self) -> None:
        """Store the logs, abort what was not completed and let go of connections."""
        try:
            if self._connection.error is None:
                self.commit()
        finally:
            self._unfinished.abort()
            if self._lease is not None:
                self._lease.release()
            self._connection.close()
            self._pool.drop()


def open_objects(url: str, settings: StreamSettings) -> ObjectStoreSink:
    """Open a store in a bucket, or where else fsspec reaches; who writes there has its lock."""
    return ObjectStoreSink(place_of(url, settings.s3))
