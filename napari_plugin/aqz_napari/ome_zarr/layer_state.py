"""What napari knows of a layer and OME-NGFF has no words for: kept beside it, for napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["layer_state", "restored", "untold"]

_TURNED = ("rotate", "shear", "affine")
_SHOWN = ("blending", "opacity", "gamma", "interpolation2d", "interpolation3d", "rendering")


def layer_state(metadata: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return what is stored of a layer, as JSON.

    Parameters
    ----------
    metadata : mapping
        As napari hands it to a writer.
    kind : str
        Type of the layer.
    """
    state: dict[str, Any] = {"layer_type": kind, "name": str(metadata.get("name", kind))}
    for name in _SHOWN:
        value = metadata.get(name)
        if value is not None:
            state[name] = float(value) if isinstance(value, (int, float)) else str(value)
    for name in _turned(metadata):
        state[name] = np.asarray(metadata[name], float).tolist()
    scale = [float(factor) for factor in metadata.get("scale", ())]
    if any(factor < 0 for factor in scale):
        state["scale"] = scale
    if kind == "image" and not metadata.get("rgb", False):
        limits = metadata.get("contrast_limits")
        if limits is not None and np.isfinite(limits).all():
            state["contrast_limits"] = [float(limit) for limit in limits]
        state |= _colormap(metadata.get("colormap"))
    return state


def untold(metadata: Mapping[str, Any]) -> list[str]:
    """Return what of a layer only napari will read again, for people."""
    words = {"rotate": "rotation", "shear": "shear", "affine": "affine transformation"}
    found = [words[name] for name in _turned(metadata)]
    mirrored = any(float(factor) < 0 for factor in metadata.get("scale", ()))
    return found + (["negative scale"] if mirrored else [])


def restored(state: Any, ndim: int) -> dict[str, Any]:
    """Return the options of a layer that were stored; those that do not fit are left out.

    Parameters
    ----------
    state
        What `layer_state` made, or anything else that is found in its place.
    ndim : int
        Axes of the layer.
    """
    if not isinstance(state, dict):
        return {}
    options = {name: state[name] for name in ("name", *_SHOWN) if name in state}
    if len(state.get("contrast_limits", ())) == 2:
        options["contrast_limits"] = tuple(state["contrast_limits"])
    sizes = {"rotate": ndim, "affine": ndim + 1, "scale": ndim, "shear": ndim * (ndim - 1) // 2}
    for name, size in sizes.items():
        if name in state and len(state[name]) == size:
            options[name] = np.asarray(state[name], float)
    if "colormap" in state:
        options["colormap"] = state["colormap"]
    if "colors" in state:
        from napari.utils import Colormap

        options["colormap"] = Colormap(
            state["colors"], controls=state["controls"], name=str(state.get("colormap", "saved"))
        )
    return options


def _turned(metadata: Mapping[str, Any]) -> list[str]:
    """Return which of the transformations that NGFF 0.5 lacks a layer has."""
    found = []
    for name in _TURNED:
        value = metadata.get(name)
        if value is None:
            continue
        matrix = np.asarray(value, float)
        nothing = np.eye(*matrix.shape) if matrix.ndim == 2 else np.zeros_like(matrix)
        if not np.allclose(matrix, nothing):
            found.append(name)
    return found


def _colormap(colormap: Any) -> dict[str, Any]:
    """Return a colormap: by its name if napari has it, else by its colours."""
    if not isinstance(colormap, dict) or colormap.get("colors") is None:
        return {}
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    name = str(colormap.get("name", ""))
    if name in AVAILABLE_COLORMAPS:
        return {"colormap": name}
    colours = np.asarray(colormap["colors"], float).round(6).tolist()
    return {
        "colormap": name,
        "colors": colours,
        "controls": [float(c) for c in colormap["controls"]],
    }
