"""Axes of a recording that were longer, or shorter, than was said when it began.

Chunks of an array stay where they are when its axes grow: only the metadata change. So a recording
that finds another plane or channel on the way is closed, resized, and resumed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from aqz_core.errors import SettingsError
from aqz_core.metadata import to_json
from aqz_core.metadata.omero import omero_attributes
from aqz_core.plugins import create_plugin_manager
from aqz_core.reading.extent import axis_names, levels_of
from aqz_core.reading.files import open_files
from aqz_core.reading.survey import survey
from aqz_core.recovery.changes import changing, locked
from aqz_core.settings.keys import normalise_key

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from aqz_core.reading.node import Node
    from aqz_core.settings.array import Channel
    from aqz_core.settings.s3 import S3Settings

__all__ = ["resize_axes"]


def resize_axes(
    store: str | os.PathLike[str],
    key: str,
    sizes: Mapping[str, int],
    *,
    channels: Sequence[Channel] = (),
    s3: S3Settings | None = None,
) -> None:
    """Change the declared sizes of leading axes of an array, or of an image without a pyramid.

    Nothing that is stored is touched but the metadata: what an axis gains reads as the fill value
    until it is recorded (`ZarrStream.resume`), and what it loses must not have been recorded.

    Parameters
    ----------
    store : str or os.PathLike
        Its directory or URL. No stream may record to it.
    key : str
        The array.
    sizes : mapping of str to int
        New size of each axis that changes, by name; not of the last two.
    channels : sequence of Channel, optional
        Display settings of all channels, if their number changes.
    s3 : S3Settings, optional
        As for `repair_store`.

    Raises
    ------
    SettingsError
        There is no such array or axis, or it has a pyramid.
    StoreBusyError
        A stream writes the store at this moment.
    StorageError
        There is no such store, or it cannot be changed.
    """
    files = open_files(store, s3)
    try:
        hooks = create_plugin_manager(())
        with locked(files, hooks) as lock, changing(files, hooks, lock) as changes:
            by_name = {node.name: node for node in survey(files)}
            owner = by_name.get(normalise_key(key))
            levels = [] if owner is None else levels_of(owner, by_name)
            if owner is None or len(levels) != 1:
                what = "has a pyramid, whose levels would not fit" if levels else "is not there"
                raise SettingsError(f"{files.url}: array {key!r} {what}; its axes cannot change")
            for name, document in _documents(owner, levels[0], dict(sizes), channels).items():
                changes.replace(name, to_json(document))
    finally:
        files.close()


def _documents(
    owner: Node, base: Node, sizes: dict[str, int], channels: Sequence[Channel]
) -> dict[str, Any]:
    """Return the metadata files that change, by name: of the array, then of its image."""
    assert base.array is not None
    names = axis_names(owner, base.array)[: len(base.array.shape) - 2]
    unknown = sorted(set(sizes) - set(names))
    if unknown:
        raise SettingsError(f"{owner.where}: there is no leading axis {unknown[0]!r} but {names}")
    documents = copy.deepcopy(base.documents)
    document = next(iter(documents.values()))
    for name, size in sizes.items():
        document["shape"][names.index(name)] = size
    documents |= {} if owner is base else copy.deepcopy(owner.documents)
    for node in (base, owner):
        attributes = node.format.attributes_in(documents, node.name)
        if "aqz" in attributes:
            for axis in attributes["aqz"]["axes"]:
                if axis["size"]:  # 0 is an axis without an end
                    axis["size"] = sizes.get(axis["name"], axis["size"])
        display = node.format.ome_in(attributes) or {}
        if channels and "omero" in display:
            display["omero"] = omero_attributes(channels, base.array.dtype)
    return documents
