"""Opens stores with readers that know nothing of aqz: ome-zarr and, where it is installed, iohub.

``python -m tests.micromanager.open_elsewhere STORE ...`` prints one line of JSON: what each reader
found in each store, or its error. In a process of its own, as both warn while they are imported.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np


def with_ome_zarr(path):
    """Return shape, channel names, scale and means of the time points of every node."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    return [
        {
            "shape": list(node.data[0].shape),
            "channels": node.metadata.get("channel_names"),
            "means": [float(np.asarray(time).mean()) for time in node.data[0]],
        }
        for node in Reader(parse_url(path))()
    ]


def with_iohub(path):
    """Return the same of every position."""
    from iohub import open_ome_zarr

    dataset = open_ome_zarr(path, mode="r")
    positions = list(dataset.positions()) if hasattr(dataset, "positions") else [("", dataset)]
    return [
        {
            "name": name,
            "shape": list(position.data.shape),
            "channels": position.channel_names,
            "scale": [float(value) for value in position.scale],
            "means": [float(np.asarray(time).mean()) for time in position.data],
        }
        for name, position in positions
    ]


def main() -> None:
    """Open the stores of the command line."""
    warnings.simplefilter("ignore")
    found = {}
    for store in sys.argv[1:]:
        found[store] = {}
        for name, reader in (("ome-zarr", with_ome_zarr), ("iohub", with_iohub)):
            try:
                found[store][name] = reader(store)
            except ModuleNotFoundError as error:
                found[store][name] = f"not installed: {error.name}"
    print("OPENED", json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
