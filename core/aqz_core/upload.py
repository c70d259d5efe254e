"""Sending a store on this machine to an object store, file by file.

Metadata go last, those of outer groups after those inside of them: a reader who finds a node finds
all of its data as well.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StorageError, StoreBusyError, StoreExistsError
from aqz_core.plugins import create_plugin_manager
from aqz_core.recording.overwriting import remove_recording
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.lock import StoreLock
from aqz_core.storage.names import METADATA, PARTIAL
from aqz_core.storage.opening import locked_sink, store_scheme
from aqz_core.storage.spill.folder import SpillFolder, destination_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.storage.sink import Sink

    OnProgress = Callable[[int, int], object]

__all__ = ["metadata_last", "send_file", "upload_spill", "upload_store"]

SENT = "sent.txt"

_log = logging.getLogger("aqz")


PIECE_NBYTES = 8 << 20


FILES_AT_ONCE = 4


def upload_store(
    source: str | os.PathLike[str],
    store_path: str,
    *,
    s3: S3Settings | None = None,
    overwrite: bool = False,
    plugins: Iterable[object] = (),
    on_progress: OnProgress | None = None,
) -> tuple[int, int]:
    """Copy a store to a bucket, or to another place that objects can be put.

    A copy that was cut off has no metadata at its root: the same call sends it again.

    Parameters
    ----------
    source : str or os.PathLike
        A store on this machine that nobody records to.
    store_path, s3
        Where it goes, as for `StreamSettings`.
    overwrite : bool, default False
        Remove the recording at `store_path` first; refused if anything else is in it.
    plugins : iterable of object
        Plug-ins that offer further places to store.
    on_progress : callable, optional
        Called with the bytes that were sent and those there are, from any thread.

    Returns
    -------
    files, nbytes : int
        How much was sent.

    Raises
    ------
    SettingsError
        The destination is no object store, or cannot be used.
    StorageError
        `source` is not a store, or something could not be sent.
    StoreBusyError
        `source` is being recorded, or somebody writes to the destination.
    StoreExistsError
        There is something at the destination.
    """
    root = local_path(os.fspath(source))
    settings = StreamSettings(store_path=store_path, s3=s3, overwrite=overwrite)
    if store_scheme(settings) == "file":
        raise SettingsError(f"{store_path!r} is on this machine; copy the directory instead")
    check_store(settings)
    with (
        _locked_source(root) as names,
        locked_sink(settings, create_plugin_manager(plugins).sinks()) as sink,
    ):
        if overwrite:
            remove_recording(sink)
        elif not _is_cut_off(sink, names):
            raise StoreExistsError(
                f"there is something at {sink.url} already. Choose another place, or overwrite it."
            )
        data, metadata = metadata_last(names)
        _warn_of_unfinished(root, metadata)
        counted = _Counted([root / name for name in names], on_progress)

        def send(name: str) -> int:
            return counted(send_file(sink, root, name))

        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            sizes = list(threads.map(send, data))
        sizes += [send(name) for name in metadata]
        sink.commit()
    return len(sizes), sum(sizes)


def _is_cut_off(sink: Sink, names: list[str]) -> bool:
    """Return whether there is nothing but what a copy of these files leaves that was cut off."""
    there = set(sink.names(""))
    return there.isdisjoint(METADATA) and there <= {name.split("/")[0] for name in names}


class _Counted:
    """Adds up the bytes that were sent and tells somebody.

    Parameters
    ----------
    files
        All that are going to be sent.
    on_progress
        Whom to tell, if anybody.
    """

    def __init__(self, files: list[Path], on_progress: OnProgress | None) -> None:
        self._tell = on_progress
        self._total = sum(file.stat().st_size for file in files) if on_progress else 0
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, nbytes: int) -> int:
        """Count a file; return its size."""
        if self._tell is not None:
            with self._lock:
                self._done += nbytes
                self._tell(self._done, self._total)
        return nbytes


def metadata_last(names: list[str]) -> tuple[list[str], list[str]]:
    """Part data from metadata, and order these so that outer groups come last."""
    data = [name for name in names if Path(name).name not in METADATA]
    return data, sorted(set(names) - set(data), key=lambda name: -name.count("/"))


@contextlib.contextmanager
def _locked_source(root: Path) -> Iterator[list[str]]:
    """Keep recordings out of a store; give its files, relative and with slashes."""
    if not any((root / name).is_file() for name in METADATA):
        raise StorageError(f"{root} is not a Zarr store: it has no zarr.json, .zgroup or .zarray")
    try:
        lock = StoreLock(root)
    except StoreBusyError as error:
        raise StoreBusyError(
            f"{root} is being recorded; send it when the stream is closed"
        ) from error
    try:
        yield [
            path.relative_to(root).as_posix()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.endswith(PARTIAL)
        ]
    finally:
        lock.release()


def _warn_of_unfinished(root: Path, metadata: list[str]) -> None:
    """Say that a recording was not finished: what is stored of it may not all be seen."""
    for name in metadata:
        try:
            document = json.loads((root / name).read_bytes())
            attributes = document if name.endswith(".zattrs") else document["attributes"]
            state = attributes["aqz"]["state"]
        except (ValueError, LookupError, TypeError):
            continue
        if state == "recording":  # a repair makes it "interrupted"
            _log.warning(
                "%s is of a recording that was not finished (state %r): readers may not see all "
                "of its frames, and what is sent is no better. Finish it with `aqz repair %s "
                "--apply`, and send it then.",
                root / name,
                state,
                root,
            )
            return


def send_file(sink: Sink, root: Path, name: str) -> int:
    """Send one file in pieces; return its size."""
    path = root / name
    nbytes = path.stat().st_size
    if nbytes <= PIECE_NBYTES:
        sink.write(name, path.read_bytes(), sync=True)
        return nbytes
    shard = sink.create_shard(name, nbytes, visible=False)
    with path.open("rb") as file:
        for offset in range(0, nbytes, PIECE_NBYTES):
            shard.write_at(offset, file.read(PIECE_NBYTES))
    shard.finish(nbytes, sync=True)
    return nbytes


def upload_spill(
    spill: str | os.PathLike[str],
    store_path: str | None = None,
    *,
    s3: S3Settings | None = None,
    plugins: Iterable[object] = (),
    on_progress: OnProgress | None = None,
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
    on_progress : callable, optional
        Called with the bytes that were sent and those there are, from any thread.

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
                sizes = _send_all(sink, folder, on_progress)
                sink.commit()
                # Those that the failure has cut off.
                sink.abort_unfinished(set(folder.names()).__contains__)
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


def _send_all(sink: Sink, folder: SpillFolder, on_progress: OnProgress | None) -> list[int]:
    """Send every object, additions to logs among them; return the sizes of those sent now."""
    done_file = folder.path / SENT
    done = set(done_file.read_text("utf-8").splitlines()) if done_file.exists() else set()
    additions = set(folder.manifest.additions)
    data, metadata = metadata_last(folder.names())
    data = [name for name in data if name not in done]
    counted = _Counted([folder.objects / name for name in [*data, *metadata]], on_progress)
    writing = threading.Lock()

    def send(name: str) -> int:
        if name in additions:
            return counted(_send_addition(sink, folder, name))
        nbytes = send_file(sink, folder.objects, name)
        with writing, done_file.open("a", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return counted(nbytes)

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        sizes = list(threads.map(send, data))
    return sizes + [counted(send_file(sink, folder.objects, name)) for name in metadata]


def _send_addition(sink: Sink, folder: SpillFolder, name: str) -> int:
    """Add to a log of which the store has the beginning, unless that was done before."""
    more = (folder.objects / name).read_bytes()
    content = sink.read(name) or b""
    if not content.endswith(more):
        sink.write(name, content + more, sync=True)
    return len(more)
