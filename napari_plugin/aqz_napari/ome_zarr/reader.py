"""Reading OME-Zarr into napari: scale, units, axis names, colours, pyramids, plates.

Pixels stay in the store until they are shown. Written for what aqz records, and for any store
of OME-NGFF 0.4 or 0.5. napari asks `get_reader`; the widget and scripts use `read_layers`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from aqz_napari.ome_zarr.layer_state import restored

__all__ = ["get_reader", "list_plate_fields", "read_layers"]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

_MOST_LAYERS = 30
"""More images than this are stacked along an axis of positions, where they are alike."""

_IN_MEMORY = 256 << 20
"""Bytes up to which labels are read at once: napari edits only what is in memory."""

_WHITE = "FFFFFF"


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return a reader if a path looks like a Zarr store that this can read."""
    paths = [path] if isinstance(path, str) else list(path)
    return _read if paths and all(_is_store(item) for item in paths) else None


def read_layers(path: str, field: str | None = None, **options: Any) -> list[LayerData]:
    """Return the layers of a store.

    Parameters
    ----------
    path : str
        Store, or an image or array inside of one; a path or URL.
    field : str, optional
        For a plate, which field of view, as `list_plate_fields` names them; the first one if
        left out.
    **options
        Passed on to fsspec for URLs.

    Returns
    -------
    list of (data, keyword arguments, layer type)
        Empty for a group that holds no image.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no Zarr store, or a damaged one.
    """
    import zarr

    if "://" not in path:
        path = str(Path(path).expanduser())
    node = zarr.open(path, mode="r", **({"storage_options": options} if options else {}))
    name = Path(path.rstrip("/")).name.removesuffix(".zarr").removesuffix(".ome")
    if isinstance(node, zarr.Array):
        return [_plain_array(node, name)]
    document = _ome(node.attrs)
    if "plate" in document:
        fields = _plate_fields(node)
        chosen = field if field is not None else next(iter(fields), None)
        if chosen is None:
            return []
        shown = f"{name} {chosen}"
        layers = _image(node[chosen], shown) + _labels(node[chosen])
        return _of_image(layers, shown) if len(fields) > 1 else layers
    if "multiscales" in document:
        return _image(node, name) + _labels(node)
    images = list(_images(node))
    if len(images) == 1:
        return images[0][1]
    if sum(len(layers) for _, layers in images) > _MOST_LAYERS:
        return _stacked(images, name)
    return [layer for name, layers in images for layer in _of_image(layers, name)]


def list_plate_fields(path: str) -> list[str]:
    """Return the fields of view of a plate, ``"row/column/field"``; empty for no plate."""
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array) or "plate" not in _ome(node.attrs):
        return []
    return _plate_fields(node)


def _read(path: str | list[str]) -> list[LayerData]:
    """Read for napari; a plate asks which field to show."""
    layers: list[LayerData] = []
    for item in [path] if isinstance(path, str) else path:
        fields = list_plate_fields(item)
        chosen = _choose(item, fields) if fields else None
        if not fields or chosen is not None:
            layers.extend(read_layers(item, chosen))
    return layers or [(None,)]  # type: ignore[list-item]  # napari's word for nothing to show


def _choose(path: str, fields: list[str]) -> str | None:
    """Let the user choose a field of view where there is a window to ask in; None: nothing."""
    if len(fields) == 1:
        return fields[0]
    try:
        from qtpy.QtWidgets import QApplication, QInputDialog
    except ImportError:
        return fields[0]
    if QApplication.instance() is None:
        return fields[0]
    chosen, accepted = QInputDialog.getItem(  # the window gives it napari's style
        QApplication.activeWindow(), "Open a plate", f"{Path(path).name}: field of view",
        fields, 0, False,
    )  # fmt: skip
    return str(chosen) if accepted else None


def _is_store(path: str) -> bool:
    """Return whether a path is a folder with Zarr metadata, or a URL that ends like one."""
    if "://" in path and not path.startswith("file://"):
        return path.rstrip("/").endswith(".zarr")
    folder = Path(path.removeprefix("file://"))
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME metadata of a group: under ``ome`` since 0.5, at the top before."""
    nested = attributes.get("ome")
    return nested if isinstance(nested, Mapping) else attributes


def _plate_fields(plate: Any) -> list[str]:
    """Return the path of each field of view of a plate."""
    fields: list[str] = []
    for well in _ome(plate.attrs)["plate"].get("wells", []):
        images = _ome(plate[well["path"]].attrs).get("well", {}).get("images", [])
        fields.extend(f"{well['path']}/{image['path']}" for image in images)
    return fields


def _images(group: Any) -> list[tuple[str, list[LayerData]]]:
    """Return the images and arrays of a group that is not an image itself: names, and layers."""
    import zarr

    images: list[tuple[str, list[LayerData]]] = []
    for name, child in _in_order(group):
        if isinstance(child, zarr.Array):
            images.append((name, [_plain_array(child, name)]))
        elif "multiscales" in _ome(child.attrs):
            images.append((name, _image(child, name) + _labels(child)))
        else:
            images.extend((f"{name}/{inner}", layers) for inner, layers in _images(child))
    return images


def _stacked(images: list[tuple[str, list[LayerData]]], name: str) -> list[LayerData]:
    """Return the layers of many images: those that are alike along an axis ``position``.

    Dozens of layers on top of each other are of no use, and slow.
    """
    import dask.array

    alike: dict[Any, list[tuple[str, LayerData]]] = {}
    for image, layers in images:
        for number, (data, options, kind) in enumerate(layers):
            level = data[0] if isinstance(data, list) else data
            like = (number, kind, level.shape, str(level.dtype), options.get("scale"))
            alike.setdefault(like, []).append((image, (data, options, kind)))
    stacked: list[LayerData] = []
    for members in alike.values():
        image, (data, options, kind) = members[0]
        if len(members) == 1:
            stacked += _of_image([(data, options, kind)], image)
            continue
        levels = [
            [one[0][level] if isinstance(one[0], list) else one[0] for _, one in members]
            for level in range(len(data) if isinstance(data, list) else 1)
        ]
        pixels = [dask.array.stack([dask.array.asarray(a) for a in level]) for level in levels]
        more = {"scale": 1.0, "translate": 0.0, "axis_labels": "position", "units": "pixel"}
        first = {key: (more[key], *options[key]) for key in more if key in options}
        places = {"positions": [image for image, _ in members]}
        metadata = {**options.get("metadata", {}), **places}
        shown = options["name"] if options["name"] != image else name
        stacked.append(
            (_levels(pixels), {**options, **first, "name": shown, "metadata": metadata}, kind)
        )
    return stacked


def _of_image(layers: list[LayerData], image: str) -> list[LayerData]:
    """Return the layers of one image of several, its name in front of those of channels."""

    def named(name: str) -> str:
        """Return the name of a layer; a layer that was saved is called like its image."""
        group, _, last = image.rpartition("/")
        if _plain(name) in (_plain(image), _plain(last)):
            return f"{group}/{name}" if group and _plain(name) == _plain(last) else name
        return f"{image} {name}"

    return [
        (data, {**options, "name": named(options["name"])}, kind) for data, options, kind in layers
    ]


def _plain(name: str) -> str:
    """Return a name without the characters that a key of a store cannot have."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def _in_order(group: Any) -> list[tuple[str, Any]]:
    """Return the members of a group; those of a series of images in its order."""
    members = dict(group.members())
    listed = _ome(members["OME"].attrs).get("series", []) if "OME" in members else []
    series = [(name, members[name]) for name in listed if name in members]
    return series or sorted(members.items())


def _labels(image: Any) -> list[LayerData]:
    """Return the label images that belong to an image."""
    try:
        names = _ome(image["labels"].attrs).get("labels", [])
    except KeyError:
        return []
    return [
        _as_labels(data, options)
        for name in names
        for data, options, _ in _image(image["labels"][name], name)
    ]


def _as_labels(data: Any, options: Mapping[str, Any]) -> LayerData:
    """Return a layer of labels; in memory, so that it can be edited, if it is not too large."""
    full = data[0] if isinstance(data, list) else data
    if np.dtype(full.dtype).itemsize * math.prod(full.shape) <= _IN_MEMORY:
        data = np.asarray(full)
    return data, {k: v for k, v in options.items() if k in _FOR_LABELS}, "labels"


_FOR_LABELS = frozenset(
    {
        "name", "scale", "translate", "units", "axis_labels", "multiscale", "metadata",
        "rotate", "shear", "affine", "opacity", "blending",
    }
)  # fmt: skip


def _plain_array(array: Any, name: str) -> LayerData:
    """Return the layer of an array without OME metadata."""
    options: dict[str, Any] = {"name": name, "metadata": {"zarr": dict(array.attrs)}}
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(names):
        options["axis_labels"] = tuple(names)
    recorded = array.attrs.get("recording", {})
    axes = recorded.get("axes", ()) if isinstance(recorded, Mapping) else ()
    if len(axes) == array.ndim:  # a recording whose axes OME-NGFF has no words for
        options["scale"] = tuple(float(axis["scale"]) for axis in axes)
        units = [_showable(axis["unit"]) for axis in axes]
        if any(units):
            options["units"] = tuple(unit or "pixel" for unit in units)
    options.update(restored(array.attrs.get("napari"), array.ndim))
    return _as_labels(array, options) if _holds_labels(array) else (array, options, "image")


def _holds_labels(node: Any) -> bool:
    """Return whether an image or array holds labels, by its own words or those of its saver."""
    saved, recorded = node.attrs.get("napari"), node.attrs.get("recording")
    source = recorded.get("source") if isinstance(recorded, Mapping) else None
    return (
        (isinstance(saved, Mapping) and saved.get("layer_type") == "labels")
        or (isinstance(source, Mapping) and source.get("labels") is True)
        or "image-label" in _ome(node.attrs)
    )


def _image(group: Any, name: str) -> list[LayerData]:
    """Return the layers of an image: one, or one for each channel that has a display."""
    document = _ome(group.attrs)
    image = document["multiscales"][0]
    levels = [group[dataset["path"]] for dataset in image["datasets"]]
    names, units, kinds = _axes(image, levels[0].ndim)
    scale, translate = _transform(image, levels[0].ndim)
    options: dict[str, Any] = {
        "name": name,
        "scale": scale,
        "translate": translate,
        "axis_labels": names,
        "metadata": {"ome": dict(document), "recording": group.attrs.get("recording")},
    }
    if any(unit is not None for unit in units):
        options["units"] = tuple(unit if unit is not None else "pixel" for unit in units)
    _calibrate(options, kinds, units, group.attrs.get("recording"))
    state = restored(group.attrs.get("napari"), levels[0].ndim)
    if _holds_labels(group):
        return [_as_labels(_levels(levels), {**options, **state})]
    channels = document.get("omero", {}).get("channels", [])
    axis = kinds.index("channel") if "channel" in kinds else None
    if axis is None or levels[0].shape[axis] != len(channels) or len(channels) < 2:
        display = _display(channels[0], name, levels[0].dtype) if len(channels) == 1 else {}
        return [(_levels(levels), {**options, **display, **state}, "image")]
    return [
        (
            _levels([_channel(level, axis, position) for level in levels]),
            {
                **_without_axis(options, axis),
                **_display(channel, name, levels[0].dtype),
                "blending": "additive",
            },
            "image",
        )
        for position, channel in enumerate(channels)
    ]


def _levels(levels: list[Any]) -> Any:
    """Return the data of a layer: one array, or a pyramid."""
    return levels[0] if len(levels) == 1 else levels


def _channel(array: Any, axis: int, position: int) -> Any:
    """Return one channel of an array, lazily."""
    import dask.array

    return dask.array.take(dask.array.from_zarr(array), position, axis=axis)


def _without_axis(options: dict[str, Any], axis: int) -> dict[str, Any]:
    """Return layer options without the entries of one axis."""
    return {
        key: value[:axis] + value[axis + 1 :]
        if key in ("scale", "translate", "axis_labels", "units")
        else value
        for key, value in options.items()
    }


def _axes(image: Mapping[str, Any], ndim: int) -> tuple[tuple[str, ...], list[Any], list[str]]:
    """Return name, unit and kind of each axis; units that napari cannot show become None."""
    axes = image.get("axes") or ["tczyx"[5 - ndim + i] for i in range(ndim)]
    records = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in axes]
    usual = {"t": "time", "c": "channel"}
    return (
        tuple(str(record["name"]) for record in records),
        [_showable(record.get("unit")) for record in records],
        [record.get("type") or usual.get(str(record["name"]), "space") for record in records],
    )


def _showable(unit: Any) -> str | None:
    """Return a unit if napari's registry knows it."""
    if not isinstance(unit, str):
        return None
    import pint

    try:
        pint.application_registry.get().Unit(unit)
    except Exception:  # pint raises what its parser met
        return None
    return unit


def _transform(image: Mapping[str, Any], ndim: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return pixel size and position of the full resolution."""
    scale, translate = [1.0] * ndim, [0.0] * ndim
    steps = list(image["datasets"][0].get("coordinateTransformations", []))
    for step in steps + list(image.get("coordinateTransformations", [])):
        if step.get("type") == "scale" and "scale" in step:
            scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
            translate = [a * float(b) for a, b in zip(translate, step["scale"], strict=True)]
        elif step.get("type") == "translation" and "translation" in step:
            translate = [a + float(b) for a, b in zip(translate, step["translation"], strict=True)]
    return tuple(scale), tuple(translate)


def _calibrate(options: dict[str, Any], kinds: list[str], units: list[Any], recording: Any) -> None:
    """Give a time axis without a unit the interval that was measured while it was recorded."""
    interval = recording.get("interval") if isinstance(recording, Mapping) else None
    axis = kinds.index("time") if "time" in kinds else None
    if interval and axis is not None and units[axis] is None and axis == 0:
        units = ["second", *(unit or "pixel" for unit in units[1:])]
        options["scale"] = (float(interval), *options["scale"][1:])
        options["units"] = tuple(units)


def _display(channel: Mapping[str, Any], name: str, dtype: Any) -> dict[str, Any]:
    """Return name, colours and contrast of a channel."""
    options: dict[str, Any] = {"name": str(channel.get("label") or name)}
    window = channel.get("window", {})
    if "start" in window and "end" in window and window["start"] < window["end"]:
        limits = (float(window["start"]), float(window["end"]))
        kind = np.dtype(dtype)
        # All values of a wide type is what stands there where nobody chose: everything is black.
        if kind.kind not in "ui" or kind.itemsize == 1 or limits[1] < float(np.iinfo(kind).max):
            options["contrast_limits"] = limits
    colour = str(channel.get("color", ""))
    if len(colour) == 6 and colour.upper() != _WHITE:
        options["colormap"] = f"#{colour}"
    if channel.get("active") is False:
        options["visible"] = False
    return options
