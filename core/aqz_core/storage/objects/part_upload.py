"""One upload in parts: parts that are sent or copied, and their becoming an object.

The memory of a part that was stored stays as it is until the pool needs it. If the service then
says that it knows nothing of the upload, as some do after a restart, all parts are sent once more.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
from aqz_core.storage.objects.faults import fault_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.parts import PartPool
    from aqz_core.storage.objects.request_body import PartBody
    from aqz_core.storage.objects.service import Upload
    from aqz_core.storage.objects.unfinished import UnfinishedUploads

__all__ = ["ForgottenUploadError", "PartUpload", "ended", "went_well"]


class ForgottenUploadError(StorageError):
    """The service does not know an upload that it had begun."""


@dataclass(frozen=True, slots=True)
class _SentPart:
    """A part from memory, which may have been used again since."""

    body: PartBody
    nbytes: int
    lease: int


@dataclass(frozen=True, slots=True)
class _CopiedPart:
    """A part from the object that is stored under the same key."""

    start: int
    nbytes: int


class PartUpload:
    """An upload that takes parts in order.

    Parameters
    ----------
    connection, pool, unfinished, key
        As for `MultipartObject`.
    after
        A request for the same object that has to end before this upload begins.
    """

    def __init__(
        self,
        connection: Connection,
        pool: PartPool,
        unfinished: UnfinishedUploads,
        key: str,
        after: Future[Any] | None,
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._unfinished = unfinished
        self._key = key
        self._begun = connection.start(self._begin(after))
        self._begun.add_done_callback(connection.fail_with)
        self._parts: list[_SentPart | _CopiedPart] = []
        self._stored: list[Future[object]] = []
        self._dropped: list[Future[object]] = []

    # ---- parts ------------------------------------------------------------------------------

    def send(self, body: PartBody) -> None:
        """Begin to send a part, whose memory comes free after that."""
        self._pool.send()
        try:
            stored = self._start(_SentPart(body, len(body), body.lease))
        except BaseException:
            self._pool.give_back(body, sent=True, clean=False)
            raise
        stored.add_done_callback(
            lambda done: self._pool.give_back(body, sent=True, clean=went_well(done, body))
        )

    def lend(self, body: PartBody) -> Future[object]:
        """Begin to send a part whose memory stays with the caller, who waits for the result."""
        return self._start(_SentPart(body, len(body), body.lease))

    def copy(self, start: int, stop: int) -> None:
        """Take a part from the object that is shown under the same key."""
        self._start(_CopiedPart(start, stop - start))

    def drop_after(self, nbytes: int) -> None:
        """Forget the parts behind the first `nbytes`; others get their numbers."""
        end, kept = 0, 0
        while kept < len(self._parts) and end < nbytes:
            end += self._parts[kept].nbytes
            kept += 1
        self._dropped += self._stored[kept:]
        del self._parts[kept:], self._stored[kept:]

    def _start(self, part: _SentPart | _CopiedPart) -> Future[object]:
        """Begin to store a part."""
        number = len(self._parts) + 1
        storing = self._store(part, number, tuple(self._dropped))
        stored = self._connection.start(storing)
        stored.add_done_callback(self._connection.fail_with)
        self._parts.append(part)
        self._stored.append(stored)
        return stored

    def cancel(self) -> None:
        """Stop sending."""
        for stored in self._stored:
            stored.cancel()

    # ---- requests ---------------------------------------------------------------------------

    async def _begin(self, after: Future[Any] | None) -> Upload:
        """Start the upload."""
        await ended(after)
        service, key = self._connection.parts, self._key

        def attempt() -> Awaitable[Upload]:
            self._unfinished.expect(key)
            return service.begin(key)

        upload = await self._connection.request(attempt, f"starting the upload of {key!r}")
        self._unfinished.add(upload)
        return upload

    async def _store(
        self, part: _SentPart | _CopiedPart, number: int, dropped: tuple[Future[object], ...]
    ) -> object:
        """Store a part once the upload has begun; None if the service has forgotten that.

        A part that takes the number of one that was dropped comes after it.
        """
        for other in dropped:
            await ended(other)
        upload = await asyncio.shield(asyncio.wrap_future(self._begun))
        with contextlib.suppress(ForgottenUploadError):
            return await self._request(upload, part, number)
        return None

    async def _request(self, upload: Upload, part: _SentPart | _CopiedPart, number: int) -> object:
        """Send or copy a part."""
        service = self._connection.parts
        if isinstance(part, _CopiedPart):
            stop = part.start + part.nbytes
            return await self._connection.request(
                _or_forgotten(lambda: service.copy_part(upload, number, part.start, stop)),
                f"copying part {number} of {self._key!r}",
                nbytes=part.nbytes,
            )
        body = part.body

        def attempt() -> Awaitable[object]:
            body.attempts += 1
            return service.put_part(upload, number, body)

        what = f"uploading part {number} of {self._key!r}"
        return await self._connection.send(_or_forgotten(attempt), what, part.nbytes)

    # ---- the end ----------------------------------------------------------------------------

    async def put_together(self, nbytes: int) -> None:
        """Make an object of `nbytes` bytes of all parts that were given, when they are stored."""
        parts, stored = tuple(self._parts), tuple(self._stored)
        upload = await asyncio.shield(asyncio.wrap_future(self._begun))
        found = [await asyncio.shield(asyncio.wrap_future(one)) for one in stored]
        try:
            await self._complete(upload, found, nbytes)
        except ForgottenUploadError as error:
            self._unfinished.done(upload)
            upload = await self._once_more(parts, nbytes, error)
        self._unfinished.done(upload)

    async def _complete(self, upload: Upload, parts: list[object], nbytes: int) -> None:
        """Complete the upload; if its answer was lost, see whether the object is there."""
        if None in parts:
            raise ForgottenUploadError("a part was refused")
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

        what = f"completing the upload of {self._key!r}"
        await self._connection.request(_or_forgotten(attempt), what)

    async def _once_more(
        self, parts: tuple[_SentPart | _CopiedPart, ...], nbytes: int, error: BaseException
    ) -> Upload:
        """Begin a second upload and send everything again, if it is all still in memory."""
        sent = [part for part in parts if isinstance(part, _SentPart)]
        if not self._pool.reclaim([(part.body, part.lease) for part in sent]):
            raise StorageError(
                f"the service {self._connection.where} has forgotten the upload of {self._key!r}, "
                "and some of its parts are no longer in memory. A folder given as spill keeps "
                "them; smaller shards or a larger max_memory help too."
            ) from error
        try:
            for part in sent:
                part.body.length = part.nbytes
            upload = await self._begin(None)
            found = await asyncio.gather(
                *(self._request(upload, part, number + 1) for number, part in enumerate(parts))
            )
            await self._complete(upload, list(found), nbytes)
        finally:
            for part in sent:
                self._pool.give_back(part.body, sent=True, clean=False)
        return upload


def _or_forgotten(attempt: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Return an attempt that says so if the service does not know the upload."""

    async def asked() -> Any:
        try:
            return await attempt()
        except Exception as error:
            if fault_of(error).kind == "no-upload":
                raise ForgottenUploadError(str(error)) from error
            raise

    return asked


def went_well(done: Future[Any], body: PartBody) -> bool:
    """Return whether the first attempt to send a body succeeded: then nobody reads it any more."""
    return not done.cancelled() and done.exception() is None and body.attempts == 1


async def ended(before: Future[Any] | None) -> None:
    """Wait in the loop until an earlier request has ended; its errors are told elsewhere."""
    if before is not None:
        with contextlib.suppress(Exception):
            await asyncio.shield(asyncio.wrap_future(before))
