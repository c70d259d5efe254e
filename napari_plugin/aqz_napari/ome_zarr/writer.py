"""Saving layers as OME-Zarr: File > Save Selected Layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

import aqz_core as aqz
from aqz_napari.form.recording_plan import RecordingPlan, StoragePlan, array_keys, array_plan
from aqz_napari.ome_zarr.label_groups import list_labels
from aqz_napari.ome_zarr.layer_state import layer_state, untold
from aqz_napari.sources.frame_source import SourceError, SourceSpec
from aqz_napari.sources.layer_facts import layer_axes, layer_channels, layer_dtype, level_zero

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["write_layers"]


def write_layers(path: str, layers: Sequence[tuple[Any, Mapping[str, Any], str]]) -> list[str]:
    """Save image and labels layers to one store; several layers become several images in it.

    Labels of the size of an image that is saved with them become labels of that image. What
    OME-Zarr has no words for, such as a rotation, is kept for napari, and a notification says so.

    Parameters
    ----------
    path : str
        Where the store goes; nothing may be there. Without the ending of a Zarr store,
        ``.ome.zarr`` is added.
    layers : sequence of (data, metadata, layer type)
        As napari hands them to a writer.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    aqz_core.AqzError
        The store cannot be written.
    SourceError
        A layer cannot be stored.
    """
    path = path if path.rstrip("/").endswith(".zarr") else f"{path}.ome.zarr"
    saved = _placed([_Saved.of(*layer) for layer in layers])
    _say_what_is_untold(saved)
    plan = RecordingPlan(
        tuple(array_plan(one.key, one.spec) for one in saved),
        StoragePlan(codec="blosc-zstd", pyramid="mean"),
    )
    settings = plan.settings(path)
    settings.bioformats2raw &= sum(not one.is_part for one in saved) > 1
    with aqz.ZarrStream(settings) as stream:
        for array, one in zip(settings.arrays, saved, strict=True):
            for plane in one.planes():
                stream.append(plane, one.key)
            stream.write_custom_metadata(one.state, one.key, "napari")
            if not array.is_ngff:
                stream.write_custom_metadata({"axes": _axes(array)}, one.key, "recording")
    list_labels(Path(path).expanduser(), [one.key for one in saved if one.kind == "labels"])
    return [path]


@dataclass(frozen=True)
class _Saved:
    """A layer on its way into a store."""

    data: Any
    kind: str
    spec: SourceSpec
    is_rgb: bool
    state: dict[str, Any]
    untold: list[str]
    key: str = ""
    is_part: bool = False

    @classmethod
    def of(cls, data: Any, metadata: Mapping[str, Any], kind: str) -> _Saved:
        """Return what napari hands over, described as a source."""
        layer = _layer(data, metadata, kind)
        pixels = level_zero(layer)
        axes = layer_axes(layer)
        if any(axis.kind != "space" for axis in axes[-2:]):
            axes, pixels = _rows_and_columns_last(layer, axes, pixels)
        channels = layer_channels(layer)
        sizes = [axis.size for axis in axes if axis.kind == "channel"]
        fits = len(channels) == (sizes[0] if sizes else 1)
        spec = SourceSpec(
            layer.name, axes, layer_dtype(layer), update_ndim=2,
            channels=channels if fits else (), is_labels=kind == "labels",
        )  # fmt: skip
        state = layer_state(metadata, kind)
        return cls(pixels, kind, spec, layer.rgb, state, untold(metadata))

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Sizes of the axes of space."""
        return tuple(axis.size for axis in self.spec.axes if axis.kind == "space")

    def planes(self) -> Iterator[Any]:
        """Yield the planes in storage order; lazy data one slab at a time."""
        lead = np.shape(self.data)[: -3 if self.is_rgb else -2]
        for index in np.ndindex(lead):
            pixels = np.asarray(self.data[index])
            if self.is_rgb:
                yield from np.moveaxis(pixels, -1, 0)
            else:
                yield pixels


def _layer(data: Any, metadata: Mapping[str, Any], kind: str) -> Any:
    """Return a layer-like record of what napari hands over."""
    multiscale = bool(metadata.get("multiscale", False))
    shape = np.shape(data[0] if multiscale else data)
    ndim = len(shape) - bool(metadata.get("rgb", False))
    colormap = metadata.get("colormap")
    if isinstance(colormap, dict):
        colormap = SimpleNamespace(colors=colormap.get("colors"))
    given = {
        "name": str(metadata.get("name", "image")),
        "rgb": bool(metadata.get("rgb", False)),
        "scale": metadata.get("scale", (1.0,) * ndim),
        "translate": metadata.get("translate", (0.0,) * ndim),
        "units": metadata.get("units", (None,) * ndim),
        "axis_labels": metadata.get("axis_labels", ()),
        "colormap": colormap,
    }
    if kind == "image" and metadata.get("contrast_limits") is not None:
        given["contrast_limits"] = metadata["contrast_limits"]
    return SimpleNamespace(data=data, multiscale=multiscale, kind=kind, **given)


def _placed(saved: Sequence[_Saved]) -> list[_Saved]:
    """Give each layer its key; labels go to the first image of their size, if there is one."""
    images = [one for one in saved if one.kind != "labels"]
    owners = [
        next((image for image in images if image.plane_shape == one.plane_shape), None)
        if one.kind == "labels"
        else None
        for one in saved
    ]
    own = [one for one, owner in zip(saved, owners, strict=True) if owner is None]
    keys = dict(zip(map(id, own), array_keys([one.spec.name for one in own]), strict=True))
    placed, taken = [], set()
    for one, owner in zip(saved, owners, strict=True):
        key = keys.get(id(one))
        if key is None:
            # Two names, so that the key is never the root's.
            name = array_keys([one.spec.name, ""])[0]
            key = stem = f"{keys[id(owner)]}/labels/{name}".lstrip("/")
            number = 2
            while key in taken:
                key, number = f"{stem}_{number}", number + 1
        taken.add(key)
        placed.append(replace(one, key=key, is_part=owner is not None))
    return placed


def _rows_and_columns_last(
    layer: Any, axes: tuple[Any, ...], pixels: Any
) -> tuple[tuple[Any, ...], Any]:
    """Return axes and pixels with those of space last, as every OME-Zarr image has them.

    Raises
    ------
    SourceError
        There are not two of them.
    """
    if sum(axis.kind == "space" for axis in axes) < 2 or layer.rgb:
        raise SourceError(
            f"layer {layer.name!r} has the axes {', '.join(axis.name for axis in axes)}; an image "
            "needs two axes of space: change layer.axis_labels, for example to ('c', 'y', 'x')"
        )
    order = sorted(range(len(axes)), key=lambda position: axes[position].kind == "space")
    if not hasattr(pixels, "transpose"):
        import dask.array

        pixels = dask.array.asarray(pixels)
    return tuple(axes[position] for position in order), pixels.transpose(order)


def _axes(array: aqz.ArraySettings) -> list[dict[str, Any]]:
    """Return what a plain array's own metadata cannot say of its axes."""
    return [{"name": d.name, "scale": d.scale or 1.0, "unit": d.unit} for d in array.dimensions]


def _say_what_is_untold(saved: Sequence[_Saved]) -> None:
    """Say what only napari will read again, before anything is written."""
    for one in saved:
        if one.untold:
            from napari.utils.notifications import show_warning

            show_warning(
                f"{one.spec.name}: OME-Zarr has no place for {' and '.join(one.untold)}. It is "
                "kept for napari; other programs show the layer without."
            )
