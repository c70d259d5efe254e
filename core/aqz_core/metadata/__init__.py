"""Metadata documents: Zarr V3 and V2, OME-NGFF 0.5 and 0.4, plates, users' own.

May import the vocabulary only.

Pure functions from plain values to JSON objects, and `to_json` from those to
bytes. Nothing here opens a file or knows when one is written; the modules are
`zarr_v3`, `zarr_v2`, `ngff`, `omero`, `channel_colors`, `plate`, `units`, `custom`, `json_text`.
"""

from __future__ import annotations

from aqz_core.metadata.custom import merge_custom, parse_custom_metadata
from aqz_core.metadata.json_text import Document, to_json
from aqz_core.metadata.ngff import Axis, ngff_advice, ngff_problems
from aqz_core.metadata.units import normalise_unit

__all__ = [
    "Axis",
    "Document",
    "merge_custom",
    "ngff_advice",
    "ngff_problems",
    "normalise_unit",
    "parse_custom_metadata",
    "to_json",
]
