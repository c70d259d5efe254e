"""What an object store must be able to do, as coroutines, in the words of no library.

Keys are full, prefix included. Every method makes one attempt and lets the library's errors
through: deadlines, repetition and words for the user are in `retry` and `faults`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.storage.objects.request_body import PartBody

__all__ = ["ClaimService", "Listing", "NoServiceError", "ObjectService", "PartService", "Upload"]


class NoServiceError(Exception):
    """An answer of success that lacks what the service always says: somebody else gave it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing.

    Attributes
    ----------
    keys
        Objects.
    groups
        Common beginnings of further keys, up to the next slash, without it.
    next_page
        What to ask the next page with, or None if this was the last.
    sizes
        Bytes of each object of a listing that goes deep; empty otherwise.
    """

    keys: tuple[str, ...]
    groups: tuple[str, ...] = ()
    next_page: str | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload in parts that has begun."""

    key: str
    upload_id: str


class ObjectService(Protocol):
    """A connection to an object store.

    Attributes
    ----------
    parts
        The same service as one that takes objects in parts; None if it takes whole ones only.
    """

    @property
    def parts(self) -> PartService | None:
        """What uploads in parts."""

    async def open(self) -> None:
        """Connect; called first, in the loop that all other calls are made in."""

    async def close(self) -> None:
        """Let go of connections."""

    async def renew(self) -> bool:
        """Log in again if credentials come from somewhere that renews them."""

    async def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""

    async def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object."""

    async def size(self, key: str) -> int | None:
        """Return the size of an object in bytes, or None if there is none."""

    async def put(self, key: str, body: PartBody) -> None:
        """Store or replace an object."""

    async def list_page(self, prefix: str, *, deep: bool, page: str | None) -> Listing:
        """List keys that start with `prefix`, which is empty or ends with a slash."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, 1000 at most; those that are not there are no error."""


class PartService(ObjectService, Protocol):
    """A connection to an object store that takes objects in parts.

    Attributes
    ----------
    equal_parts
        Whether all parts of an object but the last must be of one size.
    """

    equal_parts: bool

    async def begin(self, key: str) -> Upload:
        """Start an upload in parts."""

    async def put_part(self, upload: Upload, number: int, body: PartBody) -> object:
        """Upload a part, counted from 1; return what `complete` needs of it."""

    async def copy_part(self, upload: Upload, number: int, start: int, stop: int) -> object:
        """Take a part from the object that is stored under the same key now."""

    async def complete(self, upload: Upload, parts: Sequence[object]) -> None:
        """Make an object of the parts."""

    async def abort(self, upload: Upload) -> None:
        """Throw the parts away; an upload that is not there is no error."""

    async def uploads(self, prefix: str) -> list[Upload]:
        """List uploads that have begun and not ended, of keys that start with `prefix`."""


@runtime_checkable
class ClaimService(PartService, Protocol):
    """A connection to an object store that stores objects on conditions."""

    async def claim(self, key: str, content: bytes, etag: str | None) -> str | None:
        """Store an object if it has this ETag now, or if there is none where that is None.

        Returns the new ETag, or None if the condition did not hold.

        Raises
        ------
        SettingsError
            The service refuses requests with conditions.
        """

    async def claimed(self, key: str) -> tuple[bytes, str, float] | None:
        """Return an object, its ETag and how many seconds ago the service stored it."""
