"""Axes that turn out longer than was said: closed, resized, resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import aqz_core as aqz


def settings(path, channels=2, planes=2, **more):
    """Return settings of an image with time, channels and planes."""
    sizes = {"t": 0, "c": channels, "z": planes, "y": 8, "x": 8}
    kinds = {"t": aqz.DimensionType.TIME, "c": aqz.DimensionType.CHANNEL}
    dimensions = [
        aqz.Dimension(
            name=name,
            kind=kinds.get(name, aqz.DimensionType.SPACE),
            array_size_px=size,
            chunk_size_px=8 if name in "yx" else 1,
            shard_size_chunks={"t": 2, "c": 2, "z": 2}.get(name, 1),
        )
        for name, size in sizes.items()
    ]
    array = aqz.ArraySettings(
        dimensions=dimensions,
        data_type=np.uint16,
        is_ngff=True,
        channels=[aqz.Channel(name=f"c{n}") for n in range(channels)],
        **more,
    )
    return aqz.StreamSettings(store_path=path, arrays=[array])


def frame(t, c, z):
    """Return a frame that tells its place."""
    return np.full((8, 8), 100 * t + 10 * c + z + 1, "uint16")


def record(stream, places):
    """Write a frame at each place."""
    for t, c, z in places:
        stream.write(frame(t, c, z), {"t": t, "c": c, "z": z})


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated")
@pytest.mark.parametrize("version", list(aqz.ZarrVersion))
def test_axes_grow_between_two_parts_of_a_recording(tmp_path, version):
    store = tmp_path / "run.zarr"
    before, after = settings(store), settings(store, 3, 5)
    before.version = after.version = version
    with aqz.ZarrStream(before) as stream:
        record(stream, [(0, 0, 0), (0, 1, 1), (1, 0, 0)])
    aqz.resize_axes(store, "", {"c": 3, "z": 5}, channels=after.arrays[0].channels)
    with aqz.ZarrStream.resume(store, after) as stream:
        record(stream, [(1, 2, 4), (0, 0, 3), (2, 1, 0), (0, 1, 0)])
        more = settings(store, 3, 5)
        more.version = version
        more.arrays.append(settings(store).arrays[0])
        more.arrays[1].output_key = "beside"
        stream.extend(more)

    stored = zarr.open_array(store / "0", mode="r")[..., 0, 0]
    expected = np.zeros((3, 3, 5), "uint16")
    for t, c, z in [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 2, 4), (0, 0, 3), (2, 1, 0), (0, 1, 0)]:
        expected[t, c, z] = 100 * t + 10 * c + z + 1
    np.testing.assert_array_equal(stored, expected)
    assert aqz.validate_store(store).state == "complete"
    file = "zarr.json" if version is aqz.ZarrVersion.V3 else ".zattrs"
    attributes = json.loads((store / file).read_text())
    attributes = attributes.get("attributes", attributes)
    omero = attributes.get("ome", attributes)["omero"]
    assert [channel["label"] for channel in omero["channels"]] == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    ("key", "sizes", "message"),
    [("other", {"z": 3}, "not there"), ("", {"x": 9}, "no leading axis 'x'")],
)
def test_what_cannot_be_resized_is_said(tmp_path, key, sizes, message):
    with aqz.ZarrStream(settings(tmp_path / "run.zarr")) as stream:
        record(stream, [(0, 0, 0)])
        with pytest.raises(aqz.StoreBusyError):
            aqz.resize_axes(tmp_path / "run.zarr", "", {"z": 3})
    with pytest.raises(aqz.SettingsError, match=message):
        aqz.resize_axes(tmp_path / "run.zarr", key, sizes)


def test_a_pyramid_keeps_its_size(tmp_path):
    one = settings(tmp_path / "run.zarr", downsampling_method=aqz.DownsamplingMethod.MEAN)
    for axis in one.arrays[0].dimensions[-2:]:
        axis.array_size_px = 64
    with aqz.ZarrStream(one):
        pass
    with pytest.raises(aqz.SettingsError, match="pyramid"):
        aqz.resize_axes(tmp_path / "run.zarr", "", {"z": 3})
