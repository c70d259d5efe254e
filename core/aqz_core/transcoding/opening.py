"""Which format a source has: told by what is there, not by its name alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aqz_core.errors import StorageError
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.transcoding.zarr_source import ZarrSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aqz_core.settings.s3 import S3Settings
    from aqz_core.transcoding.source import Source

__all__ = ["open_source"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"


def open_source(
    place: str | os.PathLike[str],
    s3: S3Settings | None,
    axes: str,
    plugins: Iterable[object],
) -> Source:
    """Return what is to be transcoded.

    Parameters
    ----------
    place, s3, plugins
        As for `transcode`.
    axes
        A letter for each axis, where the source does not name them.

    Raises
    ------
    StorageError
        There is nothing, or nothing that can be read.
    SettingsError
        A package that reads it is not installed, or `axes` do not fit.
    """
    text = os.fspath(place)
    if not is_local(text, s3):
        return ZarrSource(text, s3, plugins)
    path = local_path(text)
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(len(_NPY))
        if start[:4] in _TIFF:
            from aqz_core.transcoding.tiff_source import TiffSource

            return TiffSource(path, axes)
        if start == _NPY:
            from aqz_core.transcoding.npy_source import NpySource

            return NpySource(path, axes)
        raise StorageError(f"{path}: it is neither a TIFF file nor an npy file; stores are folders")
    if (path / "NDTiff.index").is_file():
        from aqz_core.transcoding.ndtiff_source import NdTiffSource

        return NdTiffSource(path)
    return ZarrSource(text, s3, plugins)
