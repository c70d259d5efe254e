"""Stores of four writers make the same xarray."""

from __future__ import annotations

import acquire_zarr
import numpy as np
import ome_writers
import pytest
import xarray
from iohub import open_ome_zarr
from iohub.ngff import TransformationMeta

import aqz_core as aqz

PIXELS = np.arange(2 * 2 * 3 * 64 * 96, dtype=np.uint16).reshape(2, 2, 3, 64, 96)
SCALE = {"t": 30.0, "c": 1.0, "z": 2.0, "y": 0.5, "x": 0.5}
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def with_aqz(path, channels=("DAPI", "GFP")):
    with aqz.open_stream(
        path,
        shape=PIXELS.shape,
        dtype="uint16",
        axes="tczyx",
        scale=SCALE,
        units=UNITS,
        channels=channels,
    ) as stream:
        stream.append(PIXELS.reshape(-1, 64, 96))
    return path


def with_ome_writers(path):
    channels = [ome_writers.Channel(name=name) for name in ("DAPI", "GFP")]
    dimensions = [
        ome_writers.Dimension(
            name=name,
            count=size,
            type=KINDS[name],
            unit=UNITS.get(name),
            scale=SCALE[name],
            **({"coords": channels} if name == "c" else {}),
        )
        for name, size in zip("tczyx", PIXELS.shape, strict=True)
    ]
    settings = ome_writers.AcquisitionSettings(
        root_path=str(path), dimensions=dimensions, dtype="uint16", format="ome-zarr"
    )
    with ome_writers.create_stream(settings) as stream:
        for frame in PIXELS.reshape(-1, 64, 96):
            stream.append(frame)
    return next(path.parent.glob(path.stem + "*"))


def with_iohub(path, version):
    with open_ome_zarr(
        path, layout="fov", mode="w-", channel_names=["DAPI", "GFP"], version=version
    ) as fov:
        scale = TransformationMeta(type="scale", scale=list(SCALE.values()))
        fov.create_image("0", PIXELS, transform=[scale])
    return path


def with_acquire_zarr(path):
    kinds = {
        "time": acquire_zarr.DimensionType.TIME,
        "channel": acquire_zarr.DimensionType.CHANNEL,
        "space": acquire_zarr.DimensionType.SPACE,
    }
    chunks = {"t": (1, 1), "c": (1, 1), "z": (1, 3), "y": (32, 2), "x": (32, 3)}
    dimensions = [
        acquire_zarr.Dimension(
            name=name,
            kind=kinds[KINDS[name]],
            array_size_px=size,
            chunk_size_px=chunks[name][0],
            shard_size_chunks=chunks[name][1],
            scale=SCALE[name],
            unit=UNITS.get(name),
        )
        for name, size in zip("tczyx", PIXELS.shape, strict=True)
    ]
    array = acquire_zarr.ArraySettings(
        output_key="image",
        data_type=np.uint16,
        dimensions=dimensions,
        downsampling_method=acquire_zarr.DownsamplingMethod.MEAN,
    )
    stream = acquire_zarr.ZarrStream(
        acquire_zarr.StreamSettings(store_path=str(path), arrays=[array])
    )
    stream.append(PIXELS)
    stream.close()
    return path


@pytest.mark.filterwarnings("ignore")  # of other writers, about themselves
@pytest.mark.parametrize("writer", ["ome-writers", "iohub 0.4", "iohub 0.5", "acquire-zarr"])
def test_the_same_data_are_the_same_xarray(tmp_path, writer):
    path = tmp_path / "theirs.ome.zarr"
    names = ("DAPI", "GFP")
    if writer == "ome-writers":
        path = with_ome_writers(path)
    elif writer == "acquire-zarr":
        path, names = with_acquire_zarr(path), ()  # it names no channels
    else:
        path = with_iohub(path, writer.split()[1])
    ours = aqz.open_dataset(with_aqz(tmp_path / "ours.zarr", names)).to_xarray()
    theirs = aqz.open_dataset(path).to_xarray()
    xarray.testing.assert_equal(theirs, ours)
    assert {name: theirs[name].attrs for name in "tczyx"} == {
        name: ours[name].attrs for name in "tczyx"
    }
