"""What pycro-manager's dataset in memory is made of, read from the recording instead.

The engine puts every image that a processor hands on into two mappings, by its axes. Those here
keep the keys and forget the pixels, so that viewers and callbacks of the engine can read a run
that is far larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

import aqz_core as aqz

if TYPE_CHECKING:
    from aqz_micromanager.pixels import Pixels

__all__ = ["FrameTags", "StoredImages", "attach_dataset"]

Axes: TypeAlias = "frozenset[tuple[str, Any]]"

_PLAIN = (str, int, float, bool, type(None))


class StoredImages(MutableMapping["Axes", "Pixels"]):
    """Images by their axes.

    Parameters
    ----------
    read
        Returns the image at some axes.
    """

    def __init__(self, read: Callable[[Mapping[str, Any]], Pixels]) -> None:
        self._read = read
        self._keys: dict[Axes, None] = {}

    def __getitem__(self, key: Axes) -> Pixels:
        """Return an image."""
        if key not in self._keys:
            raise KeyError(key)
        return self._read(dict(key))

    def __setitem__(self, key: Axes, image: object) -> None:
        """Note that an image came."""
        self._keys[key] = None

    def __delitem__(self, key: Axes) -> None:
        """Forget that an image came."""
        del self._keys[key]

    def __contains__(self, key: object) -> bool:
        """Return whether an image came, without reading it."""
        return key in self._keys

    def __iter__(self) -> Iterator[Axes]:
        """Return the axes of all images."""
        return iter(list(self._keys))

    def __len__(self) -> int:
        """Return how many images came."""
        return len(self._keys)


class FrameTags(MutableMapping["Axes", "dict[str, Any]"]):
    """Metadata of images by their axes: of each, what differs from the first one's."""

    def __init__(self) -> None:
        self._first: dict[str, Any] = {}
        self._differ: dict[Axes, tuple[dict[str, Any], tuple[str, ...]]] = {}

    def __getitem__(self, key: Axes) -> dict[str, Any]:
        """Return the metadata of an image."""
        own, absent = self._differ[key]
        return {k: v for k, v in (self._first | own).items() if k not in absent}

    def __setitem__(self, key: Axes, tags: dict[str, Any]) -> None:
        """Keep the metadata of an image."""
        self._first = self._first or dict(tags)
        own = {name: value for name, value in tags.items() if not self._is_first(name, value)}
        self._differ[key] = own, tuple(name for name in self._first if name not in tags)

    def __delitem__(self, key: Axes) -> None:
        """Forget the metadata of an image."""
        del self._differ[key]

    def __iter__(self) -> Iterator[Axes]:
        """Return the axes of all images."""
        return iter(list(self._differ))

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._differ)

    def _is_first(self, name: str, value: object) -> bool:
        """Return whether a value is that of the first image; arrays never are."""
        first = self._first.get(name)
        return name in self._first and (
            value is first
            or (isinstance(value, _PLAIN) and type(value) is type(first) and value == first)
        )


def attach_dataset(acquisition: Any, read: Callable[[Mapping[str, Any]], Pixels]) -> None:
    """Make the dataset of an acquisition read its images from elsewhere.

    Raises
    ------
    SettingsError
        It has a dataset of another kind, or images already.
    """
    dataset = acquisition.get_dataset()
    images = getattr(dataset, "images", None)
    if not isinstance(images, dict):
        raise aqz.SettingsError(
            f"the acquisition has a {type(dataset).__name__}, which keeps images by itself; attach "
            "an Acquisition of the Python engine with directory=None, or give passthrough=True"
        )
    if images:
        raise aqz.SettingsError(
            f"the acquisition has {len(images)} images already; attach it before `acquire`"
        )
    dataset.images, dataset.image_metadata = StoredImages(read), FrameTags()
