"""Showing a recording: opened when it is done, or followed while it grows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqz_napari.form.remote_place import storage_options
from aqz_napari.ome_zarr.reader import read_layers
from aqz_napari.widget.form_parts import ERROR, WARNING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aqz_napari.recorder.recorder import Recorder

__all__ = ["LiveView", "open_below", "open_recording", "open_result"]

_log = logging.getLogger("aqz.napari")


def open_result(viewer: Any, store_path: str, **options: Any) -> list[Any]:
    """Add a recording to a viewer, with its scale, units and colours.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers are added.
    store_path : str
        The store: a path or URL.
    **options
        Passed on to fsspec for URLs.

    Returns
    -------
    list of napari.layers.Layer
        The new layers; empty if nothing was recorded.

    Raises
    ------
    Exception
        Whatever keeps the store from being read.
    """
    added = []
    for data, shown, kind in read_layers(store_path, **options):
        shape = (data[0] if isinstance(data, list) else data).shape
        if 0 in shape:
            continue
        add = viewer.add_labels if kind == "labels" else viewer.add_image
        added.append(add(data, **shown))
    if len(added) == 1:
        added[0].name = Path(store_path.rstrip("/")).name.partition(".")[0]
    return added


def open_below(viewer: Any, store_path: str, **options: Any) -> list[Any]:
    """Open a recording below the layers that are shown, and leave the selection as it is.

    Parameters, returns and errors: as `open_result`.
    """
    selected = set(viewer.layers.selection)
    active = viewer.layers.selection.active
    added = open_result(viewer, store_path, **options)
    others = len(viewer.layers) - len(added)
    if others and added:
        viewer.layers.move_multiple([viewer.layers.index(layer) for layer in added], 0)
        viewer.layers.selection = selected
        viewer.layers.selection.active = active if active in viewer.layers else None
    return added


def open_recording(viewer: Any, recorder: Recorder, say: Callable[[str, str], None]) -> list[Any]:
    """Open what was recorded below the other layers; `say` why, if that fails.

    Returns
    -------
    list of napari.layers.Layer
        The new layers.
    """
    settings = recorder.settings
    path = str(settings.store_path)  # with the password that `store_path` leaves out
    options = storage_options(path, settings.s3.endpoint if settings.s3 else "")
    try:
        layers = open_below(viewer, path, **options)
    except Exception as error:  # a reader can raise anything; the store is not at fault
        why = str(error).replace(path, recorder.store_path)
        say(f"The recording could not be opened: {why}", ERROR)
        return []
    if not layers:
        say("There are no frames to open.", WARNING)
    return layers


class LiveView:
    """Layers that show what a growing store holds, the newest frame in front.

    Parameters
    ----------
    viewer : napari.Viewer
        Where they are shown.
    store_path : str
        A store on this machine.
    keys : sequence of str
        The arrays to follow.
    """

    def __init__(self, viewer: Any, store_path: str, keys: Sequence[str]) -> None:
        self._viewer = viewer
        self._store = Path(store_path)
        self.layers: dict[str, Any] = dict.fromkeys(keys)

    def update(self) -> None:
        """Look at the store, and show what was added; call it a few times a second."""
        for key in self.layers:
            try:
                self._update(key)
            except Exception:  # a store in the middle of a change; the next look succeeds
                _log.debug("the recording could not be followed", exc_info=True)

    def close(self) -> None:
        """Remove the layers."""
        for key, layer in self.layers.items():
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
            self.layers[key] = None

    def _update(self, key: str) -> None:
        """Show one array."""
        import zarr

        node = zarr.open(str(self._store / key), mode="r")
        array = node if isinstance(node, zarr.Array) else node["0"]
        if 0 in array.shape:
            return
        layer = self.layers[key]
        if layer is None:
            ((_, options, _), *_) = read_layers(str(self._store / key))
            options = {k: v for k, v in options.items() if k in _OPTIONS}
            if len(options.get("scale", ())) != array.ndim:
                options = {}
            name = f"{key or self._store.name.partition('.')[0]} (recording)"
            selection = set(self._viewer.layers.selection)
            layer = self._viewer.add_image(
                array, **{**options, "name": name, "metadata": {"recording": True}}
            )
            self._viewer.layers.selection = selection
            self.layers[key] = layer
        elif layer not in self._viewer.layers or array.shape == layer.data.shape:
            return
        else:
            before = layer.data.shape[0]
            layer.data = array
            if not self._is_at(before - 1, array.shape):
                return  # the user is looking at another frame
        self._show_newest(array.shape)

    def _axis(self, shape: tuple[int, ...]) -> int:
        """Return which slider is that of the first axis."""
        return int(self._viewer.dims.ndim) - len(shape)

    def _is_at(self, step: int, shape: tuple[int, ...]) -> bool:
        """Return whether the slider is where it was put."""
        return bool(self._viewer.dims.current_step[self._axis(shape)] >= step)

    def _show_newest(self, shape: tuple[int, ...]) -> None:
        """Move the first slider of the array to its end."""
        axis = self._axis(shape)
        if axis not in self._viewer.dims.displayed:
            self._viewer.dims.set_current_step(axis, shape[0] - 1)


_OPTIONS = ("scale", "translate", "units", "axis_labels", "colormap", "contrast_limits")
