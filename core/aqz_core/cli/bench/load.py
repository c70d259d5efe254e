"""Frames as a camera sends them: its data rate, its noise, and its pace.

Nothing here knows of streams or stores; `measure` feeds one with them.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aqz_core.enums import DataType
from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["CameraLoad", "Delivery", "deliver", "make_ring"]

RING_NBYTES = 256 << 20
"""Frames are made beforehand, as many different ones as fit in this, but sixteen at most."""

MAX_TILE_EDGE = 1024
"""Noise is drawn for no more rows and columns, and repeated beyond, where the proposed chunks have
ended: a codec does not meet the same noise twice."""

EXPOSURES = 4

_FORM = re.compile(
    r"\s*([1-9]\d{0,5})\s*[xX×]\s*([1-9]\d{0,5})\s*@\s*(\d+(?:\.\d+)?)\s*(?::\s*(\w+))?\s*"  # noqa: RUF001
)


@dataclass(frozen=True, slots=True)
class CameraLoad:
    """What a camera sends.

    Attributes
    ----------
    shape
        Rows and columns of a frame.
    fps
        Frames a second.
    data_type
        Of the pixels.
    """

    shape: tuple[int, int]
    fps: float
    data_type: DataType

    @classmethod
    def parse(cls, text: str) -> CameraLoad:
        """Read a text like ``"2048x2048@100:uint16"``; uint16 may be left out.

        Raises
        ------
        SettingsError
            It is of another form, or names an unknown data type.
        """
        match = _FORM.fullmatch(text)
        if match is None or float(match[3]) <= 0:
            raise SettingsError(
                f"camera {text!r} is not rows x columns @ frames a second : data type, "
                "for example 2048x2048@100:uint16"
            )
        data_type = DataType.of(match[4] or "uint16")
        if data_type is DataType.BOOL:
            raise SettingsError(f"camera {text!r}: no camera sends pixels of type bool")
        return cls((int(match[1]), int(match[2])), float(match[3]), data_type)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a pixel."""
        return self.data_type.dtype

    @property
    def frame_nbytes(self) -> int:
        """Bytes of a frame."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_per_second(self) -> float:
        """Bytes that the camera sends a second."""
        return self.frame_nbytes * self.fps

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.shape[0]}x{self.shape[1]}@{self.fps:g}:{self.dtype.name}"


def make_ring(camera: CameraLoad, *, seed: int = 0) -> npt.NDArray[Any]:
    """Return different frames with the shot noise of a fluorescence image.

    Soft bright spots on a background of a hundred photons, Poisson noise on every pixel: what a
    codec finds in it is what it finds in a camera's frames, and not in zeros or in random bytes.

    Returns
    -------
    ndarray
        Shape (frames, Y, X), 2 to 16 frames.
    """
    rng = np.random.default_rng(seed)
    tile = (min(camera.shape[0], MAX_TILE_EDGE), min(camera.shape[1], MAX_TILE_EDGE))
    photons = _scene(rng, tile)
    if camera.dtype.itemsize == 1:
        photons /= 8
    exposures = [_digitized(rng.poisson(photons), camera.dtype) for _ in range(EXPOSURES)]
    frames = max(2, min(4 * EXPOSURES, RING_NBYTES // camera.frame_nbytes))
    ring = np.empty((frames, *camera.shape), camera.dtype)
    for number, frame in enumerate(ring):
        mirror, exposure = divmod(number, EXPOSURES)
        rows, cols = (-1 if mirror & 1 else 1), (-1 if mirror & 2 else 1)
        _fill(frame, exposures[exposure][::rows, ::cols])
    return ring


def _scene(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the photons that are expected in each pixel."""
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    photons = np.full(shape, 100.0)
    for _ in range(40):
        radius = max(1.0, rng.uniform(0.01, 0.05) * max(shape))
        # A Gaussian is the product of one along Y and one along X.
        along_y, along_x = (
            np.exp(-0.5 * ((places - rng.uniform(0, size)) / radius) ** 2)
            for places, size in ((y, shape[0]), (x, shape[1]))
        )
        photons += rng.uniform(100, 900) * (along_y * along_x)
    return photons


def _digitized(photons: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return counts of a camera with an offset of 100, or photons where bytes hold no more."""
    counts = photons if dtype.itemsize == 1 else photons + 100
    if dtype.kind == "f":
        return counts.astype(dtype)
    return np.minimum(counts, np.iinfo(dtype).max).astype(dtype)


def _fill(frame: npt.NDArray[Any], tile: npt.NDArray[Any]) -> None:
    """Cover a frame with a tile, cut at the edges."""
    for top in range(0, frame.shape[0], tile.shape[0]):
        for left in range(0, frame.shape[1], tile.shape[1]):
            part = frame[top : top + tile.shape[0], left : left + tile.shape[1]]
            part[...] = tile[: part.shape[0], : part.shape[1]]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """How frames were taken.

    Attributes
    ----------
    frames
        How many were taken.
    seconds
        Until the last of them was.
    latencies
        Seconds that each call took, shape (frames,).
    backlog
        The most frames that the camera had sent and that were not taken yet: what its buffer must
        hold. 0 without a pace.
    """

    frames: int
    seconds: float
    latencies: npt.NDArray[np.float64]
    backlog: int


def deliver(
    take: Callable[[npt.NDArray[Any]], object],
    ring: npt.NDArray[Any],
    *,
    seconds: float,
    fps: float | None = None,
    most_frames: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> Delivery:
    """Hand frames over as a camera does, which waits for nobody.

    A frame that is taken late does not make the next one later: it is due when it is due, and
    piles up behind the one before.

    Parameters
    ----------
    take
        Takes a frame of shape (Y, X).
    ring
        Frames, shape (n, Y, X), handed over in turn.
    seconds
        How long; at least one frame is handed over.
    fps
        The camera's pace; None hands over frames as fast as they are taken.
    most_frames
        Stop after as many.
    clock, sleep
        The time, and a way to let it pass.
    """
    latencies: list[float] = []
    backlog = 0
    start = end = clock()
    number = 0
    while not number or (end - start < seconds and number != most_frames):
        begun = end
        if fps is not None:
            due = start + number / fps
            if begun < due:
                sleep(due - begun)
                begun = clock()
            if begun - start >= seconds and number:
                break
        take(ring[number % len(ring)])
        end = clock()
        number += 1
        latencies.append(end - begun)
        if fps is not None:
            backlog = max(backlog, math.floor((end - start) * fps) + 1 - number)
    return Delivery(number, end - start, np.array(latencies), backlog)
