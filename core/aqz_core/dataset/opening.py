"""The call that opens a store as a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.dataset.collection import Dataset
from aqz_core.dataset.view import StoreView

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from aqz_core.settings.s3 import S3Settings

__all__ = ["open_dataset"]


def open_dataset(
    store: str | os.PathLike[str],
    *,
    s3: S3Settings | None = None,
    plugins: Iterable[object] = (),
) -> Dataset:
    """Open a store for reading: finished, broken, or while it is recorded.

    Reads Zarr V2 and V3 with NGFF 0.4 and 0.5, whoever wrote them: single images, several, plates.

    Parameters
    ----------
    store : str or os.PathLike
        The store: a path or a URL.
    s3 : S3Settings, optional
        How to reach a bucket. With it, `store` may be a path in the bucket.
    plugins : iterable of object
        Plug-ins that offer further codecs.

    Returns
    -------
    Dataset
        Its images, and what they hold. Nothing but metadata has been read yet.

    Raises
    ------
    SettingsError
        The store cannot be reached like that.
    StorageError
        There is no such store, or it cannot be read.

    Examples
    --------
    >>> cells = open_dataset("cells.ome.zarr")  # doctest: +SKIP
    >>> cells.read_image(channel="DAPI", z=3, t=0)  # doctest: +SKIP
    >>> cells.to_xarray().sel(c="DAPI").max("z")  # doctest: +SKIP
    """
    return Dataset(StoreView(store, s3, plugins))
