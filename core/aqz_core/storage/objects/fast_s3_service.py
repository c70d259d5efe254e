"""Amazon S3 and what speaks its language: what there is much of goes past s3fs.

Objects, parts, and the beginning and the end of uploads go through `SignedRequests`, everything
else through the client of s3fs; so does the first request of all, and the first after a login,
which teach how to address and sign the others.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from aqz_core.storage.objects.request_body import crc32c
from aqz_core.storage.objects.s3_service import CONNECTIONS, S3Service, check_answer
from aqz_core.storage.objects.service import NoServiceError, Upload
from aqz_core.storage.objects.signed_requests import SignedRequests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from aqz_core.settings.location import S3Location
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.objects.request_body import PartBody

__all__ = ["FastS3Service"]

_BINARY = {"Content-Type": "application/octet-stream"}
_XML = {"Content-Type": "application/xml"}


class FastS3Service(S3Service):
    """A bucket; parameters as for `S3Service`."""

    def __init__(self, location: S3Location, s3: S3Settings | None) -> None:
        super().__init__(location, s3)
        self._verify: bool | str = True if s3 is None else s3.verify
        self._requests: SignedRequests | None = None

    async def _log_in(self, *, refresh: bool) -> None:
        """Set up a client, and learn from what it does."""
        await super()._log_in(refresh=refresh)
        if self._requests is None:
            verify = self._verify
            if verify is True:
                verify = self._filesystem.session.get_config_variable("ca_bundle") or True
            self._requests = SignedRequests(verify, CONNECTIONS)
        self._requests.learn_from(self._client)

    @property
    def _fast(self) -> SignedRequests | None:
        """The fast way, where it is known."""
        return self._requests if self._requests is not None and self._requests.ready else None

    async def close(self) -> None:
        """Close every connection."""
        if self._requests is not None:
            self._requests.close()
        await super().close()

    async def put(self, key: str, body: PartBody) -> None:
        """Store an object."""
        if self._fast is None:
            await super().put(key, body)
        else:
            await self._put(self._fast, key, {}, body)

    async def put_part(self, upload: Upload, number: int, body: PartBody) -> object:
        """Upload a part."""
        if self._fast is None:
            return await super().put_part(upload, number, body)
        query: dict[str, str | int] = {"partNumber": number, "uploadId": upload.upload_id}
        return {"PartNumber": number, **await self._put(self._fast, upload.key, query, body)}

    async def _put(
        self, fast: SignedRequests, key: str, query: Mapping[str, str | int], body: PartBody
    ) -> dict[str, str]:
        """Send a body; return its ETag and its checksum, if it has one."""
        told: dict[str, str] = {}

        def headers() -> dict[str, str]:
            if not self._checksums:
                return _BINARY
            told["ChecksumCRC32C"] = base64.b64encode(crc32c(body)).decode("ascii")
            return {**_BINARY, "x-amz-checksum-crc32c": told["ChecksumCRC32C"]}

        answer = await fast.request("PUT", key, query, headers, body.view())
        check_answer(answer.headers, "ETag")
        return {"ETag": answer.headers["ETag"], **told}

    async def begin(self, key: str) -> Upload:
        """Start an upload."""
        if self._fast is None:
            return await super().begin(key)
        extra = {"x-amz-checksum-algorithm": "CRC32C"} if self._checksums else {}
        answer = await self._fast.request(
            "POST", key, {"uploads": ""}, lambda: {**_BINARY, **extra}, b""
        )
        upload_id = _parsed(answer.data).findtext("{*}UploadId")
        if not upload_id:
            raise NoServiceError("the answer has no UploadId")
        return Upload(key, upload_id)

    async def complete(self, upload: Upload, parts: Sequence[object]) -> None:
        """Finish an upload."""
        if self._fast is None:
            await super().complete(upload, parts)
            return
        query = {"uploadId": upload.upload_id}
        answer = await self._fast.request(
            "POST", upload.key, query, lambda: _XML, _list_of_parts(parts)
        )
        if not _parsed(answer.data).tag.endswith("CompleteMultipartUploadResult"):
            raise NoServiceError("the answer does not confirm the upload")


def _parsed(document: bytes) -> ElementTree.Element:
    """Return a document that a service answered with."""
    try:
        return ElementTree.fromstring(document)  # the parser resolves no external entities
    except ElementTree.ParseError as error:
        raise NoServiceError("the answer is not XML") from error


def _list_of_parts(parts: Sequence[Any]) -> bytes:
    """Return the document that names the parts of an object."""
    root = ElementTree.Element(
        "CompleteMultipartUpload", xmlns="http://s3.amazonaws.com/doc/2006-03-01/"
    )
    for part in parts:
        item = ElementTree.SubElement(root, "Part")
        for name, value in part.items():
            ElementTree.SubElement(item, name).text = str(value)
    return ElementTree.tostring(root)
