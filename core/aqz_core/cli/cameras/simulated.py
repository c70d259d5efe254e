"""A simulated fluorescence time-lapse: cells that wander and bleach, on a noisy camera.

For demonstrations and tests without a microscope. Every frame differs from every
other, depends on nothing but the seed and its number, and carries that number in
its top left corner, so that a recording can be checked for order and completeness.
Made to be cheap: the noise of a frame is a window into noise drawn beforehand, and
only the pixels near cells are computed.
"""

from __future__ import annotations

import time
from itertools import count as count_from
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["SimulatedCamera", "frame_number"]

_MARK_SHAPE = (4, 8)  # one pixel a bit, 32 bits, the lowest first
_MARK_BRIGHT = 4095
_OFFSET = 100.0  # counts without light
_BACKGROUND = 25.0  # photons a pixel
_READ_NOISE = 1.6  # counts
_BLEACHING_TIME = 400.0  # frames until 1/e of the light is left
_LARGEST_RADIUS = 10.0  # pixels, so that big frames stay cheap
_AREA_PER_CELL = 96 * 96
_MOST_CELLS = 160


class SimulatedCamera:
    """A camera that looks at simulated cells.

    Parameters
    ----------
    shape
        Size of a frame, ``(Y, X)`` pixels; at least ``(4, 8)``, which the mark with
        the frame number takes.
    seed
        Cameras of equal shape and seed give equal frames.
    pixel_size_um
        Edge of a pixel in the sample, micrometres.

    Raises
    ------
    SettingsError
        The shape is too small.
    """

    name = "simulated cells"
    dtype: np.dtype[Any] = np.dtype("uint16")
    components = 1

    def __init__(
        self, shape: tuple[int, int] = (512, 512), *, seed: int = 0, pixel_size_um: float = 0.65
    ) -> None:
        if shape[0] < _MARK_SHAPE[0] or shape[1] < _MARK_SHAPE[1]:
            raise SettingsError(
                f"a simulated frame of shape {shape} is too small; "
                f"choose at least {_MARK_SHAPE[0]} rows of {_MARK_SHAPE[1]} pixels"
            )
        self.shape = shape
        self.seed = seed
        self.pixel_size_um = pixel_size_um
        random = np.random.default_rng(seed)
        # Twice a frame: a frame's background is a window at a place of its own.
        pixels = 2 * shape[0] * shape[1]
        dark = random.normal(_OFFSET, _READ_NOISE, pixels)
        self._background = (dark + random.poisson(_BACKGROUND, pixels)).astype(np.uint16)
        self._normal: NDArray[np.float32] = random.standard_normal(1 << 16, np.float32)
        self._cells = _Cells(shape, random)

    def frames(self, count: int | None, interval: float | None = None) -> Iterator[NDArray[Any]]:
        """Yield frames 0, 1, 2 ...; see `Camera.frames`.

        A frame is not made before its time, but also not left out when the one
        before it was taken late: it then follows at once.
        """
        start = time.monotonic()
        for number in count_from() if count is None else range(count):
            if interval is not None:
                time.sleep(max(0.0, start + number * interval - time.monotonic()))
            yield self.frame(number)

    def frame(self, number: int) -> NDArray[np.uint16]:
        """Return the frame with that number, shape ``(Y, X)``."""
        random = np.random.default_rng((self.seed, number))
        height, width = self.shape
        first = int(random.integers(height * width))
        window = self._background[first : first + height * width]
        frame: NDArray[np.uint16] = window.reshape(self.shape).copy()
        self._cells.expose(frame, number, self._normal, random)
        _write_mark(frame, number)
        return frame


class _Cells:
    """Where the cells are, and the light they give."""

    def __init__(self, shape: tuple[int, int], random: np.random.Generator) -> None:
        cells = int(np.clip(shape[0] * shape[1] / _AREA_PER_CELL, 6, _MOST_CELLS))
        self._home = random.uniform(0, shape, (cells, 2))  # pixels
        self._reach = random.uniform(0.01, 0.06, (cells, 2)) * min(shape)  # pixels
        self._pace = random.uniform(0.02, 0.09, (cells, 2))  # radians a frame
        self._phase = random.uniform(0, 2 * np.pi, (cells, 2))
        largest = min(_LARGEST_RADIUS, 0.04 * min(shape))
        radii = random.uniform(0.5 * largest, largest, cells)
        photons = random.uniform(300, 1800, cells)
        self._images = [_spot(radius, peak) for radius, peak in zip(radii, photons, strict=True)]

    def expose(
        self,
        frame: NDArray[np.uint16],
        number: int,
        normal: NDArray[np.float32],
        random: np.random.Generator,
    ) -> None:
        """Add the light of all cells, with its shot noise, to a frame in place."""
        centres = self._home + self._reach * np.sin(self._pace * number + self._phase)
        bleached = np.float32(np.exp(-number / _BLEACHING_TIME))
        corners = np.rint(centres).astype(int)
        starts = random.integers(len(normal), size=len(corners))
        for (y, x), image, start in zip(corners, self._images, starts, strict=True):
            half = len(image) // 2
            top, left = y - half, x - half
            rows = slice(max(0, top), max(0, top + len(image)))
            columns = slice(max(0, left), max(0, left + len(image)))
            target = frame[rows, columns]
            seen = image[rows.start - top :, columns.start - left :]
            photons = seen[: target.shape[0], : target.shape[1]] * bleached
            # Poisson noise of many photons is normal with their root as deviation.
            noise = normal.take(np.arange(start, start + photons.size), mode="wrap")
            photons += np.sqrt(photons) * noise.reshape(photons.shape)
            target += np.maximum(photons, 0).astype(np.uint16)


def frame_number(frame: NDArray[Any]) -> int:
    """Return the number that a simulated frame carries in its top left corner.

    Parameters
    ----------
    frame
        A frame of `SimulatedCamera`, shape ``(Y, X)``, also read back from a store.
    """
    rows, columns = _MARK_SHAPE
    bits = (frame[:rows, :columns] == _MARK_BRIGHT).ravel()
    return sum(1 << place for place, bit in enumerate(bits.tolist()) if bit)


def _write_mark(frame: NDArray[np.uint16], number: int) -> None:
    """Write a frame's number into its corner; 32 bits last for years at 60 a second."""
    rows, columns = _MARK_SHAPE
    bits = (number >> np.arange(rows * columns)) & 1
    frame[:rows, :columns] = (bits * _MARK_BRIGHT).reshape(_MARK_SHAPE)


def _spot(radius: float, peak: float) -> NDArray[np.float32]:
    """Return the mean image of a cell, photons: a Gaussian with that deviation."""
    half = int(np.ceil(3 * radius))
    profile = np.exp(-0.5 * (np.arange(-half, half + 1) / radius) ** 2)
    spot: NDArray[np.float32] = (peak * np.outer(profile, profile)).astype(np.float32)
    return spot
