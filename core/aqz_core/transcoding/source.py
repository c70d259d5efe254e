"""What is transcoded: images of any format, as pixels by boxes and metadata in NGFF's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from aqz_core.errors import SettingsError
from aqz_core.metadata.ngff import LAYOUT, SERIES_GROUP
from aqz_core.planning.suggestion import AXIS_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from aqz_core.reading.regions import Box

__all__ = [
    "Source",
    "SourceGroup",
    "SourceImage",
    "SourceLevel",
    "file_identity",
    "ngff_axes",
    "series_groups",
]

_USUAL = "tczyx"


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


def ngff_axes(letters: str, rank: int, where: str) -> tuple[dict[str, Any], ...]:
    """Return axes as NGFF has them, from a letter for each; usual ones if none are given.

    Raises
    ------
    SettingsError
        There are too many axes to guess, or the letters do not fit.
    """
    usual = "tyx" if rank == 3 else _USUAL[-rank:]
    names = letters or usual
    if len(names) != rank or len(set(names)) != rank:
        raise SettingsError(
            f"{where} has {rank} axes; give a different letter for each, for example "
            f"axes={usual!r} (--axes)"
        )
    return tuple(
        {"name": name, **({"type": AXIS_KINDS[name].name.lower()} if name in AXIS_KINDS else {})}
        for name in names
    )


def file_identity(path: Path) -> str:
    """Return what changes when a file does."""
    found = path.stat()
    return f"{path}:{found.st_size}:{found.st_mtime_ns}"


def series_groups(keys: list[str]) -> tuple[SourceGroup, ...]:
    """Return the groups around several images that lie side by side."""
    return (
        SourceGroup("", {"bioformats2raw.layout": LAYOUT}),
        SourceGroup(SERIES_GROUP, {"series": keys}),
    )
