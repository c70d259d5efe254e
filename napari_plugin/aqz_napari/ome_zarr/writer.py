"""Saving layers as OME-Zarr: File > Save Selected Layers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

import aqz_core as aqz
from aqz_napari.form.recording_plan import RecordingPlan, StoragePlan, array_keys, array_plan
from aqz_napari.sources.frame_source import SourceSpec
from aqz_napari.sources.layer_facts import layer_axes, layer_channels, layer_dtype, level_zero

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["write_layers"]


def write_layers(path: str, layers: Sequence[tuple[Any, Mapping[str, Any], str]]) -> list[str]:
    """Save image and labels layers to one store; several layers become several images in it.

    Parameters
    ----------
    path : str
        Where the store goes; nothing may be there.
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
    named = [_layer(*layer) for layer in layers]
    plan = RecordingPlan(
        tuple(
            array_plan(key, _spec(layer))
            for key, layer in zip(array_keys([n.name for n in named]), named, strict=True)
        ),
        StoragePlan(codec="blosc-zstd", pyramid="mean"),
    )
    settings = plan.settings(path)
    for array, layer in zip(settings.arrays, named, strict=True):
        if layer.kind == "labels":  # a mean of labels is no label
            array.downsampling_method = aqz.DownsamplingMethod.DECIMATE
    with aqz.ZarrStream(settings) as stream:
        for array, layer in zip(settings.arrays, named, strict=True):
            key = array.output_key or None
            for plane in _planes(layer):
                stream.append(plane, key)
            stream.write_custom_metadata({"layer_type": layer.kind}, key, "napari")
    return [path]


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
        "units": metadata.get("units", (None,) * ndim),
        "axis_labels": metadata.get("axis_labels", ()),
        "colormap": colormap,
    }
    if kind == "image" and metadata.get("contrast_limits") is not None:
        given["contrast_limits"] = metadata["contrast_limits"]
    return SimpleNamespace(data=data, multiscale=multiscale, kind=kind, **given)


def _spec(layer: Any) -> SourceSpec:
    """Return the layer as a source whose axes are all of known size."""
    axes = layer_axes(layer)
    channels = layer_channels(layer)
    sizes = [axis.size for axis in axes if axis.kind == "channel"]
    fits = len(channels) == (sizes[0] if sizes else 1)
    return SourceSpec(
        layer.name, axes, layer_dtype(layer), update_ndim=2, channels=channels if fits else ()
    )


def _planes(layer: Any) -> Any:
    """Yield the planes of a layer in storage order; lazy data one slab at a time."""
    data = level_zero(layer)
    shape = np.shape(data)
    lead = shape[: -3 if layer.rgb else -2]
    for index in np.ndindex(lead):
        pixels = np.asarray(data[index])
        if layer.rgb:
            yield from np.moveaxis(pixels, -1, 0)
        else:
            yield pixels
