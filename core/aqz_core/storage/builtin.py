"""The built-in places that recordings go to, registered through the plug-in hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import StoreExistsError
from aqz_core.settings.location import S3_SCHEMES
from aqz_core.settings.paths import local_path
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.storage.lock import StoreLock
from aqz_core.storage.opening import ANY_OTHER_SCHEME
from aqz_core.storage.sink import Sink, SinkProvider

if TYPE_CHECKING:
    from aqz_core.settings.stream import StreamSettings

__all__ = ["BUILTIN_SINKS"]


def _open_local(url: str, _: StreamSettings) -> Sink:
    """Open a directory on this machine, given as a path or a ``file://`` URL."""
    path = local_path(url)
    if path.exists() and not path.is_dir():
        raise StoreExistsError(
            f"store_path {str(path)!r} is a file, not a store, and overwrite=True does not "
            "remove it. Choose another path."
        )
    # A link to a store is followed now, as by its lock, and not each time that a file is opened: it
    # may lead elsewhere by then.
    return FilesystemSink(path.resolve() if path.is_symlink() else path)


def _open_objects(url: str, settings: StreamSettings) -> Sink:
    """Open a store in a bucket, or where else fsspec reaches."""
    from aqz_core.storage.objects.sink import open_objects

    return open_objects(url, settings)


def _lock_local(url: str, _: StreamSettings) -> StoreLock:
    """Lock a directory on this machine."""
    return StoreLock(local_path(url))


def _lock_objects(url: str, settings: StreamSettings) -> StoreLock | None:
    """Keep other programs of this machine from a store in an object store."""
    from aqz_core.storage.objects.machine_lock import lock_on_this_machine

    return lock_on_this_machine(url, settings.s3)


BUILTIN_SINKS = (
    SinkProvider(schemes=("file",), open=_open_local, lock=_lock_local),
    SinkProvider(schemes=S3_SCHEMES, open=_open_objects, storage="parts", lock=_lock_objects),
    SinkProvider(
        schemes=(ANY_OTHER_SCHEME,), open=_open_objects, storage="whole", lock=_lock_objects
    ),
)
