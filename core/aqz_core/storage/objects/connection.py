"""Requests to an object store from plain threads: repeated, bounded in number, explained."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from aqz_core.errors import AqzError, StorageError
from aqz_core.storage.objects.event_loop import EventLoopThread
from aqz_core.storage.objects.retry import RetryPolicy, repeat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from concurrent.futures import Future
    from typing import Any

    from aqz_core.storage.objects.redaction import Redaction
    from aqz_core.storage.objects.service import Listing, ObjectService, PartService

__all__ = ["Connection"]

T = TypeVar("T")

CLOSING_SECONDS = 5.0
"""How long tidying up may take when the store does not answer any more."""


class Connection:
    """An object service with its event loop, its retries and its first error.

    Parameters
    ----------
    service
        Not opened yet.
    where
        The store, for messages.
    policy
        How long requests may take.
    in_flight
        How many bodies are sent at once.
    redaction
        Takes secrets out of errors.
    """

    def __init__(
        self,
        service: ObjectService,
        where: str,
        policy: RetryPolicy,
        in_flight: int,
        redaction: Redaction | None = None,
    ) -> None:
        self.service = service
        self.where = where
        self.policy = policy
        self._redaction = redaction
        self.error: AqzError | None = None
        self._loop = EventLoopThread("aqz-objects")
        self._sending = asyncio.Semaphore(in_flight)
        self._tasks: set[Future[object]] = set()
        self._lock = threading.Lock()
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._silent = False

    @property
    def parts(self) -> PartService:
        """The service of an object store that takes objects in parts."""
        parts = self.service.parts
        assert parts is not None
        return parts

    # ---- requests ---------------------------------------------------------------------------

    async def request(
        self,
        make: Callable[[], Awaitable[T]],
        what: str,
        *,
        nbytes: int = 0,
        policy: RetryPolicy | None = None,
    ) -> T:
        """Make a request in the loop; see `repeat`."""
        seen = self._renewals

        async def renew() -> bool:
            nonlocal seen
            async with self._renewing:  # many requests meet the same expired token
                if self._renewals == seen:
                    if not await self.service.renew():
                        return False
                    self._renewals += 1
                seen = self._renewals
                return True

        return await repeat(
            make,
            policy or self.policy,
            what=what,
            where=self.where,
            nbytes=nbytes,
            renew=renew,
            redaction=self._redaction,
        )

    async def send(self, make: Callable[[], Awaitable[T]], what: str, nbytes: int) -> T:
        """Make a request that has a body; only so many are under way at once."""
        async with self._sending:
            return await self.request(make, what, nbytes=nbytes)

    def call(
        self,
        make: Callable[[], Awaitable[T]],
        what: str,
        *,
        nbytes: int = 0,
        policy: RetryPolicy | None = None,
    ) -> T:
        """Make a request from another thread and wait for it.

        Raises
        ------
        AqzError
            It failed, or the connection had failed before.
        """
        return self.wait(self.start(self.request(make, what, nbytes=nbytes, policy=policy)))

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine in the loop; it is cancelled if the connection fails."""
        try:
            self.check()
        except AqzError:
            coroutine.close()
            raise
        future = self._loop.submit(coroutine)
        with self._lock:
            self._tasks.add(future)  # type: ignore[arg-type]  # a set of futures of anything
        future.add_done_callback(self._forget)
        return future

    def wait(self, future: Future[T]) -> T:
        """Wait for what `start` returned."""
        try:
            return future.result()
        except BaseException:
            self.check()  # cancelled because of another error: that one is worth telling
            raise

    def _forget(self, future: Future[Any]) -> None:
        """Take a task that has ended off the list."""
        with self._lock:
            self._tasks.discard(future)

    # ---- failure and the end ----------------------------------------------------------------

    def check(self) -> None:
        """Raise the first error of a write, if there was one."""
        if self.error is not None:
            raise type(self.error)(*self.error.args) from self.error

    def fail(self, error: BaseException) -> None:
        """Keep the first error of a write; drop what is still under way."""
        with self._lock:
            if self.error is not None:
                return
            self.error = error if isinstance(error, AqzError) else StorageError(str(error))
            if self.error is not error:
                self.error.__cause__ = error
            tasks = list(self._tasks)
        for task in tasks:
            task.cancel()

    def fail_with(self, done: Future[Any]) -> None:
        """Keep the error of a write that has ended, if it has one."""
        if not done.cancelled() and (error := done.exception()) is not None:
            self.fail(error)

    def tidy(self, make: Callable[[], Awaitable[object]]) -> bool:
        """Try a request once, briefly, even after a failure; return whether it succeeded.

        After one that got no answer, nothing is tried any more.
        """

        async def briefly() -> None:
            await asyncio.wait_for(make(), CLOSING_SECONDS)

        if self._silent:
            return False
        try:
            self._loop.run(briefly())
        except TimeoutError:
            self._silent = True
            return False
        except Exception:
            return False
        return True

    def open(self, policy: RetryPolicy) -> None:
        """Connect the service."""
        self.call(self.service.open, "connecting", policy=policy)

    def close(self) -> None:
        """Close the service and end the loop."""
        self._silent = False
        self.tidy(self.service.close)
        self._loop.stop()

    # ---- listings ---------------------------------------------------------------------------

    def pages(self, prefix: str, *, deep: bool) -> Iterator[Listing]:
        """Yield the pages of a listing."""
        page: str | None = None
        while True:
            marker = page

            def ask(marker: str | None = marker) -> Awaitable[Listing]:
                return self.service.list_page(prefix, deep=deep, page=marker)

            listing = self.call(ask, "listing objects")
            yield listing
            if listing.next_page is None:
                return
            page = listing.next_page
