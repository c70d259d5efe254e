"""Small pictures of images: channels in their colours, blended, from the smallest level that shows.

Channels are stretched from their darkest to their brightest pixels, a thousandth of both left out,
so that a picture shows what there is, not how bright it is.
"""

from __future__ import annotations

import base64
import html
import struct
import zlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from aqz_core.display.printable import visible
from aqz_core.errors import AqzError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["contact_sheet", "dataset_html", "image_html", "png"]

Picture = npt.NDArray[np.uint8]

_EDGE = 192
"""Pixels of a picture's longer edge, at most."""
_GAP = 4
_MOST_IMAGES = 8
_MOST_CHANNELS = 8


class PicturedImage(Protocol):
    """What is asked of an image that is shown; `Image` is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> str | None:
        """State of its recording."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of its pixels."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of its axes."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """What its axes measure."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Pixels by axis."""

    @property
    def coords(self) -> Mapping[str, npt.NDArray[Any]]:
        """Coordinates by axis."""

    @property
    def units(self) -> Mapping[str, str | None]:
        """Units by axis."""

    @property
    def colors(self) -> tuple[str, ...]:
        """Colours of its channels."""

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of its levels."""

    def recorded(self) -> npt.NDArray[np.bool_]:
        """Return which frames are recorded."""

    def read_image(self, *, level: int = 0, **axes: int | str) -> npt.NDArray[Any]:
        """Return a frame."""


def contact_sheet(images: Sequence[PicturedImage], edge: int = 256) -> Picture:
    """Return pictures of images, shape (rows, columns, 3).

    A row for each image: the channels one by one and blended, at the middle z, first at the first
    time that is recorded and then at the last.

    Parameters
    ----------
    images
        At least one.
    edge
        Pixels of the longer edge of each picture, at most.
    """
    rows = [_row(image, edge) for image in images]
    return _stacked([_stacked(row, 1) for row in rows], 0)


def png(picture: Picture) -> bytes:
    """Return a picture of shape (rows, columns, 3) as a PNG file."""
    rows, columns, _ = picture.shape
    lines = np.zeros((rows, 3 * columns + 1), np.uint8)  # each begins with its filter: none
    lines[:, 1:] = picture.reshape(rows, -1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


def image_html(image: PicturedImage) -> str:
    """Return an image for a notebook: its axes, and a picture."""
    rows = "".join(
        f"<tr><td>{_shown(name)}</td><td>{size}</td><td>{_shown(_extent(image, name))}</td></tr>"
        for name, size in image.sizes.items()
    )
    state = f", {image.state}" if image.state else ""  # any text that the store has for it
    return (
        f"<div><b>{_shown(image.name)}</b> {image.dtype}{_shown(state)}"
        f"<div style='display:flex;gap:1em'><table>{rows}</table>{_img(image)}</div></div>"
    )


def dataset_html(url: str, images: Sequence[PicturedImage]) -> str:
    """Return the images of a dataset for a notebook."""
    shown = "".join(image_html(image) for image in images[:_MOST_IMAGES])
    more = f"<p>... and {len(images) - _MOST_IMAGES} more</p>" if len(images) > _MOST_IMAGES else ""
    return f"<div><b>{_shown(url)}</b>, {len(images)} images{shown}{more}</div>"


def _shown(text: str) -> str:
    """Return text of a store, which may be anything, for a notebook."""
    return html.escape(visible(text))


def _extent(image: PicturedImage, name: str) -> str:
    """Return where an axis begins and ends, with its unit."""
    values, unit = image.coords[name], image.units[name] or ""
    if values.dtype.kind != "f":
        return ", ".join(values[:_MOST_CHANNELS])
    return f"{values[0]:.6g} to {values[-1]:.6g} {unit}" if len(values) else ""


def _img(image: PicturedImage) -> str:
    """Return a picture as an element; nothing where none can be made."""
    try:
        *_, blended = _row(image, _EDGE)
    except (AqzError, OSError):
        return ""
    data = base64.b64encode(png(blended)).decode()
    return f"<img src='data:image/png;base64,{data}' alt='middle z, last time'/>"


def _row(image: PicturedImage, edge: int) -> list[Picture]:
    """Return the pictures of one image."""
    recorded = image.recorded()
    pictures: list[Picture] = []
    for time in _times(image, recorded) if recorded.any() else ():
        channels = _planes(image, recorded, time, edge)
        colored = [_colored(plane, color) for plane, color in channels]
        pictures += [*colored, _blended(colored)] if len(colored) > 1 else colored
    return pictures or [np.zeros((edge, edge, 3), np.uint8)]


def _times(image: PicturedImage, recorded: npt.NDArray[np.bool_]) -> list[int]:
    """Return the first and the last time of which something is recorded; 0 without times."""
    axis = _axis_of(image, "time")
    if axis is None:
        return [0]
    others = tuple(n for n in range(recorded.ndim) if n != axis)
    there = np.flatnonzero(recorded.any(axis=others))
    return sorted({int(there[0]), int(there[-1])})


def _planes(
    image: PicturedImage, recorded: npt.NDArray[np.bool_], time: int, edge: int
) -> list[tuple[npt.NDArray[Any], str]]:
    """Return a plane of each channel, scaled down, and its colour."""
    level = _level_for(image, edge)
    time_axis, channel_axis = _axis_of(image, "time"), _axis_of(image, "channel")
    colors = image.colors
    found = []
    for channel in range(min(_MOST_CHANNELS, len(colors))):
        fixed = {time_axis: time, channel_axis: channel}
        index = _nearest(recorded, {k: v for k, v in fixed.items() if k is not None})
        if index is None:
            continue
        names = dict(zip(image.axes, index, strict=False))
        plane = image.read_image(level=level, **names)
        if plane.size:
            step = max(1, -(-max(plane.shape) // edge))
            found.append((plane[::step, ::step], colors[channel]))
    return found


def _nearest(recorded: npt.NDArray[np.bool_], fixed: dict[int, int]) -> tuple[int, ...] | None:
    """Return the recorded frame at some positions that is nearest to the middle of the others."""
    chosen = tuple(fixed.get(axis, slice(None)) for axis in range(recorded.ndim))
    there = np.argwhere(np.atleast_1d(recorded[chosen]))
    if not len(there):
        return None
    free = [axis for axis in range(recorded.ndim) if axis not in fixed]
    if not free:
        return tuple(fixed[axis] for axis in range(recorded.ndim))
    middle = np.array([recorded.shape[axis] // 2 for axis in free])
    best = there[np.abs(there - middle).sum(axis=1).argmin()]
    place = fixed | dict(zip(free, map(int, best), strict=True))
    return tuple(place[axis] for axis in range(recorded.ndim))


def _axis_of(image: PicturedImage, kind: str) -> int | None:
    """Return the position of the axis of a kind in front of Y and X, or None."""
    return next((n for n, one in enumerate(image.kinds[:-2]) if one == kind), None)


def _level_for(image: PicturedImage, edge: int) -> int:
    """Return the smallest level that is as large as a picture, or full resolution."""
    large = [n for n, shape in enumerate(image.levels) if max(shape[-2:]) >= edge]
    return large[-1] if large else 0


def _colored(plane: npt.NDArray[Any], color: str) -> Picture:
    """Return a plane stretched to a colour RRGGBB, shape (Y, X, 3)."""
    pixels = np.nan_to_num(plane.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = np.percentile(pixels, (0.1, 99.9))
    high = high if high > low else low + 1
    share = np.clip((pixels - low) / (high - low), 0, 1)
    rgb = np.frombuffer(bytes.fromhex(color), np.uint8)
    return np.asarray(share[..., None] * rgb, np.uint8)


def _blended(pictures: Sequence[Picture]) -> Picture:
    """Return the sum of pictures."""
    total = np.sum([picture.astype(np.uint16) for picture in pictures], axis=0)
    return np.asarray(np.minimum(total, 255), np.uint8)


def _stacked(pictures: Sequence[Picture], axis: int) -> Picture:
    """Return pictures beside (axis 1) or below (axis 0) each other, with gaps."""
    other = 1 - axis
    size = max(picture.shape[other] for picture in pictures)
    padded = []
    for picture in pictures:
        margins = [(0, 0), (0, 0), (0, 0)]
        margins[other] = (0, size - picture.shape[other])
        margins[axis] = (0, _GAP)
        padded.append(np.pad(picture, margins, constant_values=40))
    return np.concatenate(padded, axis=axis)
