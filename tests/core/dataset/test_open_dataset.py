"""A recording as a dataset: pixels say where they were recorded."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import aqz_core as aqz

SHAPE = (2, 2, 3, 24, 32)
SCALE = {"t": 30, "z": 2.0, "y": 0.5, "x": 0.5}
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}


def pixel(t, c, z):
    return 100 * t + 10 * c + z


@pytest.fixture(scope="module", params=[2, 3])
def store(request, tmp_path_factory):
    """Two times, two channels, three planes, with metadata for some frames."""
    path = tmp_path_factory.mktemp("cells") / "cells.zarr"
    warnings.simplefilter("ignore", DeprecationWarning)  # of Zarr V2
    with aqz.open_stream(
        path,
        version=request.param,
        shape=SHAPE,
        dtype="uint16",
        axes="tczyx",
        chunks=(1, 1, 1, 12, 16),
        shards=(1, 2, 3, 2, 2) if request.param == 3 else None,
        channels=["DAPI", "GFP"],
        scale=SCALE,
        units=UNITS,
        pyramid="mean",
    ) as stream:
        for t, c, z in np.ndindex(SHAPE[:3]):
            told = {"elapsed_ms": 1500 * t + 10 * c, "lamp": f"{t}{c}"} if z == 0 else None
            stream.append(np.full(SHAPE[3:], pixel(t, c, z), np.uint16), metadata=told)
    return path


def test_frames_are_read_by_the_names_of_axes_and_channels(store):
    cells = aqz.open_dataset(store)
    assert cells.axes == ("t", "c", "z", "y", "x")
    frame = cells.read_image(channel="GFP", z=1, time=1)
    assert frame.shape == (24, 32)
    assert (frame == pixel(1, 1, 1)).all()
    assert (cells.read_image(c=0, z=-1, t=0) == pixel(0, 0, 2)).all()
    assert (cells.read_image(c="GFP", z=2, t=1, level=1) == pixel(1, 1, 2)).all()
    assert cells.read_image(c="GFP", z=2, t=1, level=1).shape == (12, 16)


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ({"c": 0, "t": 0}, "the axis 'z' has 3 positions; say which, for example z=0"),
        ({"c": 0, "t": 0, "z": 0, "p": 1}, "there is no axis 'p'"),
        ({"c": 0, "t": 0, "z": "top"}, "z='top' is not a whole number"),
        ({"c": 0, "channel": 0, "t": 0, "z": 0}, "the axis 'c' is given twice"),
        ({"c": 1.5, "t": 0, "z": 0}, "nor the name of a channel"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, axes, told):
    cells = aqz.open_dataset(store)
    with pytest.raises(aqz.errors.FrameIndexError, match=told):
        cells.read_image(**axes)


def test_a_frame_that_is_nowhere_is_missing(store):
    cells = aqz.open_dataset(store)
    assert not cells.has_image(c="Cy5", z=0, t=0)
    assert not cells.has_image(c=0, z=0, t=2)
    with pytest.raises(aqz.FrameMissingError, match=r"c='Cy5'.*its channels are 'DAPI', 'GFP'"):
        cells.read_image(c="Cy5", z=0, t=0)


def test_coordinates_are_names_micrometers_and_measured_seconds(store):
    image = aqz.open_dataset(store).image()
    assert list(image.coords["c"]) == ["DAPI", "GFP"]
    assert list(image.coords["z"]) == [0, 2, 4]
    assert list(image.coords["t"]) == [0, 1.5]  # measured; planned were 0 and 30
    assert image.units == {**UNITS, "c": None}


def test_lengths_are_micrometers_whatever_the_store_has(tmp_path):
    with aqz.open_stream(
        tmp_path / "a.zarr",
        shape=(2, 8, 8),
        dtype="uint8",
        axes="tyx",
        scale={"y": 250, "x": 250, "t": 5},
        units={"y": "nanometer", "x": "nanometer", "t": "minute"},
    ) as stream:
        stream.append(np.zeros((2, 8, 8), np.uint8))
    image = aqz.open_dataset(tmp_path / "a.zarr").image()
    assert image.coords["x"][:3] == pytest.approx([0, 0.25, 0.5])
    assert list(image.coords["t"]) == [0, 300]
    assert image.units == {"t": "second", "y": "micrometer", "x": "micrometer"}


def test_metadata_are_filled_forward_but_not_what_was_measured(store):
    cells = aqz.open_dataset(store)
    assert cells.read_metadata(t=1, c=1, z=0) == {"elapsed_ms": 1510, "lamp": "11"}
    assert cells.read_metadata(t=1, c=1, z=2) == {"lamp": "11"}
    assert cells.read_metadata(t=1, c=0, z=2) == {"lamp": "10"}
    table = cells.metadata_table()
    assert list(table["lamp"]) == ["00", "01", "10", "11"]
    assert list(table["t"]) == [0, 0, 1, 1]


def test_xarray_has_names_coordinates_units_and_a_chunk_for_each_shard(store):
    image = aqz.open_dataset(store).image()
    array = image.to_xarray()
    assert array.dims == ("t", "c", "z", "y", "x")
    assert array.z.attrs["units"] == "micrometer"
    is_v3 = (store / "zarr.json").exists()
    assert array.data.chunksize == ((1, 2, 3, 24, 32) if is_v3 else (1, 1, 1, 12, 16))
    assert array.sel(c="GFP", z=4.0).isel(t=1, y=0, x=0).values == pixel(1, 1, 2)
    assert (array.max("z").values[1, 0] == pixel(1, 0, 2)).all()
    assert array.recorded.all()
    half = image.to_xarray(level=1)
    assert half.shape == (2, 2, 3, 12, 16)
    assert list(half.x.values[:2]) == [0, 1.0]


def test_dask_arrays_are_sliced_as_numpy_arrays_are(store):
    image = aqz.open_dataset(store).image()
    whole = image.to_dask().compute()
    lazy = image.to_dask()
    for key in [np.s_[1, ..., ::-2, 3], np.s_[:, 0, 2:0:-1, 5:20, -4:], np.s_[..., 7:7]]:
        assert np.array_equal(lazy[key].compute(), whole[key])
    again = pickle.loads(pickle.dumps(lazy))
    assert np.array_equal(again[1, 1, 1].compute(scheduler="single-threaded"), whole[1, 1, 1])


def test_frames_that_never_came_are_told_from_zeros(tmp_path):
    path = tmp_path / "gaps.zarr"
    with aqz.open_stream(
        path, shape=(4, 2, 8, 8), dtype="uint16", axes="tcyx", chunks=(2, 1, 8, 8)
    ) as stream:
        for t, c in [(0, 0), (0, 1), (2, 1)]:
            stream.write(np.zeros((8, 8), np.uint16), {"t": t, "c": c})
    gaps = aqz.open_dataset(path)
    expected = np.zeros((3, 2), bool)
    expected[0] = expected[2, 1] = True
    assert np.array_equal(gaps.recorded(), expected)
    assert np.array_equal(gaps.to_xarray().recorded.values, expected)
    assert not gaps.read_image(t=2, c=1).any()
    assert not gaps.has_image(t=2, c=0)
    with pytest.raises(aqz.FrameMissingError, match="3 frames of 6 are recorded"):
        gaps.read_image(t=2, c=0)


def test_axes_stored_in_another_order_than_they_came(tmp_path):
    path = tmp_path / "order.zarr"
    with aqz.open_stream(
        path, shape=(3, 2, 8, 8), dtype="uint16", axes="ztyx", storage_order="tzyx"
    ) as stream:
        for z, t in np.ndindex(3, 2):
            stream.append(np.full((8, 8), pixel(t, 0, z), np.uint16), metadata={"at": [z, t]})
    cells = aqz.open_dataset(path)
    assert cells.axes == ("t", "z", "y", "x")
    assert (cells.read_image(z=2, t=1) == pixel(1, 0, 2)).all()
    assert cells.read_metadata(z=2, t=1) == {"at": [2, 1]}
    assert cells.recorded().all()


def test_a_plate_is_read_by_its_wells(tmp_path):
    path = tmp_path / "plate.zarr"
    frame = aqz.ArraySettings(
        data_type=np.uint8,
        dimensions=[
            aqz.Dimension(name=name, kind=kind, array_size_px=8, chunk_size_px=8)
            for name, kind in (("y", aqz.DimensionType.SPACE), ("x", aqz.DimensionType.SPACE))
        ],
    )
    wells = [
        aqz.Well(
            row_name=name[0],
            column_name=name[1],
            images=[aqz.FieldOfView(path=field, array_settings=frame) for field in fields],
        )
        for name, fields in [("A1", ["f0"]), ("B2", ["f1", "f9"])]
    ]
    plate = aqz.Plate(
        path="plate", name="p", row_names=["A", "B"], column_names=["1", "2"], wells=wells
    )
    settings = aqz.StreamSettings(store_path=str(path), hcs_plates=[plate])
    keys = ["plate/A/1/f0", "plate/B/2/f1", "plate/B/2/f9"]
    with aqz.ZarrStream(settings) as stream:
        for n, key in enumerate(keys):
            stream.append(np.full((8, 8), n + 1, np.uint8), key=key)
    plate = aqz.open_dataset(path)
    assert list(plate.images) == keys
    assert {name: len(fields) for name, fields in plate.wells.items()} == {"A1": 1, "B2": 2}
    assert (plate.read_image(position="A1") == 1).all()
    assert (plate.read_image(position="B/2", field=1) == 3).all()
    assert (plate["plate/B/2/f1"].read_image() == 2).all()
    assert (plate.read_image(position=2) == 3).all()
    with pytest.raises(aqz.errors.FrameIndexError, match="2 fields of view"):
        plate.read_image(position="B2")
    with pytest.raises(aqz.errors.FrameIndexError, match="for example position='A1'"):
        plate.read_image()
    with pytest.raises(aqz.errors.UnknownArrayError, match="it has 'A1', 'B2'"):
        plate.read_image(position="C3")


def test_positions_come_in_the_order_of_the_recording(tmp_path):
    path = tmp_path / "positions.zarr"
    with aqz.open_stream(
        path, shape=(1, 8, 8), dtype="uint8", axes="tyx", positions=["right", "left"]
    ) as stream:
        stream.append(np.full((8, 8), 1, np.uint8), key="right")
        stream.append(np.full((8, 8), 2, np.uint8), key="left")
    positions = aqz.open_dataset(path)
    assert list(positions.images) == ["right", "left"]
    assert (positions.read_image("left") == 2).all()


def test_a_notebook_gets_a_picture_and_no_markup_of_strangers(tmp_path):
    with aqz.open_stream(
        tmp_path / "a.zarr", shape=(1, 8, 8), dtype="uint8", axes="cyx", channels=["<b>&"]
    ) as stream:
        stream.append(np.arange(64, dtype=np.uint8).reshape(8, 8))
    shown = aqz.open_dataset(tmp_path / "a.zarr")._repr_html_()
    assert "data:image/png;base64," in shown
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>&" not in shown


def test_a_place_without_a_store_is_said_to_be_none(tmp_path):
    with pytest.raises(aqz.errors.StorageError, match="is it the path of"):
        aqz.open_dataset(tmp_path / "nowhere.zarr")
    with pytest.raises(aqz.errors.StorageError, match="is it the path of"):
        aqz.open_dataset(tmp_path)
