"""NDTiff datasets of Micro-Manager as what is transcoded."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aqz_core.dataset.lazy import imported
from aqz_core.errors import AqzError, StorageError
from aqz_core.metadata.omero import omero_attributes
from aqz_core.settings.array import Channel
from aqz_core.transcoding.ndtiff_checks import FilesOfFolder, check_index
from aqz_core.transcoding.source import SourceImage, SourceLevel, series_groups
from aqz_core.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.reading.regions import Box

__all__ = ["NdTiffSource"]

_NAMES = {"time": "t", "channel": "c", "z": "z"}
_TYPES = {"t": "time", "c": "channel", "z": "space"}
_DROPPED = frozenset({"Axes", "PixelType", "Width", "Height", "BitDepth", "ROI"})
"""Of a frame's metadata: what the array says itself."""


class NdTiffSource:
    """A dataset of NDTiff: an image for each position.

    Parameters
    ----------
    path
        Its folder, which holds ``NDTiff.index``.

    Raises
    ------
    SettingsError
        ndstorage is not installed.
    StorageError
        It cannot be read.
    """

    left_out: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._given = (path,)
        self._lock = threading.Lock()  # its files are read by seeking
        self.url = str(path)
        ndstorage = imported("ndstorage", "ndtiff")
        files = FilesOfFolder()
        with contextlib.ExitStack() as opened:
            opened.enter_context(files.opened)
            try:
                check_index(path)
                with contextlib.redirect_stdout(io.StringIO()):  # it prints how far it is
                    self._dataset = ndstorage.Dataset(str(path), file_io=files)
                self._describe(path)
            except AqzError:
                raise
            except Exception as error:  # ndstorage has no errors of its own
                raise StorageError(f"{path}: cannot be read as NDTiff: {error}") from error
            self._opened = opened.pop_all()

    def _describe(self, path: Path) -> None:
        """Find the axes and images."""
        self._frames = list(map(dict, self._dataset.get_image_coordinates_list()))
        if not self._frames:
            raise StorageError(f"{path}: the dataset has no images")
        first = self._pixels(self._frames[0])
        if first.ndim != 2:
            raise StorageError(f"{path}: colour images are not supported")
        self._plane, self._dtype = first.shape, first.dtype
        names = {name for frame in self._frames for name in frame}
        lead = [one for one in ("time", "channel", "z") if one in names]
        lead[1:1] = sorted(names - {"time", "channel", "z", "position"})
        if {*map(str.lower, names)} & {"x", "y", *_NAMES.values()} - {"z"}:
            raise StorageError(f"{path}: {sorted(names)} cannot all be axes beside x and y")
        self._lead = lead
        self._values = {
            name: list(dict.fromkeys(frame[name] for frame in self._frames if name in frame))
            for name in lead
        }
        for values in self._values.values():
            if all(type(value) is int for value in values):
                values.sort()
        positions = list(dict.fromkeys(frame.get("position") for frame in self._frames))
        self._positions = sorted(positions, key=str) if len(positions) > 1 else positions
        several = len(positions) > 1
        self.images = tuple(
            self._image(number, str(number) if several else "")
            for number in range(len(self._positions))
        )
        keys = [image.key for image in self.images]
        self.groups = series_groups(keys) if several else ()
        files = sorted(file for file in path.iterdir() if file.is_file())
        told = "".join(f"{file.name}:{file.stat().st_size};" for file in files)
        self.identity = hashlib.sha256(told.encode()).hexdigest()

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return type(self), self._given

    def read(self, image: int, level: int, box: Box) -> npt.NDArray[Any]:
        """Return the pixels of a box."""
        pixels = np.zeros([stop - start for start, stop in box], self._dtype)
        for place in np.ndindex(pixels.shape[:-2]):
            index = [k + start for k, (start, _) in zip(place, box, strict=False)]
            frame = self._frame(image, index)
            if self._dataset.has_image(**frame):
                found = self._pixels(frame)
                if (found.shape, found.dtype) != (self._plane, self._dtype):
                    raise StorageError(f"{self.url}: the frame {frame} is not like the first one")
                pixels[place] = found[tuple(slice(*ends) for ends in box[-2:])]
        return pixels

    def _pixels(self, frame: dict[str, Any]) -> npt.NDArray[Any]:
        """Return a whole frame."""
        try:
            with self._lock:
                return np.asarray(self._dataset.read_image(**frame))
        except Exception as error:
            raise StorageError(f"{self.url}: the frame {frame} cannot be read: {error}") from error

    def recorded(self, image: int) -> npt.NDArray[np.bool_]:
        """Return which planes were recorded."""
        shape = self.images[image].levels[0].shape[:-2]
        flags = np.zeros(shape, bool)
        for index in np.ndindex(*shape):
            flags[index] = self._dataset.has_image(**self._frame(image, index))
        return flags

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def _frame(self, image: int, index: Any) -> dict[str, Any]:
        """Return the axes of a frame as NDTiff has them."""
        frame = {name: self._values[name][k] for name, k in zip(self._lead, index, strict=True)}
        position = self._positions[image]
        return frame if position is None else {**frame, "position": position}

    def _image(self, number: int, key: str) -> SourceImage:
        """Return what there is to know of a position."""
        names = [_NAMES.get(name, name) for name in self._lead]
        summary = self._dataset.summary_metadata or {}
        shape = (*(len(self._values[name]) for name in self._lead), *self._plane)
        log, first = self._log(number)
        scale = [1.0] * len(shape)
        size = first.get("PixelSizeUm") or summary.get("PixelSize_um")
        step = summary.get("z-step_um") or summary.get("zStep_um")
        if "z" in names and step:
            scale[names.index("z")] = abs(float(step))
        if size:
            scale[-2:] = [float(size)] * 2
        axes = [
            {
                "name": name,
                **({"type": _TYPES[name]} if name in _TYPES else {}),
                **({"unit": "micrometer"} if name == "z" and step else {}),
            }
            for name in names
        ]
        unit = {"unit": "micrometer"} if size else {}
        axes += [{"name": name, "type": "space", **unit} for name in "yx"]
        level = SourceLevel(
            shape,
            self._dtype,
            0,
            (*(1,) * len(names), *self._plane),
            None,
            tuple(scale),
            (0.0,) * len(shape),
        )
        channels = [Channel(name=str(value)) for value in self._values.get("channel", ())]
        position = self._positions[number]
        attributes: dict[str, Any] = {"micromanager": {"summary": _plain(summary)}}
        if position is not None:
            attributes["micromanager"]["position"] = {"label": str(position)}
        attributes["aqz"] = {
            "state": "complete",
            "version": __version__,
            "frames": None,
            "live": False,
            "gaps": True,
            "axes": [
                {
                    "name": axis["name"],
                    "type": axis.get("type", "other"),
                    "unit": axis.get("unit"),
                    "scale": scale[n],
                    "origin": 0.0,
                    "size": shape[n],
                }
                for n, axis in enumerate(axes)
            ],
            "downsampling": None,
        }
        return SourceImage(
            key,
            tuple(axes),
            (level,),
            ome={"omero": omero_attributes(channels, self._dtype)} if channels else {},
            multiscale={"name": str(position) if position is not None else "image"},
            attributes=attributes,
            log=log,
        )

    def _log(self, number: int) -> tuple[bytes, dict[str, Any]]:
        """Return the log of a position's frames, and the metadata of the first.

        As the Micro-Manager hook writes it: what is the same as in the row before is left out.
        """
        shape = tuple(len(self._values[name]) for name in self._lead)
        lines: list[bytes] = []
        last: dict[str, Any] = {}
        first: dict[str, Any] = {}
        for index in np.ndindex(*shape):
            frame = self._frame(number, index)
            if not self._dataset.has_image(**frame):
                continue
            told = _plain(self._dataset.read_metadata(**frame) or {})
            first = first or told
            told = {key: value for key, value in told.items() if key not in _DROPPED}
            row: dict[str, Any] = {}
            if (elapsed := told.pop("ElapsedTime-ms", None)) is not None:
                row["elapsed_ms"] = elapsed
            changed = {key: value for key, value in told.items() if last.get(key) != value}
            last |= changed
            row |= {"changed": changed} if changed else {}
            entry = {"index": list(index), **({"metadata": row} if row else {})}
            lines.append(json.dumps(entry, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        return b"".join(lines), first


def _plain(value: Any) -> dict[str, Any]:
    """Return metadata as plain JSON."""
    found = json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
    return found if isinstance(found, dict) else {}
