"""Before the first frame: whether the store can be reached, read and written, tried for real."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aqz_core.storage.objects.connection import Connection
    from aqz_core.storage.objects.retry import RetryPolicy
    from aqz_core.storage.objects.service import Upload
    from aqz_core.storage.objects.unfinished import UnfinishedUploads

__all__ = ["OPENING_SECONDS", "opening_policy", "probe"]

OPENING_SECONDS = 10.0
"""How long a store that does not answer is tried when a stream opens."""


def opening_policy(policy: RetryPolicy) -> RetryPolicy:
    """Return how long requests may take while a store is being opened."""
    return replace(
        policy,
        total=min(OPENING_SECONDS, policy.total),
        base=min(OPENING_SECONDS, policy.base),
        opening=True,
    )


def probe(connection: Connection, prefix: str, unfinished: UnfinishedUploads) -> None:
    """List the store's place and begin to write there, leaving nothing behind.

    An upload in parts that is begun and aborted needs the same permission as a recording, and is
    seen by no reader.

    Parameters
    ----------
    connection
        Not opened yet.
    prefix
        Full key of the store, with a slash at its end, or empty.
    unfinished
        Cleans up after an upload whose beginning is not known to have failed.

    Raises
    ------
    SettingsError
        Credentials, bucket, region, endpoint or permissions are wrong; the message says which.
    StorageError
        The service does not answer, or not now.
    """
    policy = opening_policy(connection.policy)
    service = connection.service
    connection.open(policy)
    connection.call(
        lambda: service.list_page(prefix, deep=False, page=None),
        "reading the bucket" if service.parts is not None else "listing the store",
        policy=policy,
    )
    if (parts := service.parts) is None:
        return
    key = f"{prefix}zarr.json"

    def begin() -> Awaitable[Upload]:
        unfinished.expect(key)
        return parts.begin(key)

    try:
        upload = connection.call(begin, "writing to the bucket", policy=policy)
    except StorageError:
        unfinished.abort()
        raise
    except SettingsError as error:
        if "AccessDenied" not in str(error):
            raise
        raise SettingsError(
            f"{connection.where} can be read, but these credentials have no permission to write "
            "there (AccessDenied); use others, or allow them s3:PutObject"
        ) from error
    unfinished.add(upload)
    unfinished.abort()
