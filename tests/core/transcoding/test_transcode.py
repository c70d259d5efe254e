"""Stores made from other ones: the same pixels and metadata, at any end, from any source."""

from __future__ import annotations

import json
import warnings

import ndstorage
import numpy as np
import pytest
import tifffile
import xarray
import zarr

import aqz_core as aqz
from aqz_core.cli import main

SHAPE = (2, 2, 3, 40, 56)
PIXELS = (np.arange(np.prod(SHAPE)) % 60_000).astype(np.uint16).reshape(SHAPE)
SCALE = {"t": 30.0, "z": 2.0, "y": 0.5, "x": 0.5}
UNITS = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
GIVEN = {
    "dtype": "uint16",
    "axes": "tczyx",
    "channels": ["DAPI", "GFP"],
    "scale": SCALE,
    "units": UNITS,
}


def record(path, *, version=3, **options):
    """Every frame, and metadata for some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Zarr V2
        stream = aqz.open_stream(path, shape=SHAPE, version=version, **GIVEN, **options)
    with stream:
        stream.write_custom_metadata(json.dumps({"sample": {"name": "HeLa"}}))
        for t, c, z in np.ndindex(SHAPE[:3]):
            told = {"elapsed_ms": 1000 * t, "lamp": f"{t}{c}"} if z == 0 else None
            stream.append(PIXELS[t, c, z], metadata=told)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    options = {"chunks": (1, 1, 2, 16, 16), "shards": (2, 2, 2, 2, 5), "pyramid": "mean"}
    return record(tmp_path_factory.mktemp("source") / "cells.zarr", **options)


def assert_same(one, other, *, levels=True):
    """Assert that two stores have the same images: pixels, coordinates, metadata."""
    one, other = aqz.open_dataset(one), aqz.open_dataset(other)
    assert list(one.images) == list(other.images)
    for key, image in one.images.items():
        copy = other.images[key]
        expected = image.to_xarray()
        xarray.testing.assert_identical(copy.to_xarray().rename(expected.name), expected)
        assert copy.metadata_rows() == image.metadata_rows()
        if levels:
            assert copy.levels == image.levels
            for level in range(1, len(image.levels)):
                xarray.testing.assert_equal(copy.to_xarray(level), image.to_xarray(level))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("chunks", [None, (1, 3, 20, 30)])
def test_pixels_levels_and_metadata_are_carried_over(tmp_path, store, version, chunks):
    made = tmp_path / "made.zarr"
    aqz.transcode(store, made, version=version, chunks=chunks)
    assert_same(store, made)
    assert aqz.validate_store(made).findings == ()
    copy = aqz.open_dataset(made).image()
    assert copy.attributes["sample"] == {"name": "HeLa"}
    assert copy.state == "complete"
    back = tmp_path / "back.zarr"
    aqz.transcode(made, back, codec="blosc-lz4")
    assert_same(store, back)


@pytest.mark.parametrize("shards", [(1, 2, 3, 4, 5), (1, 2, 5, 1, 1), (2, 1, 2, 2, 2)])
def test_a_new_pyramid_is_the_one_that_a_stream_records(tmp_path, shards):
    options = {"chunks": (1, 1, 1, 16, 16), "pyramid": "mean"}
    expected = record(tmp_path / "expected.zarr", **options)
    plain = record(tmp_path / "plain.zarr", chunks=(1, 1, 1, 16, 16))
    made = tmp_path / "made.zarr"
    report = aqz.transcode(plain, made, shards=shards, pyramid="mean")
    assert report.plan.source_factor == 1
    assert_same(expected, made)
    theirs = aqz.open_dataset(expected).image().levels
    assert len(theirs) > 1


def test_frames_that_never_came_are_still_told_from_zeros(tmp_path):
    with aqz.open_stream(
        tmp_path / "gaps.zarr", shape=(4, 2, 8, 8), dtype="uint16", axes="tcyx"
    ) as stream:
        for t, c in [(0, 0), (0, 1), (3, 1)]:
            stream.write(np.zeros((8, 8), np.uint16), {"t": t, "c": c})
    aqz.transcode(tmp_path / "gaps.zarr", tmp_path / "made.zarr", chunks=(1, 1, 8, 8))
    made = aqz.open_dataset(tmp_path / "made.zarr")
    assert np.argwhere(made.recorded()).tolist() == [[0, 0], [0, 1], [3, 1]]
    assert aqz.missing_frames(tmp_path / "made.zarr") == aqz.missing_frames(tmp_path / "gaps.zarr")


def test_plates_and_labels_are_carried_over(tmp_path):
    path = tmp_path / "plate.zarr"
    with aqz.open_stream(
        path, shape=(2, 32, 32), dtype="uint16", axes="tyx", plate=["A1", "B2"]
    ) as stream:
        for n, key in enumerate(["plate/A/1/0", "plate/B/2/0"]):
            stream.append(np.full((2, 32, 32), n + 1, np.uint16), key=key)
    image = zarr.open_group(path / "plate/A/1/0")
    ome = image.attrs["ome"]
    labels = image.create_group("labels", attributes={"ome": {"version": "0.5", "labels": ["n"]}})
    label = labels.create_group(
        "n",
        attributes={
            "ome": {
                "version": "0.5",
                "image-label": {"source": {"image": "../../"}},
                "multiscales": ome["multiscales"],
            }
        },
    )
    numbers = np.zeros((2, 32, 32), np.uint32)
    numbers[:, 1::2] = 7
    numbers[:, ::2] = 90_000
    array = label.create_array("0", shape=(2, 32, 32), chunks=(1, 16, 16), dtype="uint32")
    array[...] = numbers
    (tmp_path / "plate.zarr" / "notes.txt").write_text("mine")

    made = tmp_path / "made.zarr"
    report = aqz.transcode(path, made, pyramid="mean", chunks=(1, 16, 16))
    assert report.plan.left_out == ("notes.txt",)
    assert_same(path, made, levels=False)
    plate = aqz.open_dataset(made)
    assert list(plate.wells) == ["A1", "B2"]
    (key,) = plate.labels
    assert key == "plate/A/1/0/labels/n"
    assert np.array_equal(plate.labels[key].to_dask().compute(), numbers)
    assert set(np.unique(plate.labels[key].to_dask(1).compute())) == {90_000}  # never a mean
    assert zarr.open_group(made / "plate/A/1/0/labels").attrs["ome"]["labels"] == ["n"]


class Stop(Exception):
    """Ends a transcoding at some point."""


def stop_after(tasks):
    def tell(progress):
        if progress.done >= tasks:
            raise Stop

    return tell


def test_what_was_interrupted_is_finished_and_what_is_damaged_made_again(tmp_path, store):
    made, options = (
        tmp_path / "made.zarr",
        {"threads": 1, "pyramid": "mean", "shards": (1, 1, 1, 2, 5)},
    )
    with pytest.raises(Stop):
        aqz.transcode(store, made, **options, on_progress=stop_after(9))
    with pytest.raises(aqz.StorageError):
        aqz.open_dataset(made)  # nobody takes it for a store
    with pytest.raises(aqz.StoreExistsError, match="the beginning of another transcoding"):
        aqz.transcode(store, made, codec="gzip")
    shards = sorted(path for path in (made / "0" / "c").rglob("*") if path.is_file())
    damaged, gone = shards[0], shards[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    gone.unlink()
    seen = []
    report = aqz.transcode(store, made, **options, on_progress=lambda told: seen.append(told.done))
    assert 0 < report.kept <= len(shards) - 2
    assert report.kept + report.tasks == report.plan.tasks == seen[-1]
    assert seen == sorted(seen)
    assert_same(store, made, levels=False)
    assert aqz.validate_store(made).findings == ()
    with pytest.raises(aqz.StoreExistsError, match="there is something at"):
        aqz.transcode(store, made, **options)
    assert aqz.transcode(store, made, **options, overwrite=True).kept == 0


def test_a_source_that_changed_is_not_mixed_with_what_was_made_before(tmp_path):
    source, made = tmp_path / "a.npy", tmp_path / "a.zarr"
    np.save(source, np.zeros((4, 8, 8), np.uint8))
    options = {"threads": 1, "chunks": (1, 8, 8), "shards": (1, 1, 1)}
    with pytest.raises(Stop):
        aqz.transcode(source, made, **options, on_progress=stop_after(2))
    np.save(source, np.ones((4, 8, 8), np.float32))
    with pytest.raises(aqz.StoreExistsError, match="has changed since"):
        aqz.transcode(source, made, **options)
    aqz.transcode(source, made, **options, overwrite=True)
    assert (aqz.open_dataset(made).to_dask().compute() == 1).all()


def test_a_bucket_is_a_destination_and_a_source(tmp_path, store):
    url = f"memory://{tmp_path.name}/made.zarr"
    aqz.transcode(store, url, pyramid="none")
    assert_same(store, url, levels=False)
    aqz.transcode(url, tmp_path / "back.zarr")
    assert_same(store, tmp_path / "back.zarr", levels=False)


def test_it_says_what_it_takes_and_writes_nothing(tmp_path, store, capsys):
    made = tmp_path / "made.zarr"
    report = aqz.transcode(store, made, chunks=(3, 5, 7), shards=(1, 1, 1), dry_run=True)
    assert report.plan.source_factor > 2  # shards cut every chunk of the source
    assert main(["transcode", str(store), str(made), "--chunks", "16x16", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "each byte 1.00 times" in shown
    assert "memory: up to" in shown
    assert not made.exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"version": 3, "ngff": "0.4"}, "NGFF 0.4 does not go with Zarr V3"),
        ({"version": 2, "shards": (1, 1)}, "Zarr V2 has no shards"),
        ({"pyramid": "median"}, "pyramid 'median' is unknown; choose one of none, "),
        ({"chunks": (0, 16)}, "chunks \\(0, 16\\) must be up to 5 whole numbers from 1"),
        ({"ngff": "0.6"}, "choose 0.4 or 0.5"),
        ({"threads": 1, "workers": 2}, "threads and workers exclude each other"),
        ({"workers": 0}, "workers is 0; give at least 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, store, options, told):
    with pytest.raises(aqz.SettingsError, match=told):
        aqz.transcode(store, tmp_path / "made.zarr", **options)
    assert not (tmp_path / "made.zarr").exists()


def test_a_store_is_not_written_into_itself(store):
    for place in (store, store / "inside.zarr"):
        with pytest.raises(aqz.SettingsError, match="choose another place"):
            aqz.transcode(store, place)


def test_a_store_that_is_being_recorded_is_refused(tmp_path):
    with aqz.open_stream(tmp_path / "a.zarr", shape=(0, 8, 8), dtype="uint8", axes="tyx") as stream:
        stream.append(np.zeros((8, 8), np.uint8))
        stream.flush()
        with pytest.raises(aqz.errors.StoreBusyError, match="when the recording has ended"):
            aqz.transcode(tmp_path / "a.zarr", tmp_path / "b.zarr")


# ---- sources of other formats ---------------------------------------------------------------


def test_ome_tiff(tmp_path):
    channels = {"Name": ["DAPI", "GFP"]}
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        PIXELS,
        metadata={
            "axes": "TCZYX",
            "Channel": channels,
            "PhysicalSizeX": 500.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZ": 2.0,
            "TimeIncrement": 30.0,
            "Plane": {"DeltaT": [float(n) for n in range(12)]},
        },
    )
    aqz.transcode(tmp_path / "a.ome.tif", tmp_path / "a.zarr", pyramid="mean")
    image = aqz.open_dataset(tmp_path / "a.zarr").image()
    assert np.array_equal(image.to_dask().compute(), PIXELS)
    assert image.channels == ("DAPI", "GFP")
    assert image.coords["x"][1] == pytest.approx(0.5)
    assert image.coords["z"][1] == 2
    assert list(image.coords["t"]) == [0, 6]  # as measured
    assert image.read_metadata(t=1, c=1, z=0) == {"elapsed_s": 9.0}


def test_numbers_of_ome_xml_that_mean_nothing_are_left_out(tmp_path):
    said = {"axes": "ZYX", "PhysicalSizeX": "wide", "Plane": {"DeltaT": ["nan", "soon", "2"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", PIXELS[0, 0], metadata=said)
    aqz.transcode(tmp_path / "a.ome.tif", tmp_path / "a.zarr")
    image = aqz.open_dataset(tmp_path / "a.zarr").image()
    assert image.coords["x"][1] == 1
    assert [image.read_metadata(z=z) for z in range(3)] == [{}, {}, {"elapsed_s": 2.0}]


def test_several_series_of_an_ome_tiff_are_several_images(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for c, name in enumerate(["left", "right"]):
            writer.write(PIXELS[:, c], metadata={"axes": "TZYX", "Name": name})
    aqz.transcode(tmp_path / "a.ome.tif", tmp_path / "a.zarr")
    images = aqz.open_dataset(tmp_path / "a.zarr")
    assert list(images.images) == ["0", "1"]
    assert (images.read_image("right", t=1, z=2) == PIXELS[1, 1, 2]).all()


def test_imagej_stacks(tmp_path):
    swapped = PIXELS.transpose(0, 2, 1, 3, 4)
    tifffile.imwrite(
        tmp_path / "a.tif",
        swapped,
        imagej=True,
        resolution=(4, 4),
        metadata={"axes": "TZCYX", "unit": "um", "spacing": 2.0, "finterval": 3},
    )
    aqz.transcode(tmp_path / "a.tif", tmp_path / "a.zarr")
    image = aqz.open_dataset(tmp_path / "a.zarr").image()
    assert image.axes == ("t", "z", "c", "y", "x")
    assert np.array_equal(image.to_dask().compute(), swapped)
    assert [image.coords[name][1] for name in "tzyx"] == [3, 2, 0.25, 0.25]


@pytest.mark.parametrize(
    ("pixels", "options", "axes"),
    [
        (PIXELS[0, 0], {}, "tyx"),
        (PIXELS[0, 0], {"tile": (16, 16), "compression": "zlib"}, "zyx"),
        (PIXELS[0, 0, 0], {}, "yx"),
        (np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3), {"photometric": "rgb"}, "cyx"),
    ],
    ids=["pages", "tiles", "one page", "rgb"],
)
def test_plain_tiff(tmp_path, pixels, options, axes):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **{"photometric": "minisblack", **options})
    aqz.transcode(tmp_path / "a.tif", tmp_path / "a.zarr", axes=axes)
    image = aqz.open_dataset(tmp_path / "a.zarr").image()
    assert image.axes == tuple(axes)
    expected = np.moveaxis(pixels, -1, 0) if axes == "cyx" else pixels
    assert np.array_equal(image.to_dask().compute(), expected)


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(PIXELS, ">f4", order=order))
    aqz.transcode(tmp_path / "a.npy", tmp_path / "a.zarr", axes="tczyx")
    assert np.array_equal(aqz.open_dataset(tmp_path / "a.zarr").to_dask().compute(), PIXELS)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # ndstorage keeps files open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ndtiff(tmp_path):
    dataset = ndstorage.NDTiffDataset(
        str(tmp_path), name="nd", summary_metadata={"z-step_um": 2.0}, writable=True
    )
    for t, c, z in np.ndindex(SHAPE[:3]):
        if (t, c, z) != (1, 1, 2):
            channel = ["DAPI", "GFP"][c]
            for position in ("left", "right"):
                axes = {"time": t, "channel": channel, "z": z, "position": position}
                told = {"ElapsedTime-ms": 100.0 * t, "Lamp": channel, "PixelSizeUm": 0.5}
                dataset.put_image(axes, PIXELS[t, c, z], told)
    dataset.finish()
    dataset.close()
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    aqz.transcode(source, tmp_path / "a.zarr")
    images = aqz.open_dataset(tmp_path / "a.zarr")
    assert [image.name for image in images.images.values()] == ["left", "right"]
    right = images["right"]
    assert (right.read_image(channel="GFP", z=1, t=1) == PIXELS[1, 1, 1]).all()
    assert not right.has_image(channel="GFP", z=2, t=1)
    assert int(right.recorded().sum()) == 11
    assert list(right.coords["t"]) == pytest.approx([0, 0.1])
    assert right.coords["x"][1] == 0.5
    assert right.read_metadata(c="GFP", z=1, t=1)["Lamp"] == "GFP"


@pytest.mark.parametrize("version", [2, 3])
def test_levels_are_added_and_replaced_in_place(tmp_path, version, capsys):
    options = {"chunks": (1, 1, 1, 16, 16), "version": version}
    expected = record(tmp_path / "expected.zarr", pyramid="mean", **options)
    made = record(tmp_path / "made.zarr", pyramid="max", **options)
    before = {path: path.read_bytes() for path in (made / "0").rglob("*") if path.is_file()}
    assert main(["pyramid", str(made)]) == 0
    assert "smaller levels in" in capsys.readouterr().out
    assert_same(expected, made)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert aqz.validate_store(made).findings == ()
    assert aqz.add_pyramid(made, "none") == 0
    assert len(aqz.open_dataset(made).image().levels) == 1
    assert not (made / "1").exists()
    aqz.add_pyramid(made)
    assert_same(expected, made)
