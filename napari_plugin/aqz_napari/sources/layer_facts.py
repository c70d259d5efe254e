"""What a napari layer says about its pixels: axes, sizes, scale, units, colours.

Works on image and labels layers, in colour, multiscale, lazy or not. Reads attributes only; no
Qt, no events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import aqz_core as aqz
from aqz_napari.sources.frame_source import Axis, SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["layer_axes", "layer_channels", "layer_dtype", "level_zero", "unit_name"]

_KINDS = {"t": "time", "time": "time", "c": "channel", "channel": "channel"}
_USUAL = "tczyx"
_COLOURS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"), ("alpha", "FFFFFF"))


def level_zero(layer: Any) -> Any:
    """Return the full-resolution pixels of a layer, lazy ones as they are."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def layer_dtype(layer: Any) -> np.dtype[Any]:
    """Return the data type of a layer's pixels.

    Raises
    ------
    SourceError
        Pixels of that type cannot be stored.
    """
    data = level_zero(layer)
    dtype = np.dtype(getattr(data, "dtype", object))
    try:
        return aqz.DataType.of(dtype.newbyteorder("=")).dtype.newbyteorder("=")
    except (TypeError, ValueError, RuntimeError):
        raise SourceError(
            f"layer {layer.name!r} has pixels of data type {dtype}, which cannot be stored; "
            "convert them, for example with layer.data.astype('float32')"
        ) from None


def layer_axes(layer: Any, viewer_labels: Sequence[str] = ()) -> tuple[Axis, ...]:
    """Return the axes of a layer, colours of an RGB image as an axis in front of Y and X.

    Parameters
    ----------
    layer
        A napari image or labels layer.
    viewer_labels
        Axis labels of the viewer's sliders, used where the layer has none of its own.

    Raises
    ------
    SourceError
        There are fewer than two axes.
    """
    shape = tuple(int(size) for size in np.shape(level_zero(layer)))
    rgb = bool(getattr(layer, "rgb", False))
    sizes = shape[:-1] if rgb else shape
    if len(sizes) < 2:
        raise SourceError(
            f"layer {layer.name!r} has data of shape {shape}; a recording needs rows and columns"
        )
    names = _names(layer, len(sizes), viewer_labels)
    scale = [float(value) for value in layer.scale][-len(sizes) :]
    origin = [float(value) for value in getattr(layer, "translate", [0.0] * len(sizes))]
    units = [unit_name(unit) for unit in getattr(layer, "units", [None] * len(sizes))]
    axes = [
        Axis(name, size, _KINDS.get(name.lower(), "space"), abs(factor) or 1.0, unit, start)
        for name, size, factor, unit, start in zip(
            names, sizes, scale, units, origin[-len(sizes) :], strict=True
        )
    ]
    if rgb:
        taken = {axis.name for axis in axes}
        axes.insert(len(axes) - 2, Axis("c" if "c" not in taken else "rgb", shape[-1], "channel"))
    return tuple(axes)


def layer_channels(
    layer: Any,
) -> tuple[tuple[str, str | None, tuple[float, float] | None], ...]:
    """Return name, colour and contrast of what a layer shows; nothing for labels."""
    if not hasattr(layer, "contrast_limits"):
        return ()
    window = _window(layer)
    if getattr(layer, "rgb", False):
        count = int(np.shape(level_zero(layer))[-1])
        return tuple((name, colour, None) for name, colour in _COLOURS[:count])
    return ((layer.name, _brightest(layer), window),)


def _window(layer: Any) -> tuple[float, float] | None:
    """Return the contrast limits as far as pixels can reach them; None where nothing is left."""
    start, end = (float(limit) for limit in layer.contrast_limits)
    dtype = np.dtype(getattr(level_zero(layer), "dtype", float))
    if dtype.kind in "ui":  # 12-bit limits on 8-bit pixels are common where cameras change modes
        least, most = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        start, end = max(start, least), min(end, most)
    return (start, end) if np.isfinite([start, end]).all() and start < end else None


def unit_name(unit: object) -> str | None:
    """Return the name of a layer's unit; None for pixels, which is what napari says for none."""
    name = str(unit) if unit is not None else ""
    return name if name and name not in ("pixel", "dimensionless") else None


def _names(layer: Any, ndim: int, viewer_labels: Sequence[str]) -> list[str]:
    """Return names for the axes: the layer's, else the viewer's, else the usual ones."""
    own = [str(label) for label in getattr(layer, "axis_labels", ())][-ndim:]
    shown = [str(label) for label in viewer_labels][-ndim:]
    usual = list(_USUAL[-ndim:]) if ndim <= len(_USUAL) else []
    usual = [f"axis{i}" for i in range(ndim - len(usual))] + usual
    if ndim == 3:
        usual[0] = "t" if getattr(layer, "rgb", False) else "z"
    for candidate in (own, shown):
        if len(candidate) == ndim and not any(map(_is_number, candidate)):
            names = [label.strip() or usual[i] for i, label in enumerate(candidate)]
            if len(set(names)) == ndim:
                return names
    return usual


def _is_number(label: str) -> bool:
    """Return whether an axis label is one of napari's defaults, such as ``-2``."""
    return label.lstrip("-").isdigit()


def _brightest(layer: Any) -> str | None:
    """Return the colour of the largest value as RRGGBB."""
    try:
        red, green, blue = (round(255 * float(v)) for v in layer.colormap.colors[-1][:3])
    except (AttributeError, TypeError, ValueError, IndexError):
        return None
    return f"{red:02X}{green:02X}{blue:02X}"
