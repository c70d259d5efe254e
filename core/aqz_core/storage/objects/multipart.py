"""A shard on its way into an object store: filled in order, sent in parts, visible when complete.

A shard that fits one part is stored by one request when it is finished. A longer one becomes an
upload in parts: each full part is sent while the next one fills, all of one size except the last
[1]_ (some services insist on that). Nobody sees anything of it before it is complete.

What was written so far can be *shown* before: it becomes an object together with a tail that only
this object has, chunks that lack planes and an index. The finished shard has nothing of the tail;
what of it was stored in parts by then is copied inside of the service.

.. [1] https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.storage.objects.part_sizes import COPY_NBYTES
from aqz_core.storage.objects.part_upload import PartUpload, ended, went_well
from aqz_core.storage.sink import as_view

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future
    from typing import Any

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.parts import PartPool
    from aqz_core.storage.objects.request_body import PartBody
    from aqz_core.storage.objects.unfinished import UnfinishedUploads
    from aqz_core.storage.sink import Bytes

__all__ = ["MultipartObject"]


@dataclass(slots=True)
class _Filling:
    """A run of bytes that is cut into parts: the last one is being filled.

    Attributes
    ----------
    body
        The part that is being filled.
    filled
        How many bytes are in it.
    sent_nbytes
        Bytes of the parts before it, which are on their way or stored.
    borrowed
        Whether the body belongs to the shard, and this run goes on behind the shard's bytes.
    """

    body: PartBody | None = None
    filled: int = 0
    sent_nbytes: int = 0
    borrowed: bool = False


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
        self._first_nbytes = min(bound, part_nbytes)
        self._part_nbytes = part_nbytes
        self._main = _Filling()
        self._tail: _Filling | None = None
        self._upload: PartUpload | None = None
        self._shown_nbytes = 0
        self._showing: Future[Any] | None = None
        self._loan: Future[Any] | None = None
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
            self._drop_tail()
            position = self.nbytes()
            if offset < position:
                raise StorageError(
                    f"object {self._key!r} of {self._connection.where} was to be written at "
                    f"{offset}, but {position} bytes of it are on their way already"
                )
            if offset > position:
                self._add(self._main, memoryview(bytes(offset - position)))
            self._add(self._main, as_view(data))

    def add_tail(self, data: Bytes) -> None:
        """Add to what the next `show` shows behind the bytes of the shard, and no other."""
        with self._lock:
            self._connection.check()
            self._add(self._tail_filling(), as_view(data))

    def _tail_filling(self) -> _Filling:
        """Return the tail, begun in the free memory of the part that is being filled."""
        if self._tail is None:
            self._take_back_loan()
            main = self._main
            self._tail = _Filling(main.body, main.filled, borrowed=main.body is not None)
        return self._tail

    def _add(self, filling: _Filling, data: memoryview) -> None:
        """Copy bytes into parts, and send those that are full when more is to come."""
        if filling is self._main:
            self._take_back_loan()
        while data:
            if filling.body is not None and filling.filled == filling.body.capacity:
                if filling.filled >= self._part_nbytes and self._connection.service.parts:
                    self._send_part(filling)
                else:
                    self._enlarge(filling, len(data))
            if filling.body is None:
                first = not self._main.sent_nbytes and not filling.sent_nbytes
                filling.body = self._pool.take(self._first_nbytes if first else self._part_nbytes)
            count = min(len(data), filling.body.capacity - filling.filled)
            filling.body.fill(filling.filled, data[:count])
            filling.filled += count
            data = data[count:]

    def _enlarge(self, filling: _Filling, nbytes: int) -> None:
        """Find more memory for a part: a tail may need what its shard's bound has no room for."""
        small = filling.body
        assert small is not None
        wanted = small.capacity + max(nbytes, small.capacity // 4)
        if self._connection.service.parts:
            wanted = min(wanted, self._part_nbytes)
        filling.body = self._copied(small, filling.filled, wanted)
        if not filling.borrowed:
            self._pool.give_back(small, sent=False, clean=True)
        filling.borrowed = False

    def _copied(self, body: PartBody, filled: int, capacity: int) -> PartBody:
        """Return other memory with the same beginning."""
        other = self._pool.take(capacity)
        other.fill(0, memoryview(body)[:filled])
        return other

    def _take_back_loan(self) -> None:
        """Make sure that the part that is being filled is not being sent as part of a tail."""
        loan, self._loan = self._loan, None
        body = self._main.body
        if loan is None or body is None:
            return
        if loan.done() and body.attempts == 1:
            body.renew()
            return
        self._pool.send()
        loan.add_done_callback(lambda _: self._pool.give_back(body, sent=True, clean=False))
        self._main.body = self._copied(body, self._main.filled, body.capacity)

    def _drop_tail(self) -> None:
        """Forget a tail that was begun and not shown: whoever asked for it was interrupted."""
        tail, self._tail = self._tail, None
        if tail is None:
            return
        if tail.body is not None and not tail.borrowed:
            self._pool.give_back(tail.body, sent=False, clean=True)
        if self._upload is not None and tail.sent_nbytes:
            self._upload.drop_after(self._main.sent_nbytes)

    # ---- parts out --------------------------------------------------------------------------

    def _send_part(self, filling: _Filling) -> None:
        """Begin to send the part that is being filled, and forget it there."""
        upload = self._current_upload()
        body = filling.body
        assert body is not None
        body.length = filling.filled
        filling.sent_nbytes += filling.filled
        if filling.borrowed:
            self._loan = upload.lend(body)
        else:
            upload.send(body)
        filling.body, filling.filled, filling.borrowed = None, 0, False

    def _current_upload(self) -> PartUpload:
        """Return the upload that parts go to; begin it if need be.

        What is shown of the shard, in parts, is copied into it inside of the store.
        """
        if self._upload is None:
            step = self._part_nbytes
            if not self._connection.parts.equal_parts:
                step *= max(1, COPY_NBYTES // step)
            self._upload = PartUpload(
                self._connection, self._pool, self._unfinished, self._key, self._showing
            )
            for start in range(0, self._shown_nbytes, step):
                self._upload.copy(start, min(start + step, self._shown_nbytes))
        return self._upload

    # ---- what readers see -------------------------------------------------------------------

    def show(self, tail: Bytes) -> Callable[[], None]:
        """Begin to store what was written so far, and the tail that `tail` ends, as an object.

        Returns
        -------
        callable
            Waits until readers see it.
        """
        with self._lock:
            self._connection.check()
            filling = self._tail_filling()
            self._add(filling, as_view(tail))
            self._tail = None
            if not self._main.sent_nbytes and not filling.sent_nbytes:
                shown = self._show_whole(filling)
            else:
                self._send_part(filling)
                upload, self._upload = self._current_upload(), None
                nbytes = self._main.sent_nbytes + filling.sent_nbytes
                shown = self._connection.start(upload.put_together(nbytes))
                self._shown_nbytes = self._main.sent_nbytes
            shown.add_done_callback(self._connection.fail_with)
            self._showing = shown
        return partial(self._connection.wait, shown)

    def _show_whole(self, filling: _Filling) -> Future[None]:
        """Begin to store one part as the whole object."""
        body = filling.body
        assert body is not None
        body.length = filling.filled
        storing = self._put(body, self._showing)
        if filling.borrowed:
            shown = self._connection.start(storing)
            self._loan = shown
            return shown
        return self._start_last(storing, body)

    def _start_last(self, storing: Any, body: PartBody) -> Future[None]:
        """Start a request after which the memory of its body comes free."""
        self._pool.send()
        try:
            stored = self._connection.start(storing)
        except BaseException:
            self._pool.give_back(body, sent=True, clean=False)
            raise
        stored.add_done_callback(
            lambda done: self._pool.give_back(body, sent=True, clean=went_well(done, body))
        )
        return stored

    async def _put(self, body: PartBody, after: Future[Any] | None) -> None:
        """Store the object by one request, after an earlier one for the same object."""
        await ended(after)
        service, key = self._connection.service, self._key

        def attempt() -> Awaitable[None]:
            body.attempts += 1
            return service.put(key, body)

        await self._connection.send(attempt, f"storing {key!r}", len(body))

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
        return self._main.sent_nbytes + self._main.filled

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Store what is left and make the object visible; wait for it."""
        with self._lock:
            connection, main = self._connection, self._main
            connection.check()
            self._drop_tail()
            if self.nbytes() != nbytes:
                raise StorageError(
                    f"object {self._key!r} of {connection.where} has {self.nbytes()} bytes, "
                    f"and {nbytes} were expected"
                )
            self._take_back_loan()
            if main.sent_nbytes:
                if main.body is not None:
                    self._send_part(main)
                stored = connection.start(self._current_upload().put_together(nbytes))
                self._upload = None
            else:
                body, main.body = main.body or self._pool.take(0), None
                body.length = main.filled
                main.sent_nbytes, main.filled = main.filled, 0
                stored = self._start_last(self._put(body, self._showing), body)
            try:
                connection.wait(stored)
            except BaseException as error:
                connection.fail(error)
                raise

    def discard(self) -> None:
        """Give up the object and throw away what was sent of it."""
        with self._lock:
            self._drop_tail()
            if self._upload is not None:
                self._upload.cancel()
            if self._main.body is not None:
                self._pool.give_back(self._main.body, sent=False, clean=self._loan is None)
                self._main.body = None
            self._unfinished.abort([self._key])
