"""Opens stores in a real napari window, as a user does by dropping them on it.

``python -m tests.micromanager.open_in_napari STORE ...`` prints one line of JSON: for each store
the layers, and whether the canvas shows more than its background.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np


def describe(layer):
    """Return what a user sees of a layer."""
    level = layer.data[0] if layer.multiscale else layer.data
    return {
        "name": layer.name,
        "axes": list(layer.axis_labels),
        "shape": list(level.shape),
        "scale": [float(value) for value in layer.scale],
        "translate": [float(value) for value in layer.translate],
        "units": [str(unit) for unit in layer.units],
        "mean": float(np.asarray(level[-1]).mean()),
    }


def main() -> None:
    """Open the stores of the command line."""
    import napari

    viewer = napari.Viewer(show=True)
    found = {}
    for store in sys.argv[1:]:
        viewer.layers.clear()
        viewer.open(store, plugin="aqz")
        viewer.reset_view()
        picture = viewer.screenshot(canvas_only=True, flash=False)
        found[store] = {
            "layers": [describe(layer) for layer in viewer.layers],
            "colors": len(np.unique(picture.reshape(-1, 4), axis=0)),
        }
    print("OPENED", json.dumps(found), flush=True)
    os._exit(0)  # Qt needs no farewell


if __name__ == "__main__":
    main()
