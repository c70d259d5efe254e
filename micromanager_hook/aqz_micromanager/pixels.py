"""The pixels of a frame: planes of one component each, as they are stored.

Micro-Manager hands over colour in several shapes: ``(Y, X, 3 or 4)``, 32 or 64 bits packed into one
number, and not always contiguous in memory. Its own order of components is blue, green, red.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aqz_micromanager.errors import FrameChangedError

__all__ = ["COMPONENT_COLORS", "COMPONENT_NAMES", "ColorOrder", "FrameSpec", "Pixels", "planes_of"]

Pixels = npt.NDArray[Any]
ColorOrder = Literal["bgr", "rgb"]

COMPONENT_NAMES = ("Red", "Green", "Blue")
COMPONENT_COLORS = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """What all frames of an array have in common.

    Attributes
    ----------
    shape
        Rows and columns, pixels.
    dtype
        Of one component.
    components
        1, or 3 for colour.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    components: int = 1

    def __str__(self) -> str:
        """Describe it in a few words, for messages."""
        color = " colour" if self.components > 1 else ""
        return f"{self.shape[0]} x {self.shape[1]} {self.dtype}{color}"


def planes_of(
    image: Pixels, pixel_type: str | None, order: ColorOrder
) -> tuple[tuple[Pixels, ...], FrameSpec]:
    """Return the planes of a frame, red first if it is in colour, and what they are.

    Parameters
    ----------
    image : (Y, X) or (Y, X, 3 or 4)
        As the acquisition engine hands it over. Numbers of 64 bits are packed colour: no
        Micro-Manager camera has grey pixels of that size.
    pixel_type
        Micro-Manager's name, such as ``"RGB32"``; often not known.
    order
        Order of the components in memory.

    Raises
    ------
    FrameChangedError
        It is not an image of one or three components.
    """
    image = np.asarray(image)
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.ndim == 2 and image.dtype == np.uint64:
        image = _unpacked(image, np.dtype("uint16"))
    elif image.ndim == 2 and image.dtype == np.uint32 and pixel_type == "RGB32":
        image = _unpacked(image, np.dtype("uint8"))
    if image.ndim == 2:
        plane = np.ascontiguousarray(image)
        return (plane,), FrameSpec((plane.shape[0], plane.shape[1]), plane.dtype)
    if image.ndim == 3 and image.shape[2] in (3, 4):
        components = (2, 1, 0) if order == "bgr" else (0, 1, 2)
        planes = tuple(np.ascontiguousarray(image[:, :, c]) for c in components)
        return planes, FrameSpec((image.shape[0], image.shape[1]), image.dtype, 3)
    raise FrameChangedError(
        f"a frame has shape {image.shape}; a frame is (rows, columns), or (rows, columns, 3) in "
        "colour. Mend it with processor="
    )


def _unpacked(image: Pixels, component: np.dtype[Any]) -> Pixels:
    """Return colour packed four to a number as an array of shape (Y, X, 4)."""
    rows, columns = image.shape
    return np.ascontiguousarray(image).view(component).reshape(rows, columns, 4)
