"""What a source of frames has to offer to be recorded by ``aqz demo``.

One small protocol and the error its implementations raise. Cameras know nothing of
streams or stores: they hand out frames, in order, and fail rather than lose one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from aqz_core.errors import AqzError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

__all__ = ["Camera", "CameraError"]


class CameraError(AqzError):
    """A camera could not be opened, stopped, or lost a frame."""

    kind = "camera"


@runtime_checkable
class Camera(Protocol):
    """A source of frames of one shape and one data type."""

    @property
    def name(self) -> str:
        """What to call the camera in messages."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Size of a frame, ``(Y, X)`` pixels."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of a pixel, or of one of its components."""
        ...

    @property
    def components(self) -> int:
        """Values of a pixel: 1, or 3 in colour."""
        ...

    @property
    def pixel_size_um(self) -> float | None:
        """Edge of a pixel in the sample, micrometres; None when not calibrated."""
        ...

    def frames(
        self, count: int | None, interval: float | None = None
    ) -> Iterator[np.ndarray[Any, Any]]:
        """Start the camera and yield its frames in order, each in an array of its own.

        Parameters
        ----------
        count
            How many frames; None goes on until the iterator is closed.
        interval
            Seconds from one frame to the next; None as fast as the camera can.

        Yields
        ------
        ndarray
            One frame, shape ``(Y, X)``, or ``(3, Y, X)`` in colour: red, green, blue.
            C-contiguous.

        Raises
        ------
        CameraError
            A frame was lost, or did not come in time.
        """
        ...
