"""Making saved labels labels of OME-NGFF: groups that list them, images that say what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["list_labels"]


def list_labels(store: Path, keys: Sequence[str]) -> None:
    """Mark label images of a store on this machine, and list those that belong to an image.

    Parameters
    ----------
    store : pathlib.Path
        Finished.
    keys : sequence of str
        The label images; those in a group ``labels`` belong to the image above it.
    """
    if not keys:
        return
    import zarr

    root = zarr.open_group(store, mode="r+")
    listed: dict[str, list[str]] = {}
    for key in keys:
        image = root[key] if key else root
        if not isinstance(image, zarr.Group):
            continue  # a plain array, because of its axes
        _add(image, {"image-label": {"version": "0.5"}})
        parent, _, name = key.rpartition("/")
        if parent == "labels" or parent.endswith("/labels"):
            listed.setdefault(parent, []).append(name)
    for parent, names in listed.items():
        _add(root[parent], {"version": "0.5", "labels": names})
    if "OME" in root and "series" in root["OME"].attrs.get("ome", {}):
        series = root["OME"].attrs["ome"]["series"]
        parts = {f"{parent}/{name}" for parent, names in listed.items() for name in names}
        _add(root["OME"], {"series": [key for key in series if key not in parts]})


def _add(group: Any, metadata: dict[str, Any]) -> None:
    """Add to the OME metadata of a group."""
    group.attrs["ome"] = {**group.attrs.get("ome", {}), **metadata}
