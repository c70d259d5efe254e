"""What is transcoded: images of any format, as pixels by boxes and metadata in NGFF's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from aqz_core.reading.regions import Box

__all__ = ["Source", "SourceGroup", "SourceImage", "SourceLevel"]


@dataclass(frozen=True, slots=True)
class SourceLevel:
    """One array of an image.

    Attributes
    ----------
    shape, dtype, fill_value
        Of the array.
    chunk_shape, shard_shape
        Pixels that are decoded at once, and that are one file; None without shards.
    scale, translation
        Of its axes, in their units.
    attributes
        Of the array itself.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: float
    chunk_shape: tuple[int, ...]
    shard_shape: tuple[int, ...] | None
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image, or a plain array.

    Attributes
    ----------
    key
        Its place in the store.
    axes
        As NGFF has them: ``name``, ``type`` and perhaps ``unit``.
    levels
        Full resolution first.
    is_plain
        Whether it is an array without an image's metadata.
    is_label
        Whether its pixels are numbers of objects, which no mean may be taken of.
    ome
        What else NGFF says of it, ``omero`` for instance, without ``multiscales``.
    multiscale
        What else ``multiscales`` says: the name, the method of the pyramid.
    attributes
        All other attributes, the one of aqz among them.
    log
        The log of its frames; empty if there is none.
    """

    key: str
    axes: tuple[Mapping[str, Any], ...]
    levels: tuple[SourceLevel, ...]
    is_plain: bool = False
    is_label: bool = False
    ome: Mapping[str, Any] = field(default_factory=dict)
    multiscale: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    log: bytes = b""


@dataclass(frozen=True, slots=True)
class SourceGroup:
    """A group that is not an image: a plate, a well, a list of images.

    Attributes
    ----------
    key
        Its place in the store.
    ome, attributes
        What NGFF says of it, and all other attributes.
    """

    key: str
    ome: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Something that can be transcoded.

    It can be pickled: a worker opens it anew.

    Attributes
    ----------
    url
        Where it is, for messages.
    images, groups
        What it holds.
    left_out
        Names of files that are not carried over, because nobody knows what they are.
    identity
        Changes when the source does.
    """

    url: str
    images: tuple[SourceImage, ...]
    groups: tuple[SourceGroup, ...]
    left_out: tuple[str, ...]
    identity: str

    def read(self, image: int, level: int, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box; `StorageError` if they cannot be read."""

    def recorded(self, image: int) -> npt.NDArray[np.bool_] | None:
        """Return which planes were recorded, None if all were; by the index axes as stored."""

    def close(self) -> None:
        """Let go of files and connections."""
