"""A shard on its way into an object store: filled in order, sent in parts, visible when complete.

A shard that fits one part is stored by one request when it is finished. A longer one becomes an
upload in parts: each full part is sent while the next one fills, all of one size except the last
[1]_ (some services insist on that). Nobody sees anything of it before it is complete.

.. [1] https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.storage.objects.request_body import PartBody
from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from concurrent.futures import Future

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.parts import PartPool
    from aqz_core.storage.objects.service import Upload
    from aqz_core.storage.objects.unfinished import UnfinishedUploads
    from aqz_core.storage.sink import Bytes

__all__ = ["MultipartObject"]


class MultipartObject:
    """One object that is written from its start to its end.

    Parameters
    ----------
    connection
        The store.
    pool
        Memory for parts.
    unfinished
        Knows the uploads to clean up after.
    key
        Of the object.
    bound
        The most bytes it can have.
    part_nbytes
        Bytes of a part; `bound` where the store takes whole objects only.
    """

    def __init__(
        self,
        connection: Connection,
        pool: PartPool,
        unfinished: UnfinishedUploads,
        key: str,
        bound: int,
        part_nbytes: int,
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._unfinished = unfinished
        self._key = key
        self._part_nbytes = min(bound, part_nbytes)
        self._body: PartBody | None = None
        self._filled = 0
        self._sent_nbytes = 0
        self._begun: Future[Upload] | None = None
        self._parts: list[Future[object]] = []
        self._shown_nbytes = 0
        self._lock = threading.Lock()

    # ---- bytes in ---------------------------------------------------------------------------

    def write_at(self, offset: int, data: Bytes) -> None:
        """Add `data`; a gap before it becomes zeros.

        Raises
        ------
        StorageError
            `offset` lies before the end of what was written: that is sent already.
        """
        with self._lock:
            self._connection.check()
            position = self._sent_nbytes + self._filled
            if offset < position:
                raise StorageError(
                    f"object {self._key!r} of {self._connection.where} was to be written at "
                    f"{offset}, but {position} bytes of it are on their way already"
                )
            if offset > position:
                self._add(memoryview(bytes(offset - position)))
            self._add(as_view(data))

    def _add(self, data: memoryview) -> None:
        """Copy bytes into parts, and send those that are full when more is to come."""
        while data:
            if self._body is not None and self._filled == self._body.capacity:
                if self._connection.service.parts is not None:
                    self._send_part()
                else:
                    self._enlarge(len(data))
            if self._body is None:
                self._body = self._pool.take(self._part_nbytes)
            count = min(len(data), self._body.capacity - self._filled)
            self._body.fill(self._filled, data[:count])
            self._filled += count
            data = data[count:]

    def _enlarge(self, nbytes: int) -> None:
        """Find more memory for an object that is sent whole.

        Its bound holds for chunks that are stored once; those that a flush has to show half-full
        come again.
        """
        small = self._body
        assert small is not None
        body = self._pool.take(small.capacity + max(nbytes, small.capacity // 4))
        body.fill(0, memoryview(small)[: self._filled])
        self._pool.give_back(small, sent=False, clean=True)
        self._body = body

    def _send_part(self) -> None:
        """Begin to send the part that is being filled, and forget it here."""
        body, self._body = self._body, None
        assert body is not None
        body.length = self._filled
        self._sent_nbytes += self._filled
        self._filled = 0
        self._pool.send()
        try:
            part = self._connection.start(self._put_part(*self._next_part(), body))
        except BaseException:
            self._pool.give_back(body, sent=True, clean=False)
            raise
        self._parts.append(part)
        part.add_done_callback(lambda done: self._part_ended(done, body))

    def _next_part(self) -> tuple[Future[Upload], int]:
        """Return the upload and the number of its next part; begin it if need be.

        What an earlier upload has stored is copied into the new one inside of the store.
        """
        if self._begun is None:
            self._begun = self._connection.start(self._begin())
            for start in range(0, self._shown_nbytes, self._part_nbytes):
                copy = self._copy_part(self._begun, len(self._parts) + 1, start)
                part = self._connection.start(copy)
                self._parts.append(part)
                part.add_done_callback(self._copy_ended)
        return self._begun, len(self._parts) + 1

    def _part_ended(self, part: Future[object], body: PartBody) -> None:
        """Give a part's memory back; an error ends the whole recording."""
        error = None if part.cancelled() else part.exception()
        stored = error is None and not part.cancelled()
        self._pool.give_back(body, sent=True, clean=stored and body.attempts == 1)
        if error is not None:
            self._connection.fail(error)

    def _copy_ended(self, part: Future[object]) -> None:
        """End the whole recording if copying failed."""
        if not part.cancelled() and (error := part.exception()) is not None:
            self._connection.fail(error)

    # ---- requests ---------------------------------------------------------------------------

    async def _begin(self) -> Upload:
        """Start the upload."""
        service, key = self._connection.parts, self._key

        def attempt() -> Awaitable[Upload]:
            self._unfinished.expect(key)
            return service.begin(key)

        upload = await self._connection.request(attempt, f"starting the upload of {key!r}")
        self._unfinished.add(upload)
        return upload

    async def _put_part(self, begun: Future[Upload], number: int, body: PartBody) -> object:
        """Send a part once the upload has begun."""
        upload = await _result_of(begun)
        service = self._connection.parts

        def attempt() -> Awaitable[object]:
            body.attempts += 1
            return service.put_part(upload, number, body)

        what = f"uploading part {number} of {self._key!r}"
        return await self._connection.send(attempt, what, len(body))

    async def _copy_part(self, begun: Future[Upload], number: int, start: int) -> object:
        """Take a part from the object as it is shown now."""
        upload = await _result_of(begun)
        service = self._connection.parts
        stop = start + self._part_nbytes
        what = f"copying part {number} of {self._key!r}"
        return await self._connection.request(
            lambda: service.copy_part(upload, number, start, stop), what, nbytes=stop - start
        )

    # ---- the end ----------------------------------------------------------------------------

    def sync(self) -> None:
        """Do nothing: an object is safe when it is stored, and nothing is before."""

    def read(self, offset: int, nbytes: int) -> bytes:
        """Refuse: what was sent cannot be read before the object is complete."""
        raise StorageError(
            f"object {self._key!r} of {self._connection.where} is not complete; an object store "
            "cannot read parts of it back. Write planes in order, or raise max_memory."
        )

    def nbytes(self) -> int:
        """Return how many bytes were written."""
        return self._sent_nbytes + self._filled

    def show(self, tail: Bytes) -> None:
        """Store what was written so far, followed by `tail`, as an object; go on afterwards."""
        with self._lock:
            self._connection.check()
            kept, filled, sent = self._body, self._filled, self._sent_nbytes
            last = PartBody(filled + len(as_view(tail)))
            if kept is not None:
                last.fill(0, memoryview(kept)[:filled])
            last.fill(filled, as_view(tail))
            if not sent:
                self._put(last)
                return
            begun, number = self._next_part()
            part = self._connection.start(self._put_part(begun, number, last))
            self._parts.append(part)
            part.add_done_callback(self._copy_ended)
            self._complete(sent + len(last))
            self._begun, self._shown_nbytes = None, sent

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Store what is left and make the object visible; wait for it."""
        with self._lock:
            self._connection.check()
            if self.nbytes() != nbytes:
                raise StorageError(
                    f"object {self._key!r} of {self._connection.where} has {self.nbytes()} bytes, "
                    f"and {nbytes} were expected"
                )
            if not self._sent_nbytes:
                self._put_whole()
                return
            if self._body is not None:
                self._send_part()
            self._complete(nbytes)

    def _put_whole(self) -> None:
        """Store the object by one request."""
        body, self._body = self._body or self._pool.take(0), None
        body.length = self._filled
        self._sent_nbytes, self._filled = self._filled, 0
        self._pool.send()
        clean = False
        try:
            self._put(body)
            clean = body.attempts == 1
        finally:
            self._pool.give_back(body, sent=True, clean=clean)

    def _put(self, body: PartBody) -> None:
        """Store the object and wait for it."""
        connection, service, key = self._connection, self._connection.service, self._key

        def attempt() -> Awaitable[None]:
            body.attempts += 1
            return service.put(key, body)

        request = connection.send(attempt, f"storing {key!r}", len(body))
        try:
            connection.wait(connection.start(request))
        except BaseException as error:
            connection.fail(error)
            raise

    def _complete(self, nbytes: int) -> None:
        """Wait for all parts and put them together."""
        connection = self._connection
        assert self._begun is not None
        try:
            parts = [connection.wait(part) for part in self._parts]
            upload = connection.wait(self._begun)
            connection.wait(connection.start(self._put_together(upload, parts, nbytes)))
        except BaseException as error:
            connection.fail(error)
            raise
        self._unfinished.done(upload)
        self._parts.clear()

    async def _put_together(self, upload: Upload, parts: list[object], nbytes: int) -> None:
        """Complete the upload; if its answer was lost, see whether the object is there."""
        service = self._connection.parts
        attempts = 0

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            try:
                await service.complete(upload, parts)
            except Exception:
                if attempts > 1 and await service.size(upload.key) == nbytes:
                    return  # an attempt before this one went through
                raise

        await self._connection.request(attempt, f"completing the upload of {upload.key!r}")

    def discard(self) -> None:
        """Give up the object and throw away what was sent of it."""
        with self._lock:
            for part in self._parts:
                part.cancel()
            if self._body is not None:
                self._pool.give_back(self._body, sent=False, clean=True)
                self._body = None
            self._unfinished.abort([self._key])


async def _result_of(begun: Future[Upload]) -> Upload:
    """Wait in the loop for a future of another thread, without cancelling it."""
    return await asyncio.shield(asyncio.wrap_future(begun))
