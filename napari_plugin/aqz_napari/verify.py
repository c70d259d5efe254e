"""Reading a recording back: every index, every chunk, every checksum."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import aqz_core as aqz

__all__ = ["verify_store"]


def verify_store(store_path: str) -> tuple[str, str]:
    """Read all arrays of a store on this machine.

    Returns
    -------
    (problem, summary)
        What is wrong, empty if nothing is; and what was read.
    """
    arrays, planes = 0, 0
    root = Path(store_path)
    for document in sorted(root.rglob("zarr.json")):
        if '"array"' not in document.read_text(encoding="utf-8"):
            continue
        try:
            reader = aqz.ZarrArrayReader(document.parent)
            for index in np.ndindex(reader.shape[:-2]):
                reader.read_plane(*index)
                planes += 1
        except aqz.AqzError as error:
            return str(error), ""
        arrays += 1
    if not arrays:
        return f"{store_path} holds no array that could be verified", ""
    return "", f"Verified: {planes} planes of {arrays} arrays read back, all checksums right."
