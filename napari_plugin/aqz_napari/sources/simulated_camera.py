"""A camera that needs no hardware: drifting beads, for samples, tests and pictures.

Frames are cheap: one noisy background drawn beforehand, shifted, with a few bright spots.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_napari.sources.frame_source import register_source
from aqz_napari.sources.generator_source import GeneratorSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["PIXEL_SIZE", "frames", "sample_data", "simulated_source"]

PIXEL_SIZE = 0.65
"""Micrometres."""

_EDGE = 13
_FED = "fed by the simulated camera"
_FEED_MS = 100


def frames(
    shape: tuple[int, int] = (512, 512), rate: float | None = 50.0, count: int | None = None
) -> Iterator[NDArray[np.uint16]]:
    """Yield frames at a rate.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns, at least 64 each.
    rate : float or None
        Frames a second; None as fast as they are asked for.
    count : int or None
        How many; None goes on for ever.
    """
    random = np.random.default_rng(0)
    background = random.normal(220, 12, (2 * shape[0], shape[1])).astype(np.uint16)
    beads = random.uniform((0, 0), shape, (max(8, shape[0] * shape[1] // 9000), 2))
    speed = random.normal(0, 0.35, beads.shape)
    profile = np.exp(-0.5 * (np.linspace(-2.6, 2.6, _EDGE)) ** 2)
    spot = np.outer(profile, profile)
    images = [(spot * peak).astype(np.uint16) for peak in random.uniform(500, 3600, len(beads))]
    start = time.monotonic()
    for number in itertools.count() if count is None else range(count):
        if rate:
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
        first = (number * 37) % shape[0]
        frame = background[first : first + shape[0]].copy()
        places = (beads + number * speed) % (np.array(shape) - _EDGE)
        for (y, x), image in zip(places.astype(int), images, strict=True):
            frame[y : y + _EDGE, x : x + _EDGE] += image
        yield frame


def simulated_source(
    shape: tuple[int, int] = (512, 512), rate: float = 50.0, count: int | None = None
) -> GeneratorSource:
    """Return the camera as a source that delivers every frame."""
    return GeneratorSource(
        lambda: frames(shape, rate, count),
        "simulated camera",
        shape=shape,
        dtype="uint16",
        scale=(PIXEL_SIZE, PIXEL_SIZE),
        unit="micrometer",
    )


def sample_data() -> list[tuple[Any, dict[str, Any], str]]:
    """Return a live view of the camera, for File > Open Sample; offers the camera too.

    The layer is fed while it is in a viewer with a window.
    """
    register_source("simulated camera", simulated_source)
    camera = frames(rate=None)
    options = {
        "name": "live",
        "scale": (PIXEL_SIZE, PIXEL_SIZE),
        "units": ("micrometer", "micrometer"),
        "axis_labels": ("y", "x"),
        "colormap": "green",
        "contrast_limits": (260, 3000),
        "metadata": {_FED: True},
    }
    _feed(camera)
    return [(next(camera), options, "image")]


def _feed(camera: Iterator[NDArray[np.uint16]]) -> None:
    """Show frame after frame in the sample's layer, until it is removed."""
    napari = sys.modules.get("napari")
    viewer = napari.current_viewer() if napari is not None else None
    if viewer is None:
        return
    from qtpy.QtCore import QTimer

    timer = QTimer(viewer.window._qt_window)
    fed: list[Any] = []

    def show() -> None:
        if not fed:
            fed.extend(layer for layer in viewer.layers if layer.metadata.pop(_FED, False))
        elif fed[0] in viewer.layers:
            fed[0].data = next(camera)
        else:
            timer.stop()

    timer.timeout.connect(show)
    timer.start(_FEED_MS)
