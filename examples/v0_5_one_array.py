"""A program for acquire-zarr 0.5.1 with its import changed: one array, Zarr V3.

``python examples/v0_5_one_array.py [folder]``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core.compat.v0_5 as aqz


def main(folder: Path) -> None:
    """Record ten time points of three channels."""
    settings = aqz.StreamSettings(
        store_path=str(folder / "v0_5_one_array.zarr"),
        version=aqz.ZarrVersion.V3,
        overwrite=True,
    )
    settings.arrays = [
        aqz.ArraySettings(
            output_key="array1",
            data_type=np.uint16,
            dimensions=[
                aqz.Dimension(
                    name="t",
                    type=aqz.DimensionType.TIME,
                    array_size_px=0,
                    chunk_size_px=5,
                    shard_size_chunks=2,
                ),
                aqz.Dimension(
                    name="c",
                    type=aqz.DimensionType.CHANNEL,
                    array_size_px=3,
                    chunk_size_px=1,
                    shard_size_chunks=1,
                ),
                aqz.Dimension(
                    name="y",
                    type=aqz.DimensionType.SPACE,
                    array_size_px=108,
                    chunk_size_px=27,
                    shard_size_chunks=2,
                ),
                aqz.Dimension(
                    name="x",
                    type=aqz.DimensionType.SPACE,
                    array_size_px=192,
                    chunk_size_px=48,
                    shard_size_chunks=2,
                ),
            ],
        )
    ]
    stream = aqz.ZarrStream(settings)
    for time in range(10):
        stream.append(np.full((3, 108, 192), time, np.uint16))
    stream.write_custom_metadata('{"microscope": "left"}', True)
    stream.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
