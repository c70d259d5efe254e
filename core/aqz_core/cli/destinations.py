"""Where commands may put what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StoreExistsError
from aqz_core.settings.paths import check_local_store, local_path, url_scheme
from aqz_core.storage.names import METADATA

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_lasting", "local_output"]


def check_lasting(destination: str) -> None:
    """Raise `SettingsError` for a URL whose store ends with this program."""
    if url_scheme(destination) == "memory":
        raise SettingsError(
            f"{destination} is in the memory of this command and would be gone when it ends; give "
            "a path, or the URL of a store that lasts"
        )


def local_output(output: str, *, overwrite: bool) -> Path:
    """Return the directory of a store that can be made, or replaced.

    Found out before a camera is opened, which takes its time.

    Raises
    ------
    StoreExistsError
        Something is there, and is not a store that may be overwritten.
    SettingsError
        No store can be there.
    """
    path = local_path(output)
    check_local_store(path, overwrite=overwrite)
    if not path.exists():
        return path
    if not overwrite:
        raise StoreExistsError(
            f"{path} already exists; add --overwrite to replace it, "
            "or choose another place with --output"
        )
    is_store = any((path / name).is_file() for name in METADATA)
    if not path.is_dir() or not (is_store or not any(path.iterdir())):
        raise StoreExistsError(
            f"{path} is not a Zarr store and is left alone; choose another place with --output"
        )
    return path
