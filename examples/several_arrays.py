"""Two cameras, one store: ``python examples/several_arrays.py [folder]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core as aqz


def camera(key: str, channels: int) -> aqz.ArraySettings:
    """Describe the array of one camera."""
    return aqz.ArraySettings(
        output_key=key,
        data_type=np.uint16,
        compression=aqz.CompressionSettings(
            compressor=aqz.Compressor.BLOSC1,
            codec=aqz.CompressionCodec.BLOSC_LZ4,
            shuffle=1,
        ),
        dimensions=[
            aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=10),
            aqz.Dimension(
                name="c",
                kind=aqz.DimensionType.CHANNEL,
                array_size_px=channels,
                chunk_size_px=1,
            ),
            aqz.Dimension(name="y", array_size_px=240, chunk_size_px=120, shard_size_chunks=2),
            aqz.Dimension(name="x", array_size_px=320, chunk_size_px=160, shard_size_chunks=2),
        ],
    )


def main(folder: Path) -> None:
    """Record both, the one with two channels twice as often."""
    settings = aqz.StreamSettings(
        store_path=folder / "several_arrays.zarr",
        overwrite=True,
        arrays=[camera("sample1/brightfield", 1), camera("sample1/fluorescence", 2)],
    )
    with aqz.ZarrStream(settings) as stream:
        for time in range(25):
            stream.append(np.full((240, 320), time, np.uint16), key="sample1/brightfield")
            for channel in range(2):
                frame = np.full((240, 320), 1000 * (channel + 1) + time, np.uint16)
                stream.append(frame, key="sample1/fluorescence")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
