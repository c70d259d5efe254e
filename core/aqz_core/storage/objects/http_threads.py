"""Bodies sent over HTTP by plain threads, from the memory they lie in.

An event loop spends more time on handing bytes on than the socket on taking them. A thread that
sends a whole body by one call costs a fifth, and holds up nobody meanwhile. urllib3 does the
talking: connections, TLS, proxies. Its retries are off, and deadlines are set from outside: a
request whose coroutine is cancelled loses its connection, so that its thread ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import urllib3
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InsecureRequestWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HttpThreads"]

CONNECT_SECONDS = 10.0
LONGEST_SECONDS = 3600.0
"""Only for the case that nobody is left to cancel a request."""

_mine = threading.local()


class _Attempt:
    """One request on a thread, which another thread may end."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.ended = False

    def end(self) -> None:
        """Cut the connection, so that whatever waits for it fails at once."""
        self.ended = True
        sock: Any = getattr(self.connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):  # it may have broken by itself
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # beneath TLS, which is not asked


class _Cuttable(HTTPConnection):
    """A connection that its attempt knows."""

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        """Begin a request, and say on which connection."""
        attempt: _Attempt = _mine.attempt
        attempt.connection = self
        super().putrequest(*args, **kwargs)

    def send(self, data: Any) -> None:
        """Send bytes unless nobody waits for the answer any more."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(LONGEST_SECONDS)  # urllib3 leaves that of connecting
        super().send(data)
        if _mine.attempt.ended:  # meanwhile, while the connection was being made
            raise ConnectionAbortedError("nobody waits for the answer")


class _CuttableTls(_Cuttable, HTTPSConnection):
    """The same over TLS."""


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Cuttable


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _CuttableTls


class HttpThreads:
    """Threads that make requests and read the answers.

    Parameters
    ----------
    verify
        Whether to check certificates, or the path of a CA bundle.
    at_once
        How many requests are made at the same time.
    """

    def __init__(self, verify: bool | str, at_once: int) -> None:
        self._options: dict[str, Any] = {
            "maxsize": at_once,
            "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=LONGEST_SECONDS),
            "cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE",
        }
        if verify:
            self._options["ca_certs"] = get_cert_path(verify)
        else:
            warnings.filterwarnings("ignore", category=InsecureRequestWarning)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="aqz-http")
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._attempts: set[_Attempt] = set()

    async def request(
        self,
        method: str,
        url: str,
        prepare: Callable[[], Mapping[str, str]],
        body: memoryview | bytes,
    ) -> urllib3.BaseHTTPResponse:
        """Send a body; return the answer, read to its end.

        Parameters
        ----------
        method, url
            Of the request.
        prepare
            Called on the thread; returns the headers.
        body
            Not to be changed before the coroutine has ended well.
        """
        attempt = _Attempt()
        self._attempts.add(attempt)
        manager: Any = self._manager(url)  # its types know no memory views, which it takes

        def send() -> urllib3.BaseHTTPResponse:
            _mine.attempt = attempt
            try:
                answer: urllib3.BaseHTTPResponse = manager.request(
                    method, url, body=body, headers=prepare(), retries=False, redirect=False
                )
            finally:
                attempt.connection = None  # another attempt may have it by now
            return answer

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, send)
        except asyncio.CancelledError:
            attempt.end()
            raise
        finally:
            self._attempts.discard(attempt)

    def _manager(self, url: str) -> urllib3.PoolManager:
        """Return the connections for a URL: direct ones, or those of the proxy it goes through."""
        scheme, _, rest = url.partition("://")
        host = f"{scheme}://{rest.partition('/')[0]}"
        if host not in self._managers:
            proxies = get_environ_proxies(host)
            manager = _manager_for(proxies.get(scheme) or proxies.get("all"), self._options)
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            self._managers[host] = manager
        return self._managers[host]

    def close(self) -> None:
        """End what is under way and close the connections."""
        for attempt in list(self._attempts):
            attempt.end()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for manager in self._managers.values():
            manager.clear()


def _manager_for(proxy: str | None, options: dict[str, Any]) -> urllib3.PoolManager:
    """Return a manager of connections, through a proxy if there is one."""
    if not proxy:
        return urllib3.PoolManager(**options)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    login = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
