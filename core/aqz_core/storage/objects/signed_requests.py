"""Requests about one object, signed as botocore signs them, without its way to a request.

A call of a botocore client takes 2 ms of processor time, most of it for finding out what is the
same for every object of a bucket: host, style of address, region, kind of signature. Here all of
that is learned from one call of the client, which fires an event before it signs. Only the
signature is made each time, by botocore's signer, with the credentials as they are at that moment.
Where anything is out of the ordinary the client has to make the request itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from aqz_core.storage.objects.http_threads import HttpThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import urllib3

__all__ = ["SignedRequests"]

_SIGNATURES = ("s3v4", "v4")
_PERHAPS_ELSEWHERE = (301, 307, 400)
"""Answers that a bucket of another region may have given: the client finds out which."""


@dataclass(frozen=True, slots=True)
class _Signing:
    """How requests to one bucket are addressed and signed."""

    base: str
    signer: Any
    version: str
    name: str
    region: str
    context: dict[str, Any]

    async def signed(
        self, method: str, url: str, headers: Callable[[], Mapping[str, str]]
    ) -> Callable[[], dict[str, str]]:
        """Return what makes the headers of a signed request; credentials are read now."""
        auth = await self.signer.get_auth_instance(self.name, self.region, self.version)

        def sign() -> dict[str, str]:
            request = AWSRequest(method, url, headers=dict(headers()))
            request.context.update(self.context)
            auth.add_auth(request)
            return dict(request.headers.items())

        return sign


class SignedRequests:
    """The fast way to the objects of one bucket.

    Parameters
    ----------
    verify
        Whether to check certificates, or the path of a CA bundle.
    at_once
        How many requests are made at the same time.
    """

    def __init__(self, verify: bool | str, at_once: int) -> None:
        self._threads = HttpThreads(verify, at_once)
        self._signing: _Signing | None = None

    def learn_from(self, client: Any) -> None:
        """Learn from the requests of a client, and forget what was learned of an earlier one."""
        self._signing = None
        client.meta.events.register("before-sign.s3", self._learn)

    @property
    def ready(self) -> bool:
        """Whether requests can be made; until then the client's requests are to learn from."""
        return self._signing is not None

    def _learn(
        self,
        request: Any,
        signing_name: str,
        region_name: str,
        signature_version: Any,
        request_signer: Any,
        **_: Any,
    ) -> None:
        """Keep what the client found out for a request about an object."""
        context = request.context
        key = context.get("input_params", {}).get("Key")
        url, given = request.url.partition("?")[0], context.get("signing", {})
        if key is None or signature_version not in _SIGNATURES:
            return
        path = _quoted(key)
        if not url.endswith(f"/{path}") or "request_credentials" in given:
            return
        self._signing = _Signing(
            url.removesuffix(path),
            request_signer,
            signature_version,
            given.get("signing_name") or signing_name,
            given.get("region") or region_name,
            {name: context[name] for name in ("client_config", "signing") if name in context},
        )

    async def request(
        self,
        method: str,
        key: str,
        query: Mapping[str, str | int],
        headers: Callable[[], Mapping[str, str]],
        body: memoryview | bytes,
    ) -> urllib3.BaseHTTPResponse:
        """Make a request about an object.

        Parameters
        ----------
        method, key, query, body
            Of the request.
        headers
            Called on the thread that sends the body, for what takes its time.

        Raises
        ------
        ClientError
            The service refused; as from the client.
        """
        signing = self._signing
        assert signing is not None
        url = signing.base + _quoted(key) + (f"?{urlencode(query)}" if query else "")
        answer = await self._threads.request(
            method, url, await signing.signed(method, url, headers), body
        )
        if answer.status in _PERHAPS_ELSEWHERE:
            self._signing = None
        if answer.status >= 300 or b"<Error>" in answer.data[:200]:
            raise _error(answer)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._signing = None
        self._threads.close()


def _quoted(key: str) -> str:
    """Return a key as it is in a URL."""
    return quote(key, safe="/~")


def _error(answer: urllib3.BaseHTTPResponse) -> ClientError:
    """Return the error that a client would have raised; 200 may turn out as one afterwards."""
    status = answer.status if answer.status >= 301 else 500
    told = {"status_code": status, "headers": answer.headers, "body": answer.data}
    return ClientError(create_parser("rest-xml").parse(told, None), "PutObject")
