"""Reads the table of frames of an image, with what did not change between frames filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aqz_core as aqz

if TYPE_CHECKING:
    import os

__all__ = ["read_frame_metadata"]


def read_frame_metadata(
    store: str | os.PathLike[str], key: str = "", *, s3: aqz.S3Settings | None = None
) -> list[dict[str, Any]]:
    """Read the metadata of the frames of an image, finished or still recorded.

    In the store a row has only those of a frame's metadata that differ from the row before. Here
    every row has all of them under ``tags``.

    Parameters
    ----------
    store : str or os.PathLike
        The store: a path or a URL.
    key : str
        The image: ``"0"``, ``"left"``, ``"A/1/0"``.
    s3 : S3Settings, optional
        How to reach a bucket.

    Returns
    -------
    list of dict
        As from `aqz_core.read_frame_metadata`, in the order of arrival.

    Raises
    ------
    AqzError
        There is no such image, or it cannot be read.
    """
    tags: dict[str, Any] = {}
    rows = []
    for row in aqz.read_frame_metadata(store, key, s3=s3):
        changed = row.pop("changed", None)
        tags = {**tags, **(changed or {})}
        rows.append({**row, "tags": dict(tags)} if tags else row)
    return rows
