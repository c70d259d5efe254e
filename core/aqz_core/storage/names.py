"""Names, and limits, of the files that a store holds beside its chunks."""

from __future__ import annotations

__all__ = [
    "ACQUIRE_JSON",
    "LOCK_SUFFIX",
    "LOG_NAME",
    "MAX_DOCUMENT_NBYTES",
    "METADATA",
    "NODES",
    "PARTIAL",
    "SPILL_MARKER",
]

ACQUIRE_JSON = "acquire.json"
"""Custom metadata of a store, as acquire-zarr 0.5.1 kept them."""

LOCK_SUFFIX = ".aqz-lock"
"""Ends the name of a lock file."""

LOG_NAME = "aqz.frames.jsonl"
"""Log of frames, in the directory of the full-resolution array."""

NODES = ("zarr.json", ".zarray", ".zgroup")
"""Names of the files that make a folder a node, of Zarr V3 and V2."""

MAX_DOCUMENT_NBYTES = 16 << 20
"""Bytes of a metadata file that is read; parsed, it takes some thirty times as many."""

METADATA = (*NODES, ".zattrs", ".zmetadata")
"""Names of metadata files of both formats."""

SPILL_MARKER = ".aqz-spill-"
"""Begins the name of what marks a store whose recording may go on in a folder."""

PARTIAL = ".aqz-partial"
"""Ends the name of a file that is being written, beside its final name."""
