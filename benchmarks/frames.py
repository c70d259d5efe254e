"""Pixels to record, made before the clock starts.

A ring of sixteen different frames is enough for any length: writers see each chunk with fresh
bytes, and the memory of the test data stays small and known. Nothing here is timed.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.cases import Case

__all__ = ["RING", "make_ring"]

RING = 16
"""Frames in the ring."""


def make_ring(case: Case) -> NDArray[Any]:
    """Return sixteen different frames of the case's kind.

    Returns
    -------
    ndarray, shape (16, Y, X), dtype of the case
        C-contiguous; the same pixels for every writer and in every run.
    """
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    dtype = np.dtype(case.dtype)
    if case.data == "camera":
        return _camera(rng, case.frame, dtype)
    if dtype.kind == "f":
        return rng.random((RING, *case.frame), dtype=np.float32).astype(dtype, copy=False)
    raw = rng.bytes(RING * case.frame_bytes)
    return np.frombuffer(bytearray(raw), dtype).reshape(RING, *case.frame)


def _camera(rng: np.random.Generator, frame: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Shot noise on blurred blobs over a background; four exposures, each mirrored four ways."""
    photons = _scene(rng, frame)
    if dtype.itemsize == 1:
        photons = photons / 8
    exposures = [rng.poisson(photons) for _ in range(RING // 4)]
    ring = np.empty((RING, *frame), dtype)
    for i, counts in enumerate(exposures):
        # Offset and gain of a common scientific camera; integers keep the photon counts' grain.
        levels = (
            counts * 0.46 + 100
            if dtype.kind == "f"
            else np.minimum(counts, 2 ** (8 * dtype.itemsize) - 1)
        )
        ring[4 * i : 4 * i + 4] = [levels, levels[::-1], levels[:, ::-1], levels[::-1, ::-1]]
    return ring


def _scene(rng: np.random.Generator, frame: tuple[int, int]) -> NDArray[np.float64]:
    """Return expected photons per pixel, shape (Y, X): 40 soft spots on a background of 100."""
    height, width = frame
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    photons = np.full(frame, 100.0)
    for _ in range(40):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.01, 0.05) * max(frame)
        # A Gaussian is a product of two vectors: no exponential per pixel.
        photons += rng.uniform(100, 900) * (
            np.exp(-((y - cy) ** 2) / (2 * radius**2)) * np.exp(-((x - cx) ** 2) / (2 * radius**2))
        )
    return photons
