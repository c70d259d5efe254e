"""Where a store lies in an object store: pure reading of URLs and settings."""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aqz_core.errors import SettingsError
from aqz_core.settings.paths import url_scheme, without_password

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings

__all__ = ["S3_SCHEMES", "S3Location", "described", "full_endpoint", "is_local", "s3_location"]

_log = logging.getLogger("aqz")

_HALF_URL = re.compile(r"(https?):(/(?!/).*|(?!\d+$)[^/].*)", re.IGNORECASE)


S3_SCHEMES = ("s3", "s3a")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A store in a bucket.

    Attributes
    ----------
    bucket
        Name of the bucket.
    prefix
        What the keys of all the store's objects start with, without a slash at its end; empty if
        the store is the bucket's root.
    endpoint
        URL of the service, or None for that of AWS.
    """

    bucket: str
    prefix: str
    endpoint: str | None

    @property
    def url(self) -> str:
        """The store as an ``s3://`` URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def described(self) -> str:
        """URL and endpoint, for messages."""
        return f"{self.url} at {self.endpoint}" if self.endpoint else self.url


def s3_location(store_path: str, s3: S3Settings | None) -> S3Location:
    """Work out bucket and prefix of a store.

    Parameters
    ----------
    store_path : str
        ``s3://bucket/prefix``, or the prefix alone if `s3` names the bucket.
    s3 : S3Settings or None
        What the user said besides.

    Raises
    ------
    SettingsError
        No bucket is named, or two different ones are.
    """
    named = s3.bucket_name if s3 is not None else ""
    scheme = url_scheme(store_path)
    if scheme is None:
        bucket, key = named, store_path
    elif scheme in S3_SCHEMES:
        bucket, _, key = store_path.partition("://")[2].partition("/")
    else:
        raise SettingsError(
            f"store_path {store_path!r} is not in the bucket {named!r}; leave s3 out, or give "
            "a path or an s3:// URL"
        )
    if "@" in bucket:
        raise SettingsError(
            f"store_path {without_password(store_path)!r} has a user name in it; write "
            "s3://bucket/name, and give key and secret of S3Settings"
        )
    if named and bucket != named:
        raise SettingsError(
            f"store_path {store_path!r} names the bucket {bucket!r}, and s3.bucket_name is "
            f"{named!r}; give one of them"
        )
    if not bucket:
        raise SettingsError(
            f"store_path {store_path!r} names no bucket; write s3://bucket/name.ome.zarr, or set "
            "bucket_name of S3Settings"
        )
    if any("\ud800" <= one <= "\udfff" for one in key):
        raise SettingsError(
            f"store_path {store_path!r} has a character that UTF-8 cannot hold, so no key can; "
            "remove it"
        )
    parts = [part for part in key.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise SettingsError(f"store_path {store_path!r} has '..' in it, which keys cannot have")
    endpoint = full_endpoint(s3.endpoint) if s3 is not None and s3.endpoint else None
    _check_no_bucket(endpoint, bucket)
    return S3Location(bucket, "/".join(parts), endpoint)


def _check_no_bucket(endpoint: str | None, bucket: str) -> None:
    """Refuse an endpoint that names the bucket once more."""
    parts = urlsplit(endpoint or "")
    host, path = parts.hostname or "", parts.path.strip("/")
    if path.rpartition("/")[2] == bucket:
        right = (endpoint or "").rstrip("/").removesuffix(bucket).rstrip("/")
    elif host.startswith(f"{bucket}.") and "amazonaws.com" in host:
        right = f"{parts.scheme}://{host.removeprefix(f'{bucket}.')}"
    else:
        return
    raise SettingsError(
        f"the endpoint {endpoint!r} has the bucket {bucket!r} in it; the endpoint is {right!r}"
    )


def described(store_path: str, s3: S3Settings | None) -> str:
    """Return the one name of a store in an object store, with its service and without a password.

    Raises
    ------
    SettingsError
        As for `s3_location`.
    """
    if s3 is not None or url_scheme(store_path) in S3_SCHEMES:
        return s3_location(store_path, s3).described
    return without_password(store_path.rstrip("/"))


def full_endpoint(endpoint: str) -> str:
    """Complete the URL of a service.

    Without a scheme, ``https`` is meant, except for addresses and ports that people use inside of
    a laboratory: an IP address, ``localhost``, or a port other than 443 means ``http``.

    Raises
    ------
    SettingsError
        It cannot be the URL of a service.
    """
    text = endpoint.strip().rstrip("/")
    if half := _HALF_URL.fullmatch(text):
        raise SettingsError(
            f"the endpoint {endpoint!r} lacks a slash; write {half[1]}://{half[2].lstrip('/')}"
        )
    if "://" not in text:
        host = urlsplit(f"//{text}")
        try:
            local = host.hostname in (None, "localhost") or host.port not in (None, 443)
        except ValueError:
            local = False
        scheme = "http" if local or _is_address(host.hostname or "") else "https"
        text = f"{scheme}://{text}"
        _tell_scheme(endpoint, text)
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise SettingsError(
            "the endpoint has a user name or a password in it; give key and secret of S3Settings"
        )
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise SettingsError(
            f"the endpoint {endpoint!r} is not a URL of a service; write https://host or "
            "http://host:port"
        )
    return text


@functools.cache
def _tell_scheme(endpoint: str, text: str) -> None:
    """Say once what an endpoint without a scheme is taken as; it is read again and again."""
    _log.warning("the endpoint %r has no scheme and is taken as %s", endpoint, text)


def _is_address(host: str) -> bool:
    """Return whether a host is given by its number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_local(store: str | os.PathLike[str], s3: S3Settings | None = None) -> bool:
    """Return whether a store is on a filesystem: a path or ``file://`` URL, and no bucket given."""
    return s3 is None and url_scheme(os.fspath(store)) in (None, "file")
