"""Which sink a store is opened with: by the scheme of its URL, or by settings for a bucket."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING

from aqz_core.errors import PluginError, SettingsError
from aqz_core.settings.paths import url_scheme, without_password
from aqz_core.storage.filesystem import FilesystemSink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.lock import StoreLock
    from aqz_core.storage.sink import Sink, SinkProvider

__all__ = [
    "ANY_OTHER_SCHEME",
    "check_place",
    "lock_store",
    "locked_sink",
    "open_sink",
    "sink_provider",
    "store_scheme",
]

ANY_OTHER_SCHEME = "fsspec"
"""The provider of this scheme opens every URL that no provider names."""


def store_scheme(settings: StreamSettings) -> str:
    """Return the scheme of a store: ``"file"`` for a path, ``"s3"`` for one in a bucket."""
    scheme = url_scheme(settings.store_path)
    if scheme is None:
        return "s3" if settings.s3 is not None else "file"
    return scheme


def sink_provider(settings: StreamSettings, providers: Mapping[str, SinkProvider]) -> SinkProvider:
    """Return the provider that opens a store.

    Parameters
    ----------
    settings
        Name the store.
    providers
        What the plug-ins offer, by scheme.

    Raises
    ------
    SettingsError
        None opens stores of that scheme.
    """
    scheme = store_scheme(settings)
    provider = providers.get(scheme) or providers.get(ANY_OTHER_SCHEME)
    if provider is None:
        shown = without_password(settings.store_path)
        raise SettingsError(
            f"store_path {shown!r}: no sink opens {scheme}:// stores; there are sinks for "
            f"{', '.join(sorted(providers))}"
        )
    return provider


def open_sink(
    settings: StreamSettings,
    providers: Mapping[str, SinkProvider],
    part_memory: int = 0,
    *,
    claim: bool = True,
) -> Sink:
    """Open the store of a stream.

    Parameters
    ----------
    settings, providers
        As for `sink_provider`.
    part_memory
        Bytes that parts of shards may take, where they are sent in parts.
    claim
        Whether to keep other machines from writing the store; False for one of several sinks that
        write it together, of which another one does.

    Raises
    ------
    SettingsError, StorageError
        The store cannot be opened; the message says why.
    StoreBusyError
        Another machine writes there.
    StoreExistsError
        There is something in the folder for a spill.
    PluginError
        The sink takes shards in another way than its provider says.
    """
    if settings.spill is not None:
        return _open_with_spill(settings, providers, part_memory)
    provider = sink_provider(settings, providers)
    sink = provider.open(settings.store_path, settings)
    ordered = provider.storage != "random"
    if sink.random_access == ordered:
        sink.close()
        raise PluginError(
            f"the sink for {store_scheme(settings)}:// says random_access={sink.random_access}, "
            f"its provider storage={provider.storage!r}; these must agree"
        )
    if part_memory:
        sink.set_part_memory(part_memory)
    if claim:
        try:
            sink.claim()
        except BaseException:
            sink.close()
            raise
    return sink


def lock_store(settings: StreamSettings, providers: Mapping[str, SinkProvider]) -> StoreLock | None:
    """Lock a store that is going to be written; None where nothing can be locked.

    Raises
    ------
    StoreBusyError
        Somebody else writes there.
    """
    provider = sink_provider(settings, providers)
    return None if provider.lock is None else provider.lock(settings.store_path, settings)


@contextlib.contextmanager
def locked_sink(settings: StreamSettings, providers: Mapping[str, SinkProvider]) -> Iterator[Sink]:
    """Lock and open a store that is written without a stream, until the context ends.

    Errors are those of `lock_store` and `open_sink`.
    """
    with contextlib.ExitStack() as ending:
        lock = lock_store(settings, providers)
        if lock is not None:
            ending.callback(lock.release)
        sink = open_sink(settings, providers)
        ending.callback(sink.close)
        check_place(sink, lock)
        yield sink


def check_place(sink: Sink, lock: StoreLock | None) -> None:
    """Check that a store that was opened is the one that was locked.

    Raises
    ------
    StorageError
        A link on the way to it was changed between the two.
    """
    if lock is not None and isinstance(sink, FilesystemSink):
        lock.check_place(sink.root)


def _open_with_spill(
    settings: StreamSettings, providers: Mapping[str, SinkProvider], part_memory: int
) -> Sink:
    """Open a store together with the folder that takes over when it fails."""
    from aqz_core.storage.spill.folder import SpillFolder
    from aqz_core.storage.spill.sink import SpillingSink

    if sink_provider(settings, providers).storage == "random":
        raise SettingsError(
            f"spill {settings.spill!r} is for object stores, and {settings.store_path!r} is none; "
            "leave spill out"
        )
    folder = SpillFolder.create(settings)
    try:
        alone = copy.copy(settings)
        alone.spill = None
        store = open_sink(alone, providers, part_memory)
        return SpillingSink(store, folder)
    except BaseException:
        folder.close()
        raise
