"""Metadata of one's own, beside the pixels: ``python examples/custom_metadata.py [folder]``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import aqz_core as aqz


def main(folder: Path) -> None:
    """Describe the stage of an image in three ways."""
    settings = aqz.StreamSettings(
        store_path=folder / "custom_metadata.zarr",
        overwrite=True,
        arrays=[
            aqz.ArraySettings(
                output_key="image",
                data_type=np.uint8,
                is_ngff=True,
                dimensions=[
                    aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1),
                    aqz.Dimension(name="y", array_size_px=64, chunk_size_px=64),
                    aqz.Dimension(name="x", array_size_px=64, chunk_size_px=64),
                ],
            )
        ],
    )
    with aqz.ZarrStream(settings) as stream:
        # Members of a mapping become attributes of the image ...
        stream.write_custom_metadata({"stage": "piezo", "position": 42}, array_key="image")
        # ... and so do those of JSON text, where comments are allowed.
        stream.write_custom_metadata('{"operator": "night shift" /* unattended */}')
        # Under a key, any JSON value can be stored.
        limits = json.dumps({"low": 0, "high": 100})
        stream.write_custom_metadata(limits, array_key="image", metadata_key="travel")
        for time in range(3):
            # Beyond acquire-zarr: metadata of each frame.
            stream.append(np.full((64, 64), time, np.uint8), metadata={"focus": 0.5 * time})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
