"""Places that recordings go to; `BUILTIN_SINKS` are registered through the plug-in hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import StoreExistsError
from aqz_core.hooks.records import SinkProvider
from aqz_core.sinks.base import Bytes, ShardFile, Sink
from aqz_core.sinks.filesystem import FilesystemSink
from aqz_core.sinks.memory import MemorySink
from aqz_core.store_path import local_path

if TYPE_CHECKING:
    from aqz_core.settings import StreamSettings

__all__ = ["BUILTIN_SINKS", "Bytes", "FilesystemSink", "MemorySink", "ShardFile", "Sink"]


def _open_local(url: str, settings: StreamSettings) -> Sink:
    """Open a directory on this machine, given as a path or a ``file://`` URL."""
    path = local_path(url)
    if path.exists() and not path.is_dir():
        if not settings.overwrite:
            raise StoreExistsError(
                f"store_path {str(path)!r} is a file. Choose another path, or set "
                "overwrite=True to replace it."
            )
        path.unlink()
    return FilesystemSink(path)


BUILTIN_SINKS = (SinkProvider(schemes=("file",), open=_open_local),)
