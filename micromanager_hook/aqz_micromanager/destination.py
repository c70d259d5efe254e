"""Where a recording goes: checked before anything moves, numbered if asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import aqz_core as aqz

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_destination", "is_in_bucket", "numbered"]

_NUMBER = "{n}"
_METADATA = ("zarr.json", ".zgroup", ".zarray")


def is_in_bucket(store: str, settings: aqz.StreamSettings | None) -> bool:
    """Return whether a store is an object store's: by its URL, or by the settings."""
    of_settings = settings is not None and settings.s3 is not None
    return of_settings or ("://" in store and not store.startswith("file:"))


def numbered(store: str) -> str:
    """Return a path with the first number in place of ``{n}`` that nothing has: from 1 on.

    Raises
    ------
    SettingsError
        It is a URL, of which not all can be asked what there is.
    """
    if _NUMBER not in store:
        return store
    if "://" in store:
        raise aqz.SettingsError(
            f"store {aqz.without_password(store)!r}: {_NUMBER} counts runs on this machine; give "
            "a URL a name of its own"
        )
    paths = (store.replace(_NUMBER, str(number)) for number in _from_one())
    return next(path for path in paths if not os.path.lexists(Path(path).expanduser()))


def _from_one() -> Iterator[int]:
    """Yield 1, 2, 3 ..."""
    number = 0
    while True:
        number += 1
        yield number


def check_destination(store: str, *, overwrite: bool) -> None:
    """Check what can be known of a place on this machine without making anything.

    Parameters
    ----------
    store
        Path.
    overwrite
        Whether a store there is replaced.

    Raises
    ------
    SettingsError
        The folder above is missing or cannot be written.
    StoreExistsError
        There is a store.
    """
    path = Path(store).expanduser()
    parent = path.absolute().parent
    if not parent.is_dir():
        raise aqz.SettingsError(
            f"store {store!r} cannot be made: there is no folder {str(parent)!r}; make it first"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise aqz.SettingsError(
            f"store {store!r} cannot be made: {str(parent)!r} cannot be written; change its "
            "permissions or choose another place"
        )
    there = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if not overwrite and there - set(_METADATA) and there & set(_METADATA):
        raise aqz.StoreExistsError(
            f"{store} is a store already. Choose another name ('run_{{n}}.ome.zarr' numbers runs), "
            "or set overwrite=True in settings=StreamSettings(...) to remove it first."
        )
