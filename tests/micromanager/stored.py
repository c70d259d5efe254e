"""Reads what an acquisition left in a store, with zarr-python: frames by Micro-Manager's axes."""

from __future__ import annotations

import itertools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import zarr

__all__ = ["attributes", "frames_by_axes", "image", "image_keys", "seen_by_axes", "series"]

Axes = frozenset[tuple[str, Any]]


def attributes(store: Path, key: str = "") -> dict[str, Any]:
    """Return the attributes of a group or array."""
    document = json.loads((store / key / "zarr.json").read_text())
    return document["attributes"]


def series(store: Path) -> list[str]:
    """Return the images that the store lists."""
    assert attributes(store)["ome"]["bioformats2raw.layout"] == 3
    return attributes(store, "OME")["ome"]["series"]


def image_keys(store: Path) -> list[str]:
    """Return the key of every image or array of frames."""
    found = [
        str(file.parent.relative_to(store))
        for file in sorted(store.rglob("zarr.json"))
        if "micromanager" in json.loads(file.read_text()).get("attributes", {})
    ]
    return ["" if key == "." else key for key in found]


def image(store: Path, key: str = "") -> np.ndarray:
    """Return the pixels of an image at full resolution, or of an array."""
    levels = store / key / "0"
    return zarr.open_array(levels if (levels / "zarr.json").exists() else store / key, mode="r")[:]


def frames_by_axes(store: Path) -> dict[Axes, int]:
    """Return the crc32 of every stored frame by its axes; frames of the fill value left out."""
    found: dict[Axes, int] = {}
    for key in image_keys(store):
        notes = attributes(store, key)["micromanager"]
        pixels = image(store, key)
        names = [axis["name"] for axis in notes["axes"]]
        values = [
            range(*axis["range"])
            if "range" in axis
            else range(pixels.shape[n])
            if axis["values"] is None
            else axis["values"]
            for n, axis in enumerate(notes["axes"])
        ]
        site = {}
        if "key" in notes["position"]:
            site = {"position": notes["position"]["key"][0]}
        for index in itertools.product(*(range(len(axis)) for axis in values)):
            if any(i >= n for i, n in zip(index, pixels.shape, strict=False)):
                continue  # the first axis ends where the acquisition ended
            frame = pixels[index]
            if not frame.any():
                continue
            axes = {name: axis[i] for name, axis, i in zip(names, values, index, strict=True)}
            found[frozenset({**site, **axes}.items())] = zlib.crc32(np.ascontiguousarray(frame))
    return found


def seen_by_axes(report: dict[str, Any]) -> dict[Axes, int]:
    """Return the crc32 of every frame that the engine handed over by its axes."""
    seen = {frozenset(axes.items()): crc for axes, crc in report["seen"]}
    assert len(seen) == len(report["seen"])
    return seen
