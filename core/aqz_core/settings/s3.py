"""How an object store is reached: service, bucket, credentials."""

from __future__ import annotations

from typing import Literal

import attrs

from aqz_core.settings import checks as check
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT32_MAX, checked

__all__ = ["S3Settings"]

_TEXT_OR_NONE = check.optional(check.text())


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class S3Settings(SettingsBase):
    """Where an S3 bucket is and how to log in.

    Parameters
    ----------
    endpoint : str
        URL of the service, for example ``"https://s3.us-east-1.amazonaws.com"``.
    bucket_name : str
        Bucket that holds the store.
    region : str, optional
        Region of the bucket.
    key, secret, token : str, optional
        Credentials; without them the usual chain is followed (environment, configuration
        files, role of the machine). They are left out of the repr and of error messages.
    profile : str, optional
        Section of the AWS configuration files to use.
    anon : bool, default False
        Send no credentials.
    addressing_style : {"auto", "path", "virtual"}
        Whether the bucket goes into the path or into the host name.
    verify : bool or str, default True
        Check the certificate of the service; a string is the path of a CA bundle.
    checksums : bool, default True
        Send a CRC-32C with every body. Set to False for old services that refuse requests with
        one.
    max_in_flight : int, default 8
        How many bodies are sent at the same time; a distant service needs more.
    retry_timeout : float, default 60.0
        Seconds after which a request that keeps failing ends the stream.
    """

    endpoint: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    bucket_name: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    region: str | None = attrs.field(default=None, metadata=checked(_TEXT_OR_NONE))
    key: str | None = attrs.field(
        default=None, repr=False, metadata=checked(_TEXT_OR_NONE, secret=True)
    )
    secret: str | None = attrs.field(
        default=None, repr=False, metadata=checked(_TEXT_OR_NONE, secret=True)
    )
    token: str | None = attrs.field(
        default=None, repr=False, metadata=checked(_TEXT_OR_NONE, secret=True)
    )
    profile: str | None = attrs.field(default=None, metadata=checked(_TEXT_OR_NONE))
    anon: bool = attrs.field(default=False, metadata=checked(check.flag()))
    addressing_style: Literal["auto", "path", "virtual"] = attrs.field(
        default="auto", metadata=checked(check.text())
    )
    verify: bool | str = attrs.field(default=True, metadata=checked(check.text_or_flag()))
    checksums: bool = attrs.field(default=True, metadata=checked(check.flag()))
    max_in_flight: int = attrs.field(default=8, metadata=checked(check.whole_number(0, UINT32_MAX)))
    retry_timeout: float = attrs.field(default=60.0, metadata=checked(check.real_number()))
