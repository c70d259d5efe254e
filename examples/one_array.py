"""One array of a camera with three channels: ``python examples/one_array.py [folder]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core as aqz


def settings(path: Path) -> aqz.StreamSettings:
    """Say what is recorded: time without an end, three channels, frames of 540 x 960."""
    return aqz.StreamSettings(
        store_path=path,
        overwrite=True,
        arrays=[
            aqz.ArraySettings(
                output_key="camera",
                data_type="uint16",
                dimensions=[
                    aqz.Dimension(
                        name="t",
                        kind=aqz.DimensionType.TIME,
                        unit="second",
                        scale=0.1,
                        array_size_px=0,
                        chunk_size_px=8,
                        shard_size_chunks=4,
                    ),
                    aqz.Dimension(
                        name="c",
                        kind=aqz.DimensionType.CHANNEL,
                        array_size_px=3,
                        chunk_size_px=1,
                        shard_size_chunks=1,
                    ),
                    aqz.Dimension(
                        name="y",
                        kind=aqz.DimensionType.SPACE,
                        unit="micrometer",
                        scale=0.325,
                        array_size_px=540,
                        chunk_size_px=270,
                        shard_size_chunks=2,
                    ),
                    aqz.Dimension(
                        name="x",
                        kind=aqz.DimensionType.SPACE,
                        unit="micrometer",
                        scale=0.325,
                        array_size_px=960,
                        chunk_size_px=480,
                        shard_size_chunks=2,
                    ),
                ],
            )
        ],
    )


def main(folder: Path) -> None:
    """Record ten time points of noise."""
    camera = np.random.default_rng(0)
    with aqz.ZarrStream(settings(folder / "one_array.zarr")) as stream:
        for _ in range(10):
            stream.append(camera.integers(0, 4096, (3, 540, 960), np.uint16))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
