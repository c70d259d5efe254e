"""Several images in one store, listed where readers look for them.

NGFF (section "bioformats2raw.layout", transitional) marks the root group as a collection of images
and lists their paths, in order, in the attribute ``series`` of a group named ``OME``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aqz_core.enums import ZarrVersion
from aqz_core.metadata import Document, ngff, to_json
from aqz_core.metadata.ngff import LAYOUT, SERIES_GROUP
from aqz_core.planning.documents import group_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    ngff_version: ngff.NgffVersion = "0.4" if version is ZarrVersion.V2 else "0.5"
    before = _attributes(sink, version, SERIES_GROUP)
    listed = before.get("ome", before).get("series", [])
    series = list(dict.fromkeys([*listed, *keys]))
    own: dict[str, Document] = {
        "": {"bioformats2raw.layout": LAYOUT},
        SERIES_GROUP: {"series": series},
    }
    for name, document in own.items():
        if ngff_version == "0.5":
            document = {"version": ngff_version, **document}
        attributes = _attributes(sink, version, name) | ngff.attributes(document, ngff_version)
        for file, content in group_documents(version, name, attributes).items():
            sink.write(file, to_json(content), sync=False)


def _attributes(sink: Sink, version: ZarrVersion, name: str) -> Document:
    """Return the attributes of a group that may be stored."""
    prefix = f"{name}/" if name else ""
    file = ".zattrs" if version is ZarrVersion.V2 else "zarr.json"
    try:
        found: Any = json.loads(sink.read(prefix + file) or b"{}")
    except ValueError:
        return {}
    if version is not ZarrVersion.V2 and isinstance(found, dict):
        found = found.get("attributes", {})
    return found if isinstance(found, dict) else {}
