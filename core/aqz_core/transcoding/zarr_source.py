"""Stores of Zarr V2 and V3 as what is transcoded, whoever wrote them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from aqz_core.dataset.collection import Dataset
from aqz_core.dataset.description import describe
from aqz_core.dataset.view import StoreView
from aqz_core.enums import ZarrVersion
from aqz_core.errors import StoreBusyError
from aqz_core.metadata import to_json
from aqz_core.reading.frame_log import log_lines
from aqz_core.reading.regions import Box, StoredRegions
from aqz_core.transcoding.source import SourceGroup, SourceImage, SourceLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    import numpy.typing as npt

    from aqz_core.dataset.description import ImageDescription
    from aqz_core.reading.node import Node
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.settings.s3 import S3Settings

__all__ = ["ZarrSource"]

_OME_V2 = frozenset(
    (
        *("multiscales", "omero", "plate", "well", "labels", "image-label", "series"),
        "bioformats2raw.layout",
    )
)
"""Attributes that NGFF 0.4 has beside all others."""


class ZarrSource:
    """A store.

    Parameters
    ----------
    store, s3, plugins
        As for `open_dataset`.
    locked
        Whether whoever writes it is the one who asks.

    Raises
    ------
    StoreBusyError
        It is being recorded.
    """

    def __init__(
        self,
        store: str,
        s3: S3Settings | None,
        plugins: Iterable[object],
        locked: bool = False,
    ) -> None:
        self._given = store, s3, tuple(plugins), locked
        self._view = StoreView(store, s3, plugins)
        if self._view.recording and not self._view.idle and not locked:
            raise StoreBusyError(
                f"{self._view.url} is being recorded; transcode it when the recording has ended"
            )
        nodes = self._nodes = self._view.nodes()
        dataset = Dataset(self._view)
        labels = list(dataset.labels)
        self._described = [describe(nodes[key], nodes) for key in [*dataset.images, *labels]]
        self.url = self._view.url
        self.images = tuple(
            _image(one, self._view, is_label=one.owner.name in labels) for one in self._described
        )
        arrays = {level.node.name for one in self._described for level in one.levels}
        owners = {one.owner.name for one in self._described}
        self.groups = tuple(
            SourceGroup(name, *_attributes(node))
            for name, node in nodes.items()
            if name not in arrays | owners and node.has_metadata and node.array is None
        )
        known = arrays | owners | {group.key for group in self.groups}
        self.left_out = tuple(
            [name for node in nodes.values() for name in node.foreign]
            + [name for name, node in nodes.items() if node.has_metadata and name not in known]
        )
        self.identity = _identity(nodes.values())

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self), self._given

    def array(self, image: int) -> StoredArray:
        """Return the array of an image at full resolution."""
        array = self._described[image].levels[0].node.array
        assert array is not None
        return array

    def document(self, image: int) -> Mapping[str, Any]:
        """Return the document of that array."""
        return next(iter(self._described[image].levels[0].node.documents.values()))

    def level_names(self, image: int) -> list[str]:
        """Return the folders of the levels of an image."""
        return [level.node.name for level in self._described[image].levels]

    def version(self, image: int) -> ZarrVersion:
        """Return the Zarr format of an image."""
        return self._described[image].owner.version or ZarrVersion.V3

    def read(self, image: int, level: int, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box."""
        node = self._described[image].levels[level].node
        assert node.array is not None
        regions = StoredRegions(self._view.files, node.name, node.array, self._view.providers)
        return regions.read(box)

    def recorded(self, image: int) -> npt.NDArray[np.bool_] | None:
        """Return which planes were recorded."""
        from aqz_core.dataset.image import Image

        key = self.images[image].key
        return Image(self._view, key).recorded()

    def close(self) -> None:
        """Let go of connections."""
        self._view.close()


def _image(found: ImageDescription, view: StoreView, *, is_label: bool) -> SourceImage:
    """Return what there is to know of an image."""
    owner, base = found.owner, found.levels[0].node
    ome, attributes = _attributes(owner)
    multiscales = ome.pop("multiscales", None)
    said = multiscales[0] if isinstance(multiscales, list) and multiscales else {}
    dropped = ("axes", "datasets", "version", "coordinateTransformations")
    lines = log_lines(view.files, base.log) if base.log is not None else ()
    log = b"".join(line for line in lines if line.endswith(b"\n"))  # a crash cuts off the last one
    return SourceImage(
        owner.name,
        tuple(_axis(found, n) for n in range(len(found.axes))),
        tuple(_level(found, n, owner) for n in range(len(found.levels))),
        is_plain=owner.array is not None,
        is_label=is_label,
        ome=ome,
        multiscale={key: value for key, value in said.items() if key not in dropped},
        attributes=attributes,
        log=log,
    )


def _axis(found: ImageDescription, number: int) -> dict[str, Any]:
    """Return an axis as NGFF has it, in the unit of the store."""
    axis = found.axes[number]
    ome = found.owner.ome.get("multiscales")
    try:
        said = ome[0]["axes"][number]  # type: ignore[index]  # anything malformed ends below
        unit = said.get("unit")
    except (LookupError, TypeError, AttributeError):
        axes = found.owner.aqz.get("axes")
        entries = [e for e in (axes if isinstance(axes, list) else ()) if isinstance(e, dict)]
        units = [e.get("unit") for e in entries if e.get("name") == axis.stored_name]
        unit = units[0] if units else None
    return {
        "name": axis.stored_name,
        **({"type": axis.kind} if axis.kind != "other" else {}),
        **({"unit": unit} if unit else {}),
    }


def _level(found: ImageDescription, number: int, owner: Node) -> SourceLevel:
    """Return a level with scale and translation in the units of the store."""
    level = found.levels[number]
    array = level.node.array
    assert array is not None
    factors = [axis.factor for axis in found.axes]
    return SourceLevel(
        array.shape,
        array.dtype,
        array.fill_value.item(),
        array.chunk_shape,
        array.shard_shape,
        tuple(_unscaled(a, b) for a, b in zip(level.scale, factors, strict=True)),
        tuple(_unscaled(a, b) for a, b in zip(level.translation, factors, strict=True)),
        {} if level.node is owner else dict(level.node.attributes),
    )


def _unscaled(value: float, factor: float) -> float:
    """Return a length in the unit of the store, without what two roundings added."""
    return float(f"{value / factor:.12g}")


def _attributes(node: Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what NGFF says of a node, and its other attributes."""
    if node.version is ZarrVersion.V2:
        ome = {k: v for k, v in node.attributes.items() if k in _OME_V2}
        return ome, {k: v for k, v in node.attributes.items() if k not in _OME_V2}
    ome = {k: v for k, v in node.ome.items() if k != "version"}
    return ome, {k: v for k, v in node.attributes.items() if k != "ome"}


def _identity(nodes: Iterable[Node]) -> str:
    """Return what changes when metadata, or the sizes of files, do."""
    found = hashlib.sha256()
    for node in nodes:
        for name, document in node.documents.items():
            found.update(name.encode() + to_json(document))
        for file in node.files:
            found.update(f"{file.name}:{file.nbytes};".encode())
    return found.hexdigest()
