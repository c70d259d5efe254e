"""Where a store is in an object store, with the service that reaches it: for reading and writing.

The packages that do the talking are imported here, when a store is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.settings.location import S3_SCHEMES, s3_location
from aqz_core.settings.paths import url_scheme, without_password
from aqz_core.storage.objects.redaction import Redaction
from aqz_core.storage.objects.retry import RetryPolicy

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.objects.fsspec_service import FsspecService
    from aqz_core.storage.objects.obstore_service import ObstoreService
    from aqz_core.storage.objects.service import ObjectService

__all__ = ["DEFAULT_IN_FLIGHT", "ObjectLocation", "place_of"]

DEFAULT_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """A store in an object store.

    Attributes
    ----------
    service
        The connection to it, not opened yet.
    prefix
        Full key of the store's root; empty for the root of a bucket.
    url, where
        The store, for users and for messages.
    address
        What opens it again: a URL with its password, if it has one.
    policy
        How long requests may take.
    in_flight
        How many bodies are sent at once.
    redaction
        Takes secrets out of errors.
    """

    service: ObjectService
    prefix: str
    url: str
    where: str
    policy: RetryPolicy
    in_flight: int
    address: str
    redaction: Redaction


def place_of(url: str, s3: S3Settings | None) -> ObjectLocation:
    """Find out where a store is.

    Parameters
    ----------
    url, s3
        As ``store_path`` and ``s3`` of `StreamSettings`.

    Raises
    ------
    SettingsError
        URL and settings name no place, or a package is missing.
    StorageError
        The URL names no place in the store.
    """
    if s3 is not None or url_scheme(url) in S3_SCHEMES:
        return _in_bucket(url, s3)
    service = _whole_object_service(url)
    where = without_password(url.rstrip("/"))
    if not service.root:
        raise StorageError(f"{where!r} names no place in the store; add a path to it")
    policy = RetryPolicy()
    return ObjectLocation(
        service,
        service.root,
        where,
        where,
        policy,
        DEFAULT_IN_FLIGHT,
        url.rstrip("/"),
        Redaction(url, s3),
    )


def _whole_object_service(url: str) -> FsspecService | ObstoreService:
    """Return the service for a URL: obstore's where it is installed and knows the scheme."""
    from aqz_core.storage.objects.obstore_service import (
        OBSTORE_SCHEMES,
        ObstoreService,
        has_obstore,
    )

    if url_scheme(url) in OBSTORE_SCHEMES and has_obstore():
        return ObstoreService(url)
    from aqz_core.storage.objects.fsspec_service import FsspecService

    return FsspecService(url)


def _in_bucket(url: str, s3: S3Settings | None) -> ObjectLocation:
    """Return the place of a store in a bucket."""
    from aqz_core.storage.objects.fast_s3_service import FastS3Service

    location = s3_location(url, s3)
    return ObjectLocation(
        FastS3Service(location, s3),
        location.prefix,
        location.url,
        location.described,
        RetryPolicy() if s3 is None else RetryPolicy(total=s3.retry_timeout),
        DEFAULT_IN_FLIGHT if s3 is None else s3.max_in_flight,
        location.url,
        Redaction(url, s3),
    )
