"""What an error of an object store means: try again, log in again, or give up, and why.

Services answer with codes (`S3 error responses`_), the network fails in ways that each library
names differently. Here all of it becomes a `Fault`: a few words for the user, and what to do.

.. _S3 error responses: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from dataclasses import dataclass
from typing import Any

from aqz_core.settings.paths import without_password

__all__ = ["Fault", "fault_of"]


@dataclass(frozen=True, slots=True)
class Fault:
    """The meaning of an error.

    Attributes
    ----------
    kind
        Short name: ``"credentials"``, ``"expired"``, ``"bucket"``, ``"permission"``, ``"region"``,
        ``"endpoint"``, ``"refused"``, ``"timeout"``, ``"network"``, ``"busy"``, ``"not-found"``,
        ``"settings"`` or ``"other"``.
    words
        What happened, without names and secrets.
    transient
        Whether the same request may succeed a little later.
    settings
        Whether the user has to change settings, rather than wait or look at the network.
    """

    kind: str
    words: str
    transient: bool = False
    settings: bool = False


_BUSY_CODES = {
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "OperationAborted",
    "BadDigest",  # the body was damaged on its way
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
}
_BUSY_STATUS = {408, 425, 429, 500, 502, 503, 504}

_CODES = {
    "SignatureDoesNotMatch": Fault(
        "credentials",
        "the service refused the secret key (SignatureDoesNotMatch); check the secret, and that "
        "the clock of this machine is right",
        settings=True,
    ),
    "InvalidAccessKeyId": Fault(
        "credentials",
        "the service does not know the access key id (InvalidAccessKeyId); check the key, and "
        "that it belongs to this service",
        settings=True,
    ),
    "ExpiredToken": Fault(
        "expired",
        "the session token has expired (ExpiredToken); log in again, or give credentials that "
        "renew themselves",
        settings=True,
    ),
    "InvalidToken": Fault(
        "credentials",
        "the session token is not valid (InvalidToken); log in again, or leave the token out",
        settings=True,
    ),
    "NoSuchBucket": Fault(
        "bucket",
        "there is no such bucket (NoSuchBucket); make it, or correct its name",
        settings=True,
    ),
    "InvalidBucketName": Fault(
        "bucket", "the service does not accept the bucket's name (InvalidBucketName)", settings=True
    ),
    "AccessDenied": Fault(
        "permission",
        "the service denies access (AccessDenied); the credentials need permission to list, read, "
        "write and delete objects of the store",
        settings=True,
    ),
    "RequestTimeTooSkewed": Fault(
        "credentials",
        "the clock of this machine is wrong (RequestTimeTooSkewed); set it",
        settings=True,
    ),
    "QuotaExceeded": Fault("quota", "the quota of the bucket or of its owner is used up"),
    "NoSuchKey": Fault("not-found", "there is no such object"),
    "NoSuchUpload": Fault("no-upload", "the service has forgotten the upload (NoSuchUpload)"),
}
_ALIASES = {
    "TokenRefreshRequired": "ExpiredToken",
    "ExpiredTokenException": "ExpiredToken",
    "AllAccessDisabled": "AccessDenied",
    "AccountProblem": "AccessDenied",
    "AuthenticationRequired": "AccessDenied",
    "InvalidSecurity": "SignatureDoesNotMatch",
}
_REGION_CODES = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
    "307",
}


def fault_of(error: BaseException) -> Fault:
    """Return what an error means; looks along its causes for the most telling one."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        found = (
            _of_response(current)
            or _of_obstore(current)
            or _of_library(current)
            or _of_system(current)
        )
        if found is not None:
            return found
        current = current.__cause__ or current.__context__
    return Fault("other", f"{type(error).__name__}: {error}")


def _of_response(error: BaseException) -> Fault | None:
    """Read the answer of a service, if the error carries one as botocore does."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    told = response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    meta = response.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    code = _ALIASES.get(code, code)
    if code in _CODES:
        return _CODES[code]
    if code in _REGION_CODES:
        region = meta.get("HTTPHeaders", {}).get("x-amz-bucket-region") or told.get("Region")
        where = f"it is in {region}" if region else "give the region it is in"
        return Fault("region", f"the bucket is in another region ({code}); {where}", settings=True)
    if code.isdecimal() or not code:  # no S3 error document came with the status
        return _of_status(status)
    if code in _BUSY_CODES or status in _BUSY_STATUS:
        return Fault("busy", f"the service answered {code}: {message}", transient=True)
    return Fault("other", f"the service answered {code} ({status}): {message}")


def _of_status(status: int) -> Fault:
    """Read an answer that has nothing but a status."""
    if status == 403:
        return _CODES["AccessDenied"]
    if status == 404:
        return Fault("not-found", "the service answered 404 without an S3 error code")
    if status in _BUSY_STATUS:
        return Fault(
            "busy",
            f"the answer (status {status}) has no S3 error code: the service is in trouble, or "
            "what listens at the endpoint is no S3 service",
            transient=True,
        )
    return Fault(
        "endpoint",
        f"the service answered {status} without an S3 error code; what listens there is "
        "probably no S3 service",
        settings=True,
    )


def _of_obstore(error: BaseException) -> Fault | None:
    """Read an exception of obstore: a class for the usual answers, a text for everything else."""
    if not type(error).__module__.startswith("obstore"):
        return None
    text, kind = str(error), type(error).__name__
    if "ContainerNotFound" in text or "The specified bucket does not exist" in text:
        return _CODES["NoSuchBucket"]
    if kind == "NotFoundError":
        return Fault("not-found", "there is no such object, bucket or container", settings=True)
    if kind == "PermissionDeniedError":
        return _CODES["AccessDenied"]
    if kind == "UnauthenticatedError":
        return Fault(
            "credentials",
            "the service does not accept the credentials, or there are none; see the environment "
            "variables of the service (AZURE_STORAGE_...)",
            settings=True,
        )
    if status := re.search(r"status(?: code)?:? (\d{3})", text):
        return _of_status(int(status[1]))
    if re.search(r"dns error|tcp connect error|[Cc]onnection refused", text):
        return Fault(
            "refused",
            "no connection could be made: nothing listens at the endpoint, or its name or the "
            "network is wrong",
            transient=True,
        )
    if re.search(r"tim(ed |e)-?out", text):
        return Fault("timeout", "the service did not answer in time", transient=True)
    if "error sending request" in text or "connection" in text:
        return Fault("network", "the connection broke", transient=True)
    return Fault("other", text.partition("\n")[0], settings=True)


def _of_library(error: BaseException) -> Fault | None:
    """Read an exception of botocore, aiohttp or urllib3 by the names of its classes.

    By name, so that neither has to be imported for a store of another kind.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {
        "ProxyConnectionError",
        "ProxyError",
        "ClientProxyConnectionError",
        "ClientHttpProxyError",
    }:
        return Fault("proxy", f"the proxy cannot be used{_proxies()}", transient=True)
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return Fault(
            "credentials",
            "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a "
            "profile, or key and secret of S3Settings, or anon=True for a public bucket",
            settings=True,
        )
    if names & {"ProfileNotFound", "SSOError", "TokenRetrievalError", "ConfigNotFound"}:
        return Fault("credentials", f"the credentials cannot be used: {error}", settings=True)
    if names & {"SSLError", "ClientSSLError", "SSLCertVerificationError"}:
        return Fault(
            "endpoint",
            "no encrypted connection could be made; check whether the endpoint is http:// or "
            "https://, and its certificate (verify)",
            settings=True,
        )
    if names & {"ReadTimeoutError", "ConnectTimeoutError", "ServerTimeoutError"}:
        return Fault("timeout", "the service did not answer in time", transient=True)
    if names & {"EndpointConnectionError", "ClientConnectorError", "NewConnectionError"}:
        if _was_connected(error):
            return Fault(
                "network",
                "the connection broke before an answer came; if that happens from the start, what "
                "listens there may speak TLS: then the endpoint begins with https://",
                transient=True,
            )
        return Fault(
            "refused",
            "no connection could be made: nothing listens at the endpoint, or its name or the "
            "network is wrong",
            transient=True,
        )
    if names & {"ResponseParserError", "InvalidHeader", "BadHttpMessage", "NoServiceError"}:
        return Fault(
            "endpoint",
            "the answer is none of an S3 service; check the endpoint, which must be the address "
            "of the S3 interface",
            settings=True,
        )
    if names & {
        "ConnectionClosedError",
        "ProtocolError",
        "HTTPClientError",
        "ResponseStreamingError",
        "IncompleteReadError",
        "ClientPayloadError",
        "ClientConnectionError",
        "ServerDisconnectedError",
        "AioIncompleteReadError",
    }:
        return Fault("network", "the connection broke", transient=True)
    if names & {"ParamValidationError", "InvalidEndpoint", "InvalidRegionError"}:
        return Fault("settings", f"{error}", settings=True)
    return None


def _was_connected(error: BaseException) -> bool:
    """Return whether a connection was made and broke, by the causes of an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _proxies() -> str:
    """Say which proxies the environment names, without passwords."""
    found = {
        name: without_password(url)
        for name, url in os.environ.items()
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy") and url
    }
    told = ", ".join(f"{name}={url}" for name, url in sorted(found.items()))
    return f" ({told}); correct it, or list the service in NO_PROXY" if told else ""


def _of_system(error: BaseException) -> Fault | None:
    """Read an exception of the standard library."""
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return Fault("timeout", "the service did not answer in time", transient=True)
    if isinstance(error, ConnectionError):
        return Fault("network", "the connection broke", transient=True)
    if isinstance(error, FileNotFoundError):
        return Fault("not-found", "there is no such object, bucket or directory")
    if isinstance(error, PermissionError):
        return _CODES["AccessDenied"]
    if isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EAGAIN, errno.EPIPE):
        return Fault("busy", f"the service is busy: {error}", transient=True)
    return None
