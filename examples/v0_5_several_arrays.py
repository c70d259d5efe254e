"""A program for acquire-zarr 0.5.1 with its import changed: two arrays, Zarr V2, its default.

``python examples/v0_5_several_arrays.py [folder]``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core.compat.v0_5 as aqz


def camera(key: str, channels: int) -> aqz.ArraySettings:
    """Describe one camera; shard sizes have no meaning in V2."""
    return aqz.ArraySettings(
        output_key=key,
        data_type=np.uint16,
        dimensions=[
            aqz.Dimension(name="t", type=aqz.DimensionType.TIME, array_size_px=0, chunk_size_px=10),
            aqz.Dimension(
                name="c", type=aqz.DimensionType.CHANNEL, array_size_px=channels, chunk_size_px=1
            ),
            aqz.Dimension(
                name="y", type=aqz.DimensionType.SPACE, array_size_px=108, chunk_size_px=27
            ),
            aqz.Dimension(
                name="x", type=aqz.DimensionType.SPACE, array_size_px=192, chunk_size_px=48
            ),
        ],
    )


def main(folder: Path) -> None:
    """Record both cameras."""
    settings = aqz.StreamSettings(
        store_path=str(folder / "v0_5_several_arrays.zarr"),
        overwrite=True,
        arrays=[camera("sample1/brightfield", 1), camera("sample1/fluorescence", 2)],
    )
    stream = aqz.ZarrStream(settings)
    for time in range(15):
        stream.append(np.full((1, 108, 192), time, np.uint16), key="sample1/brightfield")
        stream.append(np.full((2, 108, 192), time, np.uint16), key="sample1/fluorescence")
    stream.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
