"""A plate with labels beside a field: ``python examples/plate.py [folder]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import aqz_core as aqz

EDGE = 128


def field() -> aqz.ArraySettings:
    """Describe the image of one field of view; its key follows from the plate."""
    return aqz.ArraySettings(
        data_type=np.uint16,
        downsampling_method=aqz.DownsamplingMethod.MEAN,
        dimensions=[
            aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=2),
            aqz.Dimension(
                name="c", kind=aqz.DimensionType.CHANNEL, array_size_px=3, chunk_size_px=1
            ),
            aqz.Dimension(name="y", array_size_px=EDGE, chunk_size_px=64, shard_size_chunks=2),
            aqz.Dimension(name="x", array_size_px=EDGE, chunk_size_px=64, shard_size_chunks=2),
        ],
    )


def plate() -> aqz.Plate:
    """Describe a 96-well plate of which two wells are recorded."""
    return aqz.Plate(
        path="experiment",
        name="Dose response",
        row_names=list("ABCDEFGH"),
        column_names=[str(number) for number in range(1, 13)],
        acquisitions=[
            aqz.Acquisition(id=0, name="before", start_time=1343731272000, end_time=1343737645000)
        ],
        wells=[
            aqz.Well(
                row_name=row,
                column_name=column,
                images=[
                    aqz.FieldOfView(path=path, acquisition_id=0, array_settings=field())
                    for path in ("fov1", "fov2")
                ],
            )
            for row, column in (("A", "1"), ("C", "7"))
        ],
    )


def main(folder: Path) -> None:
    """Visit every field at three time points, then label one."""
    labels = aqz.ArraySettings(
        output_key="experiment/A/1/labels",
        data_type=np.uint8,
        dimensions=[
            aqz.Dimension(name="y", array_size_px=EDGE, chunk_size_px=64, shard_size_chunks=2),
            aqz.Dimension(name="x", array_size_px=EDGE, chunk_size_px=64, shard_size_chunks=2),
        ],
    )
    settings = aqz.StreamSettings(
        store_path=folder / "plate.zarr", overwrite=True, arrays=[labels], hcs_plates=[plate()]
    )
    noise = np.random.default_rng(1)
    with aqz.ZarrStream(settings) as stream:
        for _ in range(3):
            for key in settings.get_array_keys()[1:]:
                stream.append(noise.integers(0, 2**16, (3, EDGE, EDGE), np.uint16), key=key)
        stream.append(np.zeros((EDGE, EDGE), np.uint8), key="experiment/A/1/labels")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
