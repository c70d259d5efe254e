"""Amazon S3 and what speaks its language, through s3fs.

s3fs finds credentials, region and addressing; requests go to the client that it sets up, with
the retries of both libraries off. Bodies are never hashed for the signature: over http that costs
more than everything else together. Instead each body carries a CRC-32C, which the service checks
if it knows it.
"""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import s3fs
from botocore.exceptions import ClientError

from aqz_core.errors import SettingsError
from aqz_core.storage.objects.request_body import PartBody, crc32c
from aqz_core.storage.objects.service import Listing, NoServiceError, Upload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.settings.location import S3Location
    from aqz_core.settings.s3 import S3Settings

__all__ = ["CONNECTIONS", "S3Service", "check_answer"]

_GONE = {"404", "NoSuchKey", "NotFound"}
_CONDITION_FAILED = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}
_NO_CONDITIONS = {"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "MethodNotAllowed"}
_NO_BATCHES = {"MissingContentMD5", "InvalidDigest", "NotImplemented", "MethodNotAllowed", "501"}
"""Answers of services that want another checksum with a batch delete, or know none."""

CONNECTIONS = 32


class S3Service:
    """A bucket.

    Parameters
    ----------
    location
        Which bucket, and where.
    s3
        How to log in and speak to it; None for what the environment says.
    """

    def __init__(self, location: S3Location, s3: S3Settings | None) -> None:
        self._bucket = location.bucket
        self._checksums = s3 is None or s3.checksums
        self._renewable = s3 is None or not (s3.key or s3.secret or s3.token or s3.anon)
        self._filesystem = s3fs.S3FileSystem(
            asynchronous=True, skip_instance_cache=True, **_arguments(location, s3)
        )
        self.equal_parts = "r2.cloudflarestorage.com" in (location.endpoint or "")
        self._client: Any = None
        self._creators: list[Any] = []
        self._batches = True

    @property
    def parts(self) -> S3Service:
        """Itself: every service of this kind takes parts."""
        return self

    # ---- the connection ---------------------------------------------------------------------

    async def open(self) -> None:
        """Find credentials and set up the client."""
        await self._log_in(refresh=False)

    async def _log_in(self, *, refresh: bool) -> None:
        """Set up a client, with credentials that are read now."""
        self._client = await self._filesystem.set_session(refresh=refresh)
        self._creators.append(self._filesystem._s3creator)

    async def close(self) -> None:
        """Close every client that was made."""
        for creator in self._creators:
            await creator.__aexit__(None, None, None)
        self._creators.clear()

    async def renew(self) -> bool:
        """Read the credentials again, unless they were given in the settings."""
        if not self._renewable:
            return False
        await self._log_in(refresh=True)
        return True

    # ---- objects ----------------------------------------------------------------------------

    async def get(self, key: str) -> bytes | None:
        """Return an object."""
        found = await self._whole(key)
        return None if found is None else found[0]

    async def _whole(self, key: str) -> tuple[bytes, dict[str, Any]] | None:
        """Return an object, and the answer that came with it; None if there is none."""
        try:
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        check_answer(answer, "ETag", "LastModified")
        async with answer["Body"] as stream:
            data: bytes = await stream.read()
        return data, answer

    async def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object."""
        wanted = f"bytes={start}-{stop - 1}"
        answer = await self._client.get_object(Bucket=self._bucket, Key=key, Range=wanted)
        check_answer(answer, "ETag", "ContentRange")
        async with answer["Body"] as stream:
            data: bytes = await stream.read()
        return data

    async def size(self, key: str) -> int | None:
        """Return the size of an object."""
        try:
            answer = await self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        check_answer(answer, "ETag", "LastModified")
        return int(answer["ContentLength"])

    async def put(self, key: str, body: PartBody) -> None:
        """Store an object."""
        answer = await self._client.put_object(
            Bucket=self._bucket, Key=key, Body=body, **self._checksum(body)
        )
        check_answer(answer, "ETag")

    async def list_page(self, prefix: str, *, deep: bool, page: str | None) -> Listing:
        """List a page of up to 1000 keys."""
        options = {} if deep else {"Delimiter": "/"}
        if page is not None:
            options["ContinuationToken"] = page
        answer = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **options)
        check_answer(answer, "IsTruncated", "Name", "KeyCount")
        return Listing(
            tuple(item["Key"] for item in answer.get("Contents", ())),
            tuple(item["Prefix"].rstrip("/") for item in answer.get("CommonPrefixes", ())),
            answer.get("NextContinuationToken") if answer.get("IsTruncated") else None,
            tuple(item["Size"] for item in answer.get("Contents", ())) if deep else (),
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects in one request, or one by one where the service knows no other way."""
        if self._batches:
            try:
                await self._delete_batch(keys)
            except ClientError as error:
                if _code(error) not in _NO_BATCHES:
                    raise
                self._batches = False
            else:
                return
        for key in keys:
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def _delete_batch(self, keys: Sequence[str]) -> None:
        """Delete objects in one request."""
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = await self._client.delete_objects(Bucket=self._bucket, Delete=wanted)
        for told in answer.get("Errors", ()):
            raise ClientError({"Error": told}, "DeleteObjects")

    # ---- conditions -------------------------------------------------------------------------

    async def claim(self, key: str, content: bytes, etag: str | None) -> str | None:
        """Store an object if it is as it was, or if there is none."""
        if etag is None:
            return await self._put_if(key, content, {"IfNoneMatch": "*"})
        found = await self._put_if(key, content, {"IfMatch": etag})
        bare = etag.strip('"')
        if found is None and bare != etag:  # older gateways of Ceph compare without the quotes
            found = await self._put_if(key, content, {"IfMatch": bare})
        return found

    async def _put_if(self, key: str, content: bytes, condition: dict[str, str]) -> str | None:
        """Store an object on a condition; return its ETag, or None if the condition fails."""
        try:
            answer = await self._client.put_object(
                Bucket=self._bucket, Key=key, Body=content, **condition
            )
        except ClientError as error:
            if _code(error) in _CONDITION_FAILED or (
                "IfMatch" in condition and _code(error) in _GONE
            ):
                return None
            if _code(error) in _NO_CONDITIONS:
                raise SettingsError("the service takes no conditional requests") from error
            raise
        check_answer(answer, "ETag")
        return str(answer["ETag"])

    async def claimed(self, key: str) -> tuple[bytes, str, float] | None:
        """Return an object and its age by the service's clock."""
        found = await self._whole(key)
        if found is None:
            return None
        content, answer = found
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(told) if told else datetime.now(UTC)
        stored = answer.get("LastModified") or now
        return content, answer["ETag"], (now - stored).total_seconds()

    # ---- uploads in parts -------------------------------------------------------------------

    async def begin(self, key: str) -> Upload:
        """Start an upload."""
        options = {"ChecksumAlgorithm": "CRC32C"} if self._checksums else {}
        answer = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **options)
        check_answer(answer, "UploadId")
        return Upload(key, answer["UploadId"])

    async def put_part(self, upload: Upload, number: int, body: PartBody) -> object:
        """Upload a part."""
        checksum = self._checksum(body)
        answer = await self._client.upload_part(
            Bucket=self._bucket,
            Key=upload.key,
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=body,
            **checksum,
        )
        check_answer(answer, "ETag")
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    async def copy_part(self, upload: Upload, number: int, start: int, stop: int) -> object:
        """Copy a part from the object of the same key, inside of the service."""
        answer = await self._client.upload_part_copy(
            Bucket=self._bucket,
            Key=upload.key,
            UploadId=upload.upload_id,
            PartNumber=number,
            CopySource={"Bucket": self._bucket, "Key": upload.key},
            CopySourceRange=f"bytes={start}-{stop - 1}",
        )
        check_answer(answer, "CopyPartResult")
        told = answer["CopyPartResult"]
        check_answer(told, "ETag")
        checksum = {"ChecksumCRC32C": told["ChecksumCRC32C"]} if "ChecksumCRC32C" in told else {}
        return {"PartNumber": number, "ETag": told["ETag"], **checksum}

    async def complete(self, upload: Upload, parts: Sequence[object]) -> None:
        """Finish an upload."""
        answer = await self._client.complete_multipart_upload(
            Bucket=self._bucket,
            Key=upload.key,
            UploadId=upload.upload_id,
            MultipartUpload={"Parts": list(parts)},
        )
        check_answer(answer, "Key", "ETag", "Location")

    async def abort(self, upload: Upload) -> None:
        """Give up an upload."""
        with contextlib.suppress(self._client.exceptions.NoSuchUpload):
            await self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=upload.key, UploadId=upload.upload_id
            )

    async def uploads(self, prefix: str) -> list[Upload]:
        """List unfinished uploads."""
        found: list[Upload] = []
        marker: dict[str, str] = {}
        while True:
            answer = await self._client.list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, **marker
            )
            found += [Upload(item["Key"], item["UploadId"]) for item in answer.get("Uploads", ())]
            if not answer.get("IsTruncated"):
                return found
            marker = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    def _checksum(self, body: PartBody) -> dict[str, str]:
        """Return the checksum to send with a body."""
        if not self._checksums:
            return {}
        return {"ChecksumCRC32C": base64.b64encode(crc32c(body)).decode("ascii")}


def check_answer(answer: Mapping[str, Any], *names: str) -> None:
    """Raise if an answer of success has none of what the service would say.

    Proxies and login pages answer every request with status 200 and a page.
    """
    if not any(name in answer for name in names):
        raise NoServiceError(f"the answer has no {names[0]}")


def _arguments(location: S3Location, s3: S3Settings | None) -> dict[str, Any]:
    """Return the arguments of the s3fs file system."""
    style = s3.addressing_style if s3 is not None else "auto"
    if style == "auto" and location.endpoint and "amazonaws.com" not in location.endpoint:
        style = "path"  # other services rarely have a host name for each bucket
    checked = "when_supported" if s3 is None or s3.checksums else "when_required"
    arguments: dict[str, Any] = {
        "config_kwargs": {
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": 10,
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": checked,
            "s3": {"payload_signing_enabled": False, "addressing_style": style},
        },
        "endpoint_url": location.endpoint,
    }
    if s3 is None:
        return arguments
    client: dict[str, Any] = {}
    if s3.region:
        client["region_name"] = s3.region
    if s3.verify is not True:
        client["verify"] = s3.verify
    arguments |= {"key": s3.key, "secret": s3.secret, "token": s3.token, "anon": s3.anon}
    arguments |= {"client_kwargs": client}
    if s3.profile:
        arguments["profile"] = s3.profile
    return arguments


def _code(error: ClientError) -> str:
    """Return the code of an error's answer."""
    return str(error.response.get("Error", {}).get("Code", ""))
