"""One writer for a store in a bucket, whichever machine it is on: an object that says who writes.

The object lies beside the store and is made by a request that fails if it is there already. Its
owner writes it again every few seconds; one that was not for `LEASE_SECONDS`, by the clock of the
service, belongs to a program that has died, and whoever comes next replaces it, by a request that
fails if somebody else was faster. What a killed program of this machine left is replaced at once:
the lock of this machine (`machine_lock`) has shown that nobody writes here.

A lease cannot stop a program that stood still for so long from sending what it had begun to send
when it wakes; it ends that program's recording as soon as it looks.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aqz_core.errors import AqzError, SettingsError, StorageError, StoreBusyError
from aqz_core.storage.objects.machine_lock import is_locked_here, locks_of_this_machine
from aqz_core.storage.objects.probe import opening_policy
from aqz_core.storage.objects.request_body import PartBody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.service import ClaimService

__all__ = ["LEASE_SECONDS", "LOCK_SUFFIX", "Lease"]

LOCK_SUFFIX = ".aqz-lock"
LEASE_SECONDS = 60.0
RENEWAL_SECONDS = 15.0
SEARCHED_PAGES = 10
"""Pages of a listing that are searched for stores inside of the store."""

_log = logging.getLogger("aqz")


@dataclass(frozen=True, slots=True)
class _Owner:
    """Who writes a store, as the object says."""

    who: str
    since: str
    machine: str
    token: str

    @classmethod
    def this_program(cls) -> _Owner:
        """Return this program, as the owner of a new lease."""
        who = f"{_user()}@{socket.gethostname()}"
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        named = f"{who} (process {os.getpid()})"
        return cls(named, since, f"{who} {locks_of_this_machine()}", uuid.uuid4().hex)

    @classmethod
    def of(cls, content: bytes) -> _Owner:
        """Read the object; one that is damaged belongs to somebody unknown."""
        try:
            told = json.loads(content)
            return cls(*(str(told[name]) for name in ("who", "since", "machine", "token")))
        except (ValueError, KeyError, TypeError):
            return cls("an unknown program", "an unknown time", "", "")

    def content(self) -> bytes:
        """Return the object."""
        told = {name: getattr(self, name) for name in ("who", "since", "machine", "token")}
        return json.dumps(told, indent=1).encode()


class Lease:
    """The right to write a store; taken when it is made.

    Parameters
    ----------
    connection
        To the store.
    service
        Its service, as one that makes objects conditionally.
    url, prefix
        The store, and its full key; empty for the root of a bucket.

    Raises
    ------
    StoreBusyError
        Somebody writes the store, or one that it is part of, or one inside of it.
    """

    def __init__(
        self, connection: Connection, service: ClaimService, url: str, prefix: str
    ) -> None:
        self._connection = connection
        self._service = service
        self._url = url
        self._prefix = prefix
        self._key = prefix + LOCK_SUFFIX
        self._owner = _Owner.this_program()
        self._policy = opening_policy(connection.policy)
        self._etag: str | None = None
        self._writing = asyncio.Lock()
        try:
            self._etag = self._take()
        except SettingsError as error:
            _log.warning("other machines are not kept from recording to the store: %s", error)
            return
        try:
            self._check_around()
        except BaseException:
            self.release()
            raise
        connection.start(self._keep())

    # ---- taking it --------------------------------------------------------------------------

    def _claim(self, etag: str | None) -> str | None:
        """Store the object unless it has changed; return its ETag, or None if it has."""
        content = self._owner.content()
        return self._connection.call(
            lambda: self._service.claim(self._key, content, etag), "locking", policy=self._policy
        )

    def _take(self) -> str:
        """Make the object, or replace one whose owner is dead."""
        holder = self._holder(self._key)
        if holder is not None and self._is_alive(holder, self._key):
            raise _busy_error(f"{self._connection.where} is", holder[0])
        etag = self._claim(None if holder is None else holder[1])
        if etag is None:  # somebody was faster, or this very request was repeated
            now = self._holder(self._key)
            if now is None or now[0].token != self._owner.token:
                raise _busy_error(f"{self._connection.where} is", now[0] if now else None)
            return now[1]
        if (second := self._claim(None)) is not None:
            _log.warning(
                "%s takes no conditional requests (If-None-Match): of two machines that begin to "
                "record to one store in the same moment, neither is refused",
                self._connection.where,
            )
            return second
        return etag

    def _holder(self, key: str) -> tuple[_Owner, str, float] | None:
        """Return the owner that a lock names, its ETag and the seconds since it was written."""
        found = self._connection.call(
            lambda: self._service.claimed(key), "looking for a lock", policy=self._policy
        )
        return None if found is None else (_Owner.of(found[0]), found[1], found[2])

    def _is_alive(self, holder: tuple[_Owner, str, float], key: str) -> bool:
        """Return whether the owner of a lock may still be writing."""
        owner, _, age = holder
        if age > LEASE_SECONDS:
            return False
        if owner.machine != self._owner.machine:
            return True
        # The lock of this machine that stands for our own store is ours.
        return key != self._key and is_locked_here(self._where(key))

    def _where(self, key: str) -> str:
        """Return the name of the store that a lock is for, as the locks of this machine know it."""
        bucket = self._url.removesuffix(self._prefix).rstrip("/")
        url = f"{bucket}/{key.removesuffix(LOCK_SUFFIX)}".rstrip("/")
        return self._connection.where.replace(self._url, url, 1)

    # ---- stores around it -------------------------------------------------------------------

    def _check_around(self) -> None:
        """Raise if a store is written that this one is part of, or that is part of it."""
        where = self._connection.where
        for key in (*self._above(), *self._inside()):
            holder = self._holder(key)
            if holder is not None and self._is_alive(holder, key):
                other = key.removesuffix(LOCK_SUFFIX) or "the bucket"
                raise _busy_error(f"{other!r}, around or in {where}, is", holder[0])

    def _above(self) -> Iterator[str]:
        """Yield the locks of stores that this one may be part of."""
        folder = self._prefix
        while folder:
            folder = folder.rpartition("/")[0]
            yield folder + LOCK_SUFFIX

    def _inside(self) -> Iterator[str]:
        """Yield the locks of stores that are part of this one."""
        root = f"{self._prefix}/" if self._prefix else ""
        for number, page in enumerate(self._connection.pages(root, deep=True)):
            found = [key for key in page.keys if key.endswith(LOCK_SUFFIX) and key != self._key]
            yield from found
            if number + 1 == SEARCHED_PAGES:
                return

    # ---- keeping it -------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Write the object again and again; end the recording if somebody has replaced it."""
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            try:
                async with self._writing:
                    if self._etag is None:
                        return
                    await asyncio.wait_for(self._renew(), self._policy.base)
            except AqzError as error:
                self._connection.fail(error)
                return
            except Exception as error:  # the store is away: so are the frames, which tell it
                _log.info("the lock of %s was not renewed: %s", self._connection.where, error)

    async def _renew(self) -> None:
        """Write the object once more, if it is still there as it was."""
        content = self._owner.content()
        try:
            etag = await self._service.claim(self._key, content, self._etag)
        except SettingsError:  # If-Match came later to services than If-None-Match
            etag = None
        if etag is not None:
            self._etag = etag
            return
        found = await self._service.claimed(self._key)
        if found is None:
            # Where somebody was faster, the next look finds out who.
            self._etag = await self._service.claim(self._key, content, None) or self._etag
        elif (owner := _Owner.of(found[0])).token == self._owner.token:
            await self._service.put(self._key, self._body())
            self._etag = found[1]  # which is right: the content is the same
        else:
            self._etag = None
            raise StorageError(
                f"{owner.who} has recorded to {self._connection.where} since {owner.since}, after "
                f"this program had given no sign of life for {LEASE_SECONDS:.0f} s"
            )

    def _body(self) -> PartBody:
        """Return the object, to be stored without a condition."""
        content = self._owner.content()
        body = PartBody(len(content))
        body.fill(0, memoryview(content))
        return body

    def release(self) -> None:
        """Let others write the store, if it is still this program's. Later calls do nothing."""
        if self._etag is not None:
            self._connection.tidy(self._give_back)

    async def _give_back(self) -> None:
        """Delete the object, not while it is being written."""
        async with self._writing:
            if self._etag is not None:
                self._etag = None
                await self._service.delete([self._key])


def _user() -> str:
    """Return the name of who runs this program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run as a number without a name
        return "unknown"


def _busy_error(what: str, owner: _Owner | None) -> StoreBusyError:
    """Return the error for a store that somebody writes."""
    by = f"{owner.who} since {owner.since}" if owner else "another program"
    return StoreBusyError(
        f"{what} being written by {by}. Wait until it has closed the store, or record to another "
        f"place. If that program was killed, the store is free {LEASE_SECONDS:.0f} s later."
    )
