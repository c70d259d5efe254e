"""Any other store that an fsspec file system knows, as a service that takes whole objects.

File systems with coroutines run in the sink's loop. Those without (sftp, memory) run on a few
threads; a call that hangs there keeps its thread, but nobody waits for it beyond its deadline.
"""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aqz_core.errors import SettingsError
from aqz_core.storage.objects.service import Listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.storage.objects.request_body import PartBody

__all__ = ["FsspecService", "filesystem_class"]

THREADS = 8

_THREAD_SAFE = {"memory", "local"}
"""The others may have one connection, as ftp and sftp have, where answers to several threads would
be mixed up: they get one thread."""


def filesystem_class(scheme: str) -> Any:
    """Return the class of fsspec file system for a scheme.

    Raises
    ------
    SettingsError
        There is none, or its package is not installed.
    """
    import fsspec
    from fsspec.registry import known_implementations

    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        advice = known_implementations.get(scheme, {}).get("err", str(error))
        raise SettingsError(
            f"stores at {scheme}:// need a package that is not installed: {advice}"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"nothing is known of stores at {scheme}://; use a path, file://, s3:// or another "
            "scheme that fsspec or a plug-in knows"
        ) from error


class FsspecService:
    """The objects below one URL.

    Parameters
    ----------
    url
        Any URL of the file system.
    """

    parts = None

    def __init__(self, url: str) -> None:
        from fsspec.core import split_protocol

        scheme, _ = split_protocol(url)
        cls = filesystem_class(scheme)
        self._options: dict[str, Any] = cls._get_kwargs_from_urls(url)
        self._class = cls
        self._filesystem: Any = None
        self._session: Any = None
        self._coroutines = bool(cls.async_impl)
        threads = THREADS if scheme in _THREAD_SAFE else 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="aqz-fsspec")
        self.root: str = str(cls._strip_protocol(url)).rstrip("/")

    async def open(self) -> None:
        """Make the file system, in the loop it will run in."""
        if self._coroutines:
            self._filesystem = self._class(
                asynchronous=True, skip_instance_cache=True, **self._options
            )
            if hasattr(self._filesystem, "set_session"):
                self._session = await self._filesystem.set_session()
        else:
            self._filesystem = await self._in_thread(lambda: self._class(**self._options))

    async def close(self) -> None:
        """Let threads go, and close the session of a file system that has one."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        session, self._session = self._session, None
        if hasattr(session, "close") and inspect.isawaitable(closing := session.close()):
            await closing

    async def renew(self) -> bool:
        """Return False: how to log in again is known to no common interface."""
        return False

    async def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the file system, in the way that it is made for."""
        if self._coroutines:
            return await getattr(self._filesystem, f"_{name}")(*arguments, **options)
        method = getattr(self._filesystem, name)
        return await self._in_thread(lambda: method(*arguments, **options))

    async def _in_thread(self, call: Any) -> Any:
        """Run a call on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    # ---- objects ----------------------------------------------------------------------------

    async def get(self, key: str) -> bytes | None:
        """Return an object."""
        try:
            return bytes(await self._call("cat_file", key))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    async def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object."""
        return bytes(await self._call("cat_file", key, start=start, end=stop))

    async def size(self, key: str) -> int | None:
        """Return the size of an object."""
        try:
            told = await self._call("info", key)
        except FileNotFoundError:
            return None
        return int(told["size"])

    async def put(self, key: str, body: PartBody) -> None:
        """Store an object, and the directory it is in where there are directories."""
        try:
            await self._call("pipe_file", key, bytes(body.view()))
        except Exception as error:
            if not _is_missing(error):
                raise
            await self._call("makedirs", key.rsplit("/", 1)[0], exist_ok=True)
            await self._call("pipe_file", key, bytes(body.view()))

    async def list_page(self, prefix: str, *, deep: bool, page: str | None) -> Listing:
        """List everything at once."""
        where = prefix.rstrip("/")
        try:
            if deep:
                files = await self._call("find", where, detail=True)
                sizes = tuple(int(told["size"] or 0) for told in files.values())
                return Listing(tuple(files), sizes=sizes)
            found = await self._call("ls", where, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return Listing(())
        named = [(str(item["name"]).rstrip("/"), item["type"]) for item in found]
        below = [(name, kind) for name, kind in named if name != where]
        return Listing(
            tuple(name for name, kind in below if kind != "directory"),
            tuple(name for name, kind in below if kind == "directory"),
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects one by one."""
        for key in keys:
            try:
                await self._call("rm_file", key)
            except FileNotFoundError:
                continue


def _is_missing(error: Exception) -> bool:
    """Return whether an error may mean that a directory is not there; FTP has no words for it."""
    return isinstance(error, FileNotFoundError) or type(error).__name__ == "error_perm"
