"""A recording while it runs: its frames as they become readable."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aqz_core.errors import FrameMissingError, StalledError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt


__all__ = ["StoredFrame", "follow", "wait_for"]

_POLL_SECONDS = 0.1
"""A recording lets readers see more twice a second."""


class FollowedImage(Protocol):
    """What is asked of an image that is followed; `Image` is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of its axes."""

    @property
    def state(self) -> str | None:
        """State of its recording."""

    def recorded(self) -> npt.NDArray[np.bool_]:
        """Return which frames are recorded."""

    def has_image(self, **axes: int | str) -> bool:
        """Return whether a frame is recorded."""

    def read_image(self, *, level: int = 0, **axes: int | str) -> npt.NDArray[Any]:
        """Return a frame."""

    def read_metadata(self, **axes: int | str) -> dict[str, Any]:
        """Return what is known of a frame."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame that can be read.

    Attributes
    ----------
    image : Image
        The image that it belongs to.
    index : mapping of str to int
        Its position on each axis in front of Y and X; `Image.read_image` takes it.
    """

    image: FollowedImage
    index: Mapping[str, int]

    def read(self) -> npt.NDArray[Any]:
        """Return its pixels, shape (Y, X)."""
        return self.image.read_image(**self.index)

    def metadata(self) -> dict[str, Any]:
        """Return what is known of it; see `Image.read_metadata`."""
        return self.image.read_metadata(**self.index)


def follow(image: FollowedImage, timeout: float) -> Iterator[StoredFrame]:
    """Yield the frames of an image; see `Image.follow`."""
    seen = np.zeros((0,), bool)
    until = time.monotonic() + timeout
    while True:
        ended = image.state != "recording"  # before looking, so that nothing comes in between
        recorded = image.recorded()
        fresh = recorded & ~_grown(seen, recorded.shape)
        seen = recorded
        for index in np.argwhere(fresh):
            yield StoredFrame(image, dict(zip(image.axes, map(int, index), strict=False)))
        if fresh.any():
            until = time.monotonic() + timeout
        elif ended:
            return
        elif time.monotonic() > until:
            raise StalledError(
                f"{image.name}: no new frame could be read for {timeout:g} seconds, though the "
                "store says that it is being recorded; has its recording crashed?"
            )
        else:
            time.sleep(_POLL_SECONDS)


def wait_for(image: FollowedImage, timeout: float, axes: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Return a frame as soon as it can be read; see `Image.wait_for`."""
    until = time.monotonic() + timeout
    while True:
        ended = image.state != "recording"
        if image.has_image(**axes):
            return image.read_image(**axes)
        said = ", ".join(f"{name}={value!r}" for name, value in axes.items())
        if ended:
            raise FrameMissingError(
                f"{image.name}: the recording has ended without the frame at {said}"
            )
        if time.monotonic() > until:
            raise StalledError(f"{image.name}: the frame at {said} did not come in {timeout:g} s")
        time.sleep(_POLL_SECONDS)


def _grown(flags: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return flags in a larger array; what is new is not set."""
    if flags.shape == shape:
        return flags
    grown = np.zeros(shape, bool)
    if flags.ndim == len(shape):
        common = tuple(slice(0, min(a, b)) for a, b in zip(flags.shape, shape, strict=True))
        grown[common] = flags[common]
    return grown
