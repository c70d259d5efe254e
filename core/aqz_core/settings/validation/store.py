"""Rules for the place that a store goes to, as far as they can be known without asking it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError
from aqz_core.settings.location import S3_SCHEMES, is_local, s3_location
from aqz_core.settings.paths import check_local_store, local_path, url_scheme

if TYPE_CHECKING:
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.settings.stream import StreamSettings

__all__ = ["check_bucket_name", "check_s3", "check_store"]

DEFAULT_RETRY_SECONDS = 60.0
"""How long requests are repeated unless `S3Settings` say something else."""

_ADDRESSING_STYLES = ("auto", "path", "virtual")


def check_store(settings: StreamSettings) -> None:
    """Check that a store can be at the place that the settings name.

    Parameters
    ----------
    settings : StreamSettings
        Its ``store_path``, ``s3`` and ``overwrite`` are looked at.

    Raises
    ------
    SettingsError
        For a directory that cannot be made or must not be removed; for settings of a bucket that
        contradict themselves; for overwriting a whole bucket.
    """
    if settings.s3 is not None or url_scheme(settings.store_path) in S3_SCHEMES:
        _check_bucket_store(settings)
    elif is_local(settings.store_path):
        check_local_store(local_path(settings.store_path), overwrite=settings.overwrite)
    _check_spill(settings)


def _check_spill(settings: StreamSettings) -> None:
    """Check the folder that a recording may go on in, and that it would be turned to in time."""
    if settings.spill is None:
        return
    if is_local(settings.store_path, settings.s3):
        raise SettingsError(
            f"spill {settings.spill!r} is for object stores, and store_path "
            f"{settings.store_path!r} is on this machine; leave spill out"
        )
    try:
        check_local_store(local_path(settings.spill), overwrite=False)
    except SettingsError as error:
        raise SettingsError(str(error).replace("store_path", "spill", 1)) from error
    retrying = DEFAULT_RETRY_SECONDS if settings.s3 is None else settings.s3.retry_timeout
    if 2 * retrying > settings.stall_timeout:
        raise SettingsError(
            f"spill: requests are repeated for {retrying:g} s, and a stream that stores nothing "
            f"for stall_timeout = {settings.stall_timeout:g} s fails before the spill is used; "
            "set stall_timeout to twice s3.retry_timeout at least"
        )


def _check_bucket_store(settings: StreamSettings) -> None:
    """Check a store in a bucket."""
    location = s3_location(settings.store_path, settings.s3)
    check_bucket_name(location.bucket)
    if settings.s3 is not None:
        check_s3(settings.s3, bucket=location.bucket)
    if settings.overwrite and not location.prefix:
        raise SettingsError(
            f"store_path {settings.store_path!r} is the root of the bucket {location.bucket!r}, "
            "all of which overwrite=True would delete; give the store a name of its own in it"
        )


def check_s3(s3: S3Settings, bucket: str | None = None) -> None:
    """Check what can be known about a bucket without asking the service.

    Parameters
    ----------
    s3 : S3Settings
        The values of credentials are not looked at.
    bucket : str, optional
        Its name, if that does not stand in `s3`.

    Raises
    ------
    SettingsError
        For a bucket name or an addressing style that cannot be, credentials of which a part is
        missing, or limits that make no sense.
    """
    check_bucket_name(s3.bucket_name if bucket is None else bucket)
    if s3.addressing_style not in _ADDRESSING_STYLES:
        raise SettingsError(
            f"s3: addressing_style is {s3.addressing_style!r}; use one of "
            f"{', '.join(_ADDRESSING_STYLES)}"
        )
    for name in ("key", "secret", "token"):
        if getattr(s3, name) == "":
            raise SettingsError(
                f"s3: {name} is empty; give it, or leave key, secret and token out (None) for the "
                "credentials of the environment"
            )
    if isinstance(s3.verify, str) and not Path(s3.verify).exists():
        raise SettingsError(
            f"s3: verify is {s3.verify!r}, and there is no such file; give the path of a bundle of "
            "certificates (PEM), True or False"
        )
    if bool(s3.key) != bool(s3.secret):
        given, missing = ("key", "secret") if s3.key else ("secret", "key")
        raise SettingsError(f"s3: {given} is given and {missing} is not; give both or neither")
    if s3.token and not s3.key:
        raise SettingsError("s3: token is given without key and secret; give all three or none")
    if s3.anon and (s3.key or s3.profile):
        raise SettingsError("s3: anon=True sends no credentials, but some are given; drop one")
    if s3.max_in_flight < 1:
        raise SettingsError("s3: max_in_flight is 0; send one body at a time at least")
    if not s3.retry_timeout > 0 or math.isinf(s3.retry_timeout):
        raise SettingsError(
            f"s3: retry_timeout is {s3.retry_timeout} seconds; give a positive, finite number"
        )


def check_bucket_name(name: str) -> None:
    """Raise `SettingsError` if no bucket can have that name."""
    if not 3 <= len(name) <= 63:
        raise SettingsError(
            f"s3: bucket_name {name!r} has {len(name)} characters; names of buckets have 3 to 63"
        )
