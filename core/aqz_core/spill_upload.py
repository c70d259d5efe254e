"""Sending a spill: what an object store lacked goes to the places that it would have had.

Nothing is interpreted: objects go by name, metadata last, and each replaces what is there. So an
upload that is interrupted can be repeated; it leaves out the data that were sent before. A marker
in the store says that it is the one which the spill belongs to, and is removed at the end.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StorageError
from aqz_core.plugins import create_plugin_manager
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.opening import locked_sink, store_scheme
from aqz_core.storage.spill.folder import SpillFolder, destination_of
from aqz_core.upload import FILES_AT_ONCE, metadata_last, send_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from aqz_core.settings.stream import S3Settings
    from aqz_core.storage import Sink

__all__ = ["upload_spill"]

SENT = "sent.txt"


def upload_spill(
    spill: str | os.PathLike[str],
    store_path: str | None = None,
    *,
    s3: S3Settings | None = None,
    plugins: Iterable[object] = (),
) -> tuple[int, int]:
    """Send what a failed object store lacks of a recording.

    Parameters
    ----------
    spill : str or os.PathLike
        The folder that ``StreamSettings.spill`` named; it stays as it is.
    store_path, s3
        The store, if it is now to be reached in another way than when it was recorded. Credentials
        come from here or from the usual places: the folder has none.
    plugins : iterable of object
        Plug-ins that offer further places to store.

    Returns
    -------
    files, nbytes : int
        How much was sent; nothing if everything was sent before.

    Raises
    ------
    StorageError
        This is no spill, the store is another one by now, or something could not be sent.
    StoreBusyError
        A stream uses the folder, or writes to the store.
    SettingsError
        The store cannot be opened.
    """
    folder = SpillFolder.open(local_path(str(spill)))
    sizes: list[int] = []
    try:
        sinks = create_plugin_manager(plugins).sinks()
        with locked_sink(_destination(folder, store_path, s3), sinks) as sink:
            if folder.manifest.state != "sent":
                _check_marker(sink, folder)
                sizes = _send_all(sink, folder)
                sink.commit()
                clear_uploads = getattr(sink, "clear_uploads", None)
                if clear_uploads is not None:  # those that the failure has cut off
                    clear_uploads(set(folder.names()).__contains__)
                folder.update(state="sent")
            # Also of a spill that was sent before: this may be all that failed then.
            sink.remove(folder.manifest.marker)
    finally:
        folder.release()
    return len(sizes), sum(sizes)


def _destination(
    folder: SpillFolder, store_path: str | None, s3: S3Settings | None
) -> StreamSettings:
    """Return settings that open the store."""
    settings = destination_of(folder.manifest)
    if store_path is not None:
        settings = StreamSettings(store_path=store_path, s3=s3 if s3 is not None else settings.s3)
    elif s3 is not None:
        settings.s3 = s3
    if store_scheme(settings) == "file":
        raise SettingsError(f"{settings.store_path!r} is on this machine; a spill is sent to a URL")
    check_store(settings)
    return settings


def _check_marker(sink: Sink, folder: SpillFolder) -> None:
    """Make sure that the store is the one which the rest of the recording went to."""
    if sink.read(folder.manifest.marker) is None:
        raise StorageError(
            f"{sink.url} is not the store that {folder.path} belongs to: it was removed or "
            f"overwritten (its object {folder.manifest.marker!r} is gone). The objects in "
            f"{folder.objects} are only what that store lacked."
        )


def _send_all(sink: Sink, folder: SpillFolder) -> list[int]:
    """Send every object, additions to logs among them; return the sizes of those sent now."""
    done_file = folder.path / SENT
    done = set(done_file.read_text("utf-8").splitlines()) if done_file.exists() else set()
    additions = set(folder.manifest.additions)
    data, metadata = metadata_last(folder.names())
    writing = threading.Lock()

    def send(name: str) -> int:
        if name in additions:
            return _send_addition(sink, folder, name)
        nbytes = send_file(sink, folder.objects, name)
        with writing, done_file.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return nbytes

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        sizes = list(threads.map(send, [name for name in data if name not in done]))
    return sizes + [send_file(sink, folder.objects, name) for name in metadata]


def _send_addition(sink: Sink, folder: SpillFolder, name: str) -> int:
    """Add to a log of which the store has the beginning, unless that was done before."""
    more = (folder.objects / name).read_bytes()
    content = sink.read(name) or b""
    if not content.endswith(more):
        sink.write(name, content + more, sync=True)
    return len(more)
