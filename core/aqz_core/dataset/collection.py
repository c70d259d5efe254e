"""All images of a store, and which of them a position means."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aqz_core.dataset import lazy, picture
from aqz_core.dataset.description import is_image
from aqz_core.dataset.image import Image
from aqz_core.display.printable import visible
from aqz_core.errors import FrameIndexError, StorageError, UnknownArrayError
from aqz_core.settings.keys import ancestors, join, normalise_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

    from aqz_core.dataset.following import StoredFrame
    from aqz_core.dataset.view import StoreView
    from aqz_core.reading.node import Node

__all__ = ["Dataset"]


class Dataset:
    """The images of a store; `open_dataset` makes it.

    What one image has, frames, coordinates, metadata, arrays, can be asked of the dataset: of its
    only image, or of the one that ``position`` names. That is an image's key, its name, the name
    of a well ("A1"), or its number in the order of the store; in a well of several fields of view,
    ``field`` counts them from 0.

    It may be used as a context manager, which closes connections at its end.
    """

    def __init__(self, view: StoreView) -> None:
        self._view = view
        self._images: dict[str, Image] = {}

    # ---- what it holds ----------------------------------------------------------------------

    @property
    def images(self) -> Mapping[str, Image]:
        """The images, by their keys, in the order of the store; label images are not among them.

        Arrays that belong to no image are images, too.
        """
        nodes = self._view.nodes()
        keys = _ordered(_image_keys(nodes), nodes)
        return MappingProxyType({key: self._image(key) for key in keys})

    @property
    def wells(self) -> Mapping[str, tuple[Image, ...]]:
        """The fields of view of each well of a plate, by its name: "A1"."""
        nodes = self._view.nodes()
        return MappingProxyType(
            {name: tuple(self._image(key) for key in keys) for name, keys in _wells(nodes).items()}
        )

    @property
    def labels(self) -> Mapping[str, Image]:
        """The label images, by their keys."""
        nodes = self._view.nodes()
        keys = [name for name, node in nodes.items() if _is_label(node)]
        return MappingProxyType({key: self._image(key) for key in keys})

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes of the images, of the first one where they differ."""
        return next(iter(self.images.values())).axes

    @property
    def coords(self) -> Mapping[str, npt.NDArray[Any]]:
        """Coordinates of the only image; with several, ask one of `images`."""
        return self.image().coords

    def __getitem__(self, position: str | int) -> Image:
        """Return the image at a position."""
        return self.image(position)

    def image(self, position: str | int | None = None, field: int | None = None) -> Image:
        """Return one image.

        Parameters
        ----------
        position : str or int, optional
            As described above; may be left out if there is one image.
        field : int, optional
            Which field of view of a well, counted from 0.

        Raises
        ------
        UnknownArrayError
            There is no such image.
        FrameIndexError
            There are several, and nothing says which.
        """
        images = self.images
        if position is None:
            found = list(images.values())
            if len(found) > 1 and field is None:
                raise FrameIndexError(
                    f"{self._view.url} has {len(found)} images; say which, for example "
                    f"position={_example(self)!r}"
                )
        elif isinstance(position, str):
            found = self._at(position, images)
        else:
            found = list(images.values())[position : position + 1 or None]
        if not found:
            known = ", ".join(map(repr, [*self.wells, *images][:20]))
            raise UnknownArrayError(
                f"{self._view.url} has no image at position {position!r}; it has {known}"
            )
        if field is None and len(found) > 1:
            raise FrameIndexError(
                f"{position!r} has {len(found)} fields of view; say which, for example field=0"
            )
        if field is not None and not 0 <= field < len(found):
            raise FrameIndexError(f"there is no field {field}; there are {len(found)}, from 0")
        return found[field or 0]

    # ---- what one of its images does --------------------------------------------------------

    def has_image(
        self, position: str | int | None = None, field: int | None = None, **axes: int | str
    ) -> bool:
        """Return whether a frame is recorded; see `Image.has_image`."""
        return self.image(position, field).has_image(**axes)

    def read_image(
        self,
        position: str | int | None = None,
        field: int | None = None,
        *,
        level: int = 0,
        **axes: int | str,
    ) -> npt.NDArray[Any]:
        """Return a frame; see `Image.read_image`."""
        return self.image(position, field).read_image(level=level, **axes)

    def read_metadata(
        self, position: str | int | None = None, field: int | None = None, **axes: int | str
    ) -> dict[str, Any]:
        """Return what is known of a frame; see `Image.read_metadata`."""
        return self.image(position, field).read_metadata(**axes)

    def metadata_table(self) -> Any:
        """Return a row for each frame that has metadata, of all images; see `Image`.

        With several images, ``position`` is the key of each row's.
        """
        images = self.images
        if len(images) == 1:
            return next(iter(images.values())).metadata_table()
        rows = [
            {"position": key, **row}
            for key, image in images.items()
            for row in image.metadata_rows()
        ]
        return lazy.table(rows, ["position"])

    def recorded(
        self, position: str | int | None = None, field: int | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return which frames are recorded; see `Image.recorded`."""
        return self.image(position, field).recorded()

    def to_dask(
        self, position: str | int | None = None, field: int | None = None, *, level: int = 0
    ) -> Any:
        """Return an image as a Dask array; see `Image.to_dask`."""
        return self.image(position, field).to_dask(level)

    def to_xarray(
        self,
        position: str | int | None = None,
        field: int | None = None,
        *,
        level: int = 0,
        recorded: bool = True,
    ) -> Any:
        """Return an image as an xarray DataArray; see `Image.to_xarray`."""
        return self.image(position, field).to_xarray(level, recorded=recorded)

    def follow(
        self,
        position: str | int | None = None,
        field: int | None = None,
        *,
        timeout: float = 120.0,
    ) -> Iterator[StoredFrame]:
        """Yield the frames of an image as they become readable; see `Image.follow`."""
        return self.image(position, field).follow(timeout=timeout)

    def wait_for(
        self,
        position: str | int | None = None,
        field: int | None = None,
        *,
        timeout: float = 120.0,
        **axes: int | str,
    ) -> npt.NDArray[Any]:
        """Wait until a frame can be read, and return it; see `Image.wait_for`."""
        return self.image(position, field).wait_for(timeout=timeout, **axes)

    # ---- the rest ---------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of connections; nothing can be read afterwards from an object store."""
        self._view.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        images = list(self.images.values())
        lines = [f"<aqz dataset {self._view.url}: {len(images)} image{'s' * (len(images) != 1)}>"]
        lines += [f"  {image.key or '.'}  {image!r}" for image in images[:10]]
        lines += [f"  ... and {len(images) - 10} more"] if len(images) > 10 else []
        return visible("\n".join(lines))

    def _repr_html_(self) -> str:
        """Return the images with small pictures, for notebooks."""
        return picture.dataset_html(self._view.url, list(self.images.values()))

    def _image(self, key: str) -> Image:
        """Return the one object for an image."""
        if key not in self._images:
            self._images[key] = Image(self._view, key)
        return self._images[key]

    def _at(self, position: str, images: Mapping[str, Image]) -> list[Image]:
        """Return the images that a text means: one, or the fields of a well."""
        key = normalise_key(position)
        if key in images:
            return [images[key]]
        wells = self.wells
        for name in (position, key.replace("/", "")):
            if name in wells:
                return list(wells[name])
        found = [image for image in images.values() if image.name == position]
        return (
            found[:1]
            if len(found) == 1
            else [image for one, image in images.items() if one.endswith(f"/{key}")][:1]
        )


def _example(dataset: Dataset) -> str:
    """Return a position that the dataset has."""
    return next(iter([*dataset.wells, *dataset.images]))


def _image_keys(nodes: Mapping[str, Node]) -> list[str]:
    """Return the keys of all images, and of the arrays that belong to none."""
    groups = [name for name, node in nodes.items() if is_image(node) and not _is_label(node)]
    owned = {name for name, node in nodes.items() if is_image(node)}
    plain = [
        name
        for name, node in nodes.items()
        if node.array is not None
        and len(node.array.shape) >= 2
        and owned.isdisjoint(("", *ancestors(name)))
    ]
    if not groups and not plain:
        raise StorageError(
            "the store has no image and no array of two axes that can be read; `aqz validate` "
            "says why"
        )
    return [*groups, *plain]


def _is_label(node: Node) -> bool:
    """Return whether an image is one of labels."""
    parent = node.name.rpartition("/")[0]
    return is_image(node) and ("image-label" in node.ome or parent.endswith("labels"))


def _ordered(keys: list[str], nodes: Mapping[str, Node]) -> list[str]:
    """Return keys in the order of the plate or series, where the store has one."""
    order = [key for fields in _wells(nodes).values() for key in fields]
    series = nodes["OME"].ome.get("series") if "OME" in nodes else None
    if isinstance(series, list):
        order += [normalise_key(one) for one in series if isinstance(one, str)]
    known = {key: number for number, key in enumerate(order)}
    return sorted(keys, key=lambda key: known.get(key, len(known)))


def _wells(nodes: Mapping[str, Node]) -> dict[str, list[str]]:
    """Return the keys of the fields of each well, by the name of the well."""
    found: dict[str, list[str]] = {}
    for node in nodes.values():
        plate = node.ome.get("plate")
        wells = plate.get("wells") if isinstance(plate, dict) else None
        for well in wells if isinstance(wells, list) else ():
            path = well.get("path") if isinstance(well, dict) else None
            name = path.replace("/", "") if isinstance(path, str) else None
            if path is None or name is None or name in found:  # each once: a list may be long
                continue
            key = join(node.name, path)
            fields = [join(key, field) for field in _fields(nodes.get(key))]
            found[name] = [field for field in fields if field in nodes]
    return found


def _fields(well: Node | None) -> list[str]:
    """Return the paths of a well's fields of view."""
    document = well.ome.get("well") if well is not None else None
    images = document.get("images") if isinstance(document, dict) else None
    return [
        one["path"]
        for one in (images if isinstance(images, list) else ())
        if isinstance(one, dict) and isinstance(one.get("path"), str)
    ]
