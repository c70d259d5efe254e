"""Several images in one store, listed where readers look for them.

NGFF (section "bioformats2raw.layout", transitional) marks the root group as a collection of images
and lists their paths, in order, in the attribute ``series`` of a group named ``OME``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_core.metadata import Document, ngff, to_json
from aqz_core.metadata.ngff import LAYOUT, SERIES_GROUP
from aqz_core.metadata.zarr_format import read_node, zarr_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.enums import ZarrVersion
    from aqz_core.storage.sink import Sink

__all__ = ["write_series"]


def write_series(sink: Sink, version: ZarrVersion, keys: Sequence[str]) -> None:
    """Write the root group and the list of images; images listed before stay first.

    Parameters
    ----------
    sink
        The store.
    version
        Zarr format.
    keys
        Of the images, in order.
    """
    form = zarr_format(version)
    before = _attributes(sink, SERIES_GROUP)
    listed = before.get("ome", before).get("series", [])
    series = list(dict.fromkeys([*listed, *keys]))
    own: dict[str, Document] = {
        "": {"bioformats2raw.layout": LAYOUT},
        SERIES_GROUP: {"series": series},
    }
    for name, document in own.items():
        if form.ngff_version == "0.5":
            document = {"version": form.ngff_version, **document}
        attributes = _attributes(sink, name) | ngff.attributes(document, form.ngff_version)
        for file, content in form.group_documents(name, attributes).items():
            sink.write(file, to_json(content), sync=False)


def _attributes(sink: Sink, name: str) -> Document:
    """Return the attributes of a group that may be stored."""
    node = read_node(sink.read, name)
    return {} if node is None else node.attributes
