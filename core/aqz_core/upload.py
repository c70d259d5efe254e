"""Sending a store on this machine to an object store, file by file.

Metadata go last, those of outer groups after those inside of them: a reader who finds a node finds
all of its data as well.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StorageError, StoreBusyError, StoreExistsError
from aqz_core.plugins import create_plugin_manager
from aqz_core.settings.paths import local_path
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.store import check_store
from aqz_core.storage.lock import StoreLock
from aqz_core.storage.opening import locked_sink, store_scheme
from aqz_core.storage.sink import METADATA, PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aqz_core.settings.stream import S3Settings
    from aqz_core.storage import Sink

__all__ = ["metadata_last", "send_file", "upload_store"]

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
) -> tuple[int, int]:
    """Copy a store to a bucket, or to another place that objects can be put.

    Parameters
    ----------
    source : str or os.PathLike
        A store on this machine that nobody records to.
    store_path, s3
        Where it goes, as for `StreamSettings`.
    overwrite : bool, default False
        Remove what is at `store_path` first.
    plugins : iterable of object
        Plug-ins that offer further places to store.

    Returns
    -------
    files, nbytes : int
        How much was sent.

    Raises
    ------
    SettingsError
        The destination is no object store, or cannot be used.
    StorageError
        `source` is no store, or something could not be sent.
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
            sink.remove("")
        elif next(sink.names(""), None) is not None:
            raise StoreExistsError(
                f"there is something at {sink.url} already. Choose another place, or overwrite it."
            )
        data, metadata = metadata_last(names)
        _warn_of_unfinished(root, metadata)
        with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
            sizes = list(threads.map(lambda name: send_file(sink, root, name), data))
        sizes += [send_file(sink, root, name) for name in metadata]
        sink.commit()
    return len(sizes), sum(sizes)


def metadata_last(names: list[str]) -> tuple[list[str], list[str]]:
    """Part data from metadata, and order these so that outer groups come last."""
    data = [name for name in names if Path(name).name not in METADATA]
    return data, sorted(set(names) - set(data), key=lambda name: -name.count("/"))


@contextlib.contextmanager
def _locked_source(root: Path) -> Iterator[list[str]]:
    """Keep recordings out of a store; give its files, relative and with slashes."""
    if not any((root / name).is_file() for name in METADATA):
        raise StorageError(f"{root} is no Zarr store: it has no zarr.json, .zgroup or .zarray")
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
            shard.write(offset, file.read(PIECE_NBYTES))
    shard.finish(nbytes, sync=True)
    return nbytes
