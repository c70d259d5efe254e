"""TIFF files as what is transcoded: OME-TIFF, ImageJ stacks, and plain series of pages."""

from __future__ import annotations

import math
import threading
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.dataset.lazy import imported
from aqz_core.enums import DimensionType
from aqz_core.errors import AqzError, SettingsError, StorageError
from aqz_core.metadata.json_text import to_json
from aqz_core.metadata.omero import omero_attributes
from aqz_core.metadata.units import normalise_unit
from aqz_core.settings.array import Channel
from aqz_core.transcoding.source import (
    SourceImage,
    SourceLevel,
    file_identity,
    ngff_axes,
    series_groups,
)
from aqz_core.transcoding.tiff_checks import (
    MOST_PLANES,
    check_directories,
    check_neighbours,
    check_ome,
    check_page,
    check_shape,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aqz_core.reading.regions import Box

__all__ = ["TiffSource"]

_UNKNOWN = {"Q": "t", "I": "t", "S": "c", "A": "a"}
"""Letters of tifffile that are not axes of a microscope: pages of unknown meaning are times."""

_SIZES = {"T": "TimeIncrement", "Z": "PhysicalSizeZ", "Y": "PhysicalSizeY", "X": "PhysicalSizeX"}


class TiffSource:
    """A TIFF file; of an OME-TIFF of several files, any one of them.

    Parameters
    ----------
    path
        The file.
    axes
        A letter for each axis, where those in the file are not to be believed.

    Raises
    ------
    SettingsError
        tifffile is not installed, or the axes do not fit.
    StorageError
        It cannot be read.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path, axes: str) -> None:
        self._given = path, axes
        self._lock = threading.Lock()  # the file is read by seeking
        self.url = str(path)
        tifffile = imported("tifffile", "tiff")
        self._file: Any = None
        try:
            check_directories(path, follow=True)
            self._file = tifffile.TiffFile(path)
            self._describe(path, axes)
        except Exception as error:
            self.close()
            if isinstance(error, AqzError):
                raise
            # What a file can make tifffile raise is not documented.
            raise StorageError(f"{path}: cannot be read as TIFF: {error}") from error

    def _describe(self, path: Path, axes: str) -> None:
        """Find the images."""
        if self._file.is_mmstack:
            check_neighbours(path, self._file.micromanager_metadata.get("Summary"))
        elif self._file.is_ndtiff:
            raise StorageError(
                f"{path}: it is one file of an NDTiff dataset; transcode its folder, {path.parent}"
            )
        said = _ome_images(path, self._file.ome_metadata)
        self._series = [one for one in self._file.series if len(one.shape) >= 2]
        if not self._series:
            raise StorageError(f"{path}: there is no image in the file")
        for one in self._series:
            check_shape(path, one.shape)
        several = len(self._series) > 1
        self.images = tuple(
            self._image(number, str(number) if several else "", axes, said)
            for number in range(len(self._series))
        )
        self.groups = series_groups([image.key for image in self.images]) if several else ()
        self.identity = file_identity(path)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self), self._given

    def read(self, image: int, level: int, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box."""
        series = self._series[image]
        pixels = np.zeros([stop - start for start, stop in box], series.dtype.newbyteorder("="))
        shape = self.images[image].levels[0].shape
        is_rgb = _is_rgb(series)
        for place in np.ndindex(pixels.shape[: -3 if is_rgb else -2]):
            index = tuple(k + start for k, (start, _) in zip(place, box, strict=False))
            lead = shape[: -3 if is_rgb else -2]
            plane = self._plane(series, int(np.ravel_multi_index(index, lead)) if lead else 0)
            if plane is not None:
                part = np.moveaxis(plane, -1, 0) if is_rgb else plane
                pixels[place] = part[tuple(slice(*ends) for ends in box[len(place) :])]
        return pixels

    def _plane(self, series: Any, number: int) -> npt.NDArray[Any] | None:
        """Return a plane; None where the file has none."""
        rank = 3 if _is_rgb(series) else 2
        try:
            with self._lock:
                return self._read(series, number, rank)
        except Exception as error:  # codecs have errors of their own
            raise StorageError(f"{self.url}: plane {number} cannot be read: {error}") from error

    def _read(self, series: Any, number: int, rank: int) -> npt.NDArray[Any] | None:
        """Return a plane, with the file locked."""
        if len(series.pages) > 1 or series.ndim == rank:
            page = series.pages[number]
            if page is None:
                return None
            check_page(page, page.parent.filehandle.size)
            return np.asarray(page.asarray())
        # ImageJ stores large stacks as one page and the pixels of the others behind it.
        if series.dataoffset is None:
            raise ValueError("its pixels do not follow each other")
        planes = series.asarray(out="memmap").reshape(-1, *series.shape[-rank:])
        return np.asarray(planes[number])

    def recorded(self, image: int) -> npt.NDArray[np.bool_] | None:
        """Return which planes are in the file; None if all are."""
        series = self._series[image]
        if len(series.pages) < 2 or _is_rgb(series):
            return None
        there = np.array([page is not None for page in series.pages])
        shape = self.images[image].levels[0].shape[:-2]
        return None if there.all() or there.size != math.prod(shape) else there.reshape(shape)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _image(
        self, number: int, key: str, axes: str, said: Sequence[ElementTree.Element]
    ) -> SourceImage:
        """Return what there is to know of a series."""
        series = self._series[number]
        shape, letters = list(series.shape), list(series.axes)
        if _is_rgb(series):
            shape.insert(-2, shape.pop())
            letters.insert(-2, letters.pop())
            if "C" in letters:
                raise SettingsError(
                    f"{self.url}: channels of several samples (RGB) each are not supported"
                )
        names = axes or "".join(_UNKNOWN.get(one, one.lower()) for one in letters)
        if len(set(names)) != len(names):
            names = ""
        ngff = [dict(axis) for axis in ngff_axes(names, len(shape), self.url)]
        pixels = said[number] if number < len(said) else None
        scale = [1.0] * len(shape)
        if pixels is not None:
            for place, axis in enumerate(ngff):
                scale[place], unit = _ome_scale(pixels, axis["name"].upper())
                axis |= {"unit": unit} if unit else {}
        else:
            self._scale_by_imagej(ngff, scale)
        dtype = series.dtype.newbyteorder("=")
        chunk = (*(1,) * (len(shape) - 2), *shape[-2:])
        level = SourceLevel(tuple(shape), dtype, 0, chunk, None, tuple(scale), (0.0,) * len(shape))
        sizes = [n for n, axis in zip(shape, ngff, strict=True) if axis["name"] == "c"]
        channels = _channels(pixels, sizes[0] if sizes else 1)
        name = pixels.get("Name", "") if pixels is not None else ""
        return SourceImage(
            key,
            tuple(ngff),
            (level,),
            ome={"omero": omero_attributes(channels, dtype)} if channels else {},
            multiscale={"name": name} if name else {},
            attributes={"ome_xml": self._file.ome_metadata} if pixels is not None else {},
            log=_log(pixels, ngff),
        )

    def _scale_by_imagej(self, axes: list[dict[str, Any]], scale: list[float]) -> None:
        """Take the sizes of pixels that ImageJ keeps."""
        said = self._file.imagej_metadata or {}
        tags = self._file.pages[0].tags
        for place, axis in enumerate(axes):
            tag = {"x": "XResolution", "y": "YResolution"}.get(axis["name"])
            unit = said.get("unit") if axis.get("type") == "space" else None
            if tag and unit and tag in tags and tags[tag].value[0]:
                scale[place] = tags[tag].value[1] / tags[tag].value[0]
            elif axis["name"] == "z" and (spacing := _number(said.get("spacing"))):
                scale[place] = spacing
            elif axis["name"] == "t" and (interval := _number(said.get("finterval"))):
                scale[place], unit = interval, "second"
            known = normalise_unit(str(unit).replace("\\u00B5", "µ"), DimensionType.SPACE)
            axis |= {"unit": known} if unit else {}


def _is_rgb(series: Any) -> bool:
    """Return whether the samples of a pixel lie beside each other."""
    return bool(series.axes.endswith("S")) and series.ndim > 2


def _ome_images(path: Path, xml: str | None) -> list[ElementTree.Element]:
    """Return the ``Pixels`` of each image of OME-XML, each with the name of its image."""
    if not xml:
        return []
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return []
    check_ome(path, root)
    found = []
    for image in root.iter():
        if _tag(image) == "Image":
            pixels = next((one for one in image if _tag(one) == "Pixels"), None)
            if pixels is not None:
                pixels.set("Name", image.get("Name", ""))
                found.append(pixels)
    return found


def _tag(element: ElementTree.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _ome_scale(pixels: ElementTree.Element, axis: str) -> tuple[float, str | None]:
    """Return the size of a pixel on an axis, and its unit."""
    key = _SIZES.get(axis)
    size = _number(pixels.get(key)) if key else None
    if key is None or size is None:
        return 1.0, None
    kind = DimensionType.TIME if axis == "T" else DimensionType.SPACE
    unit = pixels.get(f"{key}Unit", "s" if axis == "T" else "µm")
    return size, normalise_unit(unit, kind)


def _number(text: object) -> float | None:
    """Return a finite number of OME-XML or ImageJ; None for anything else."""
    try:
        number = float(str(text or ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _channels(pixels: ElementTree.Element | None, number: int) -> list[Channel]:
    """Return the channels that OME-XML names; none where it names none."""
    found = [one for one in (pixels if pixels is not None else ()) if _tag(one) == "Channel"]
    if len(found) != number or not any(one.get("Name") for one in found):
        return []
    return [Channel(name=one.get("Name", ""), color=_color(one.get("Color"))) for one in found]


def _color(number: str | None) -> str | None:
    """Return RRGGBB of OME's signed number of RGBA."""
    if number is None or not number.lstrip("-").isdecimal() or int(number) == -1:
        return None
    return f"{int(number) % 2**32 >> 8:06X}"


def _log(pixels: ElementTree.Element | None, axes: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a log of frames with what OME-XML says of each plane."""
    lines = []
    keys = {"DeltaT": "elapsed_s", "ExposureTime": "exposure_s"}
    keys |= {f"Position{axis}": f"{axis.lower()}_um" for axis in "XYZ"}
    for plane in pixels if pixels is not None else ():
        if _tag(plane) != "Plane":
            continue
        found = {name: _number(plane.get(key)) for key, name in keys.items()}
        told = {name: number for name, number in found.items() if number is not None}
        index = [int(_number(plane.get(f"The{axis['name'].upper()}")) or 0) for axis in axes[:-2]]
        if told and max(index, default=0) < MOST_PLANES:
            lines.append(to_json({"index": index, "metadata": told}))
    return b"".join(b" ".join(line.split()) + b"\n" for line in lines)
