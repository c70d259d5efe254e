"""Plates, wells and fields: metadata, keys, neighbours, judges, and memory for thousands."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.finished import read_json, stored_files
from tests.support.frames import encoded_frames
from tests.support.validators import (
    assert_valid_ngff,
    validate_with_ome_zarr_models,
    validate_with_yaozarrs,
)

SPACE, TIME, CHANNEL = aqz.DimensionType.SPACE, aqz.DimensionType.TIME, aqz.DimensionType.CHANNEL


def image(frames=0, chunk=2, edge=32, channels=2, **fields):
    """Settings of a time series with channels."""
    return aqz.ArraySettings(
        data_type="uint16",
        dimensions=[
            aqz.Dimension(name="t", kind=TIME, array_size_px=frames, chunk_size_px=chunk),
            aqz.Dimension(name="c", kind=CHANNEL, array_size_px=channels, chunk_size_px=1),
            aqz.Dimension(name="y", kind=SPACE, array_size_px=edge, chunk_size_px=16),
            aqz.Dimension(name="x", kind=SPACE, array_size_px=edge, chunk_size_px=16),
        ],
        **fields,
    )


def plate_settings(path, wells=("A/1", "B/2"), fields=("f0", "f1"), array=None, **options):
    """Settings of one plate, every field alike."""
    rows = sorted({well.split("/")[0] for well in wells} | {"A", "B"})
    columns = sorted({well.split("/")[1] for well in wells} | {"1", "2"}, key=int)
    plate = aqz.Plate(
        path="plate",
        name="My plate",
        row_names=rows,
        column_names=columns,
        acquisitions=[aqz.Acquisition(id=0, name="run", start_time=1343731272000)],
        wells=[
            aqz.Well(
                row_name=well.split("/")[0],
                column_name=well.split("/")[1],
                images=[
                    aqz.FieldOfView(path=field, acquisition_id=0, array_settings=array or image())
                    for field in fields
                ],
            )
            for well in wells
        ],
    )
    options.setdefault("durability", "none")
    return aqz.StreamSettings(store_path=path, hcs_plates=[plate], **options)


FRAMES = encoded_frames(range(8), 32, 32, "uint16")


def recorded(path, **options):
    """Record eight frames into every field but the last one of B/2."""
    settings = plate_settings(path, **options)
    with aqz.ZarrStream(settings) as stream:
        for number, key in enumerate(settings.get_array_keys()[:-1]):
            stream.append(FRAMES + number, key)
    return settings


def test_keys_come_in_the_order_given(tmp_path):
    settings = plate_settings(tmp_path / "s", wells=("B/2", "A/1"))
    settings.arrays = [image(output_key="z"), image(output_key="/a/")]
    fields = [f"plate/{well}/{field}" for well in ("B/2", "A/1") for field in ("f0", "f1")]
    assert settings.get_array_keys() == ["z", "a", *fields]


@pytest.mark.parametrize("key", ["f0", "/plate/A/1/f0/"])
def test_field_whose_array_has_its_key_too(tmp_path, key):
    settings = plate_settings(tmp_path / "s", ["A/1"], ["f0"], image(output_key=key))
    assert settings.get_array_keys() == ["plate/A/1/f0"]
    with aqz.ZarrStream(settings) as stream:
        stream.append(FRAMES, "plate/A/1/f0")
    with aqz.ZarrStream.resume(tmp_path / "s") as stream:
        stream.append(FRAMES, "plate/A/1/f0")
    assert DECODERS["zarrs"](tmp_path / "s", "plate/A/1/f0/0").shape[0] == 8


@pytest.mark.parametrize("method", [None, aqz.DownsamplingMethod.MEAN])
def test_every_field_reads_back_equal(tmp_path, method):
    settings = recorded(tmp_path / "s", array=image(downsampling_method=method))
    for number, key in enumerate(settings.get_array_keys()[:-1]):
        for read in DECODERS.values():
            pixels = read(tmp_path / "s", f"{key}/0")
            assert np.array_equal(pixels.reshape(8, 32, 32), FRAMES + number)
    assert DECODERS["zarrs"](tmp_path / "s", "plate/B/2/f1/0").shape == (0, 2, 32, 32)


def test_metadata_of_plate_and_wells(tmp_path):
    recorded(tmp_path / "s")
    plate = read_json(tmp_path / "s/plate/zarr.json")["attributes"]["ome"]
    assert plate == {
        "version": "0.5",
        "plate": {
            "version": "0.5",
            "name": "My plate",
            "field_count": 2,
            "rows": [{"name": "A"}, {"name": "B"}],
            "columns": [{"name": "1"}, {"name": "2"}],
            "wells": [
                {"path": "A/1", "rowIndex": 0, "columnIndex": 0},
                {"path": "B/2", "rowIndex": 1, "columnIndex": 1},
            ],
            "acquisitions": [
                {"id": 0, "name": "run", "starttime": 1343731272000, "maximumfieldcount": 2}
            ],
        },
    }
    well = read_json(tmp_path / "s/plate/A/1/zarr.json")["attributes"]["ome"]
    images = [{"path": "f0", "acquisition": 0}, {"path": "f1", "acquisition": 0}]
    assert well == {"version": "0.5", "well": {"version": "0.5", "images": images}}


@pytest.mark.parametrize("node", ["plate", "plate/A/1", "plate/A/1/f0"])
def test_judges_of_ngff(tmp_path, node):
    recorded(tmp_path / "s", array=image(downsampling_method=aqz.DownsamplingMethod.MAX))
    judge = assert_valid_ngff if node.endswith("f0") else validate_with_ome_zarr_models
    judge(tmp_path / "s" / node)
    validate_with_yaozarrs(tmp_path / "s" / node)


def test_store_is_a_valid_plate_before_the_first_frame(tmp_path):
    with aqz.ZarrStream(plate_settings(tmp_path / "s")):
        validate_with_yaozarrs(tmp_path / "s/plate")
        validate_with_yaozarrs(tmp_path / "s/plate/B/2/f1")


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")
def test_plate_in_zarr_v2(tmp_path):
    settings = recorded(tmp_path / "s", version=aqz.ZarrVersion.V2)
    plate = read_json(tmp_path / "s/plate/.zattrs")["plate"]
    assert plate["version"] == "0.4"
    assert read_json(tmp_path / "s/plate/A/1/.zattrs")["well"]["version"] == "0.4"
    assert (tmp_path / "s/plate/A/.zgroup").is_file()
    validate_with_yaozarrs(tmp_path / "s/plate")
    validate_with_ome_zarr_models(tmp_path / "s/plate")
    for number, key in enumerate(settings.get_array_keys()[:-1]):
        pixels = DECODERS["tensorstore"](tmp_path / "s", f"{key}/0")
        assert np.array_equal(pixels.reshape(8, 32, 32), FRAMES + number)


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("version", list(aqz.ZarrVersion))
def test_plate_opened_through_ome_zarr(tmp_path, version):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reader's own
        from ome_zarr.io import parse_url
        from ome_zarr.reader import Plate, Reader

    settings = plate_settings(tmp_path / "s", version=version)
    with aqz.ZarrStream(settings) as stream:
        for number, key in enumerate(settings.get_array_keys()):
            stream.append(FRAMES[:2] + number, key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node = next(iter(Reader(parse_url(tmp_path / "s/plate"))()))
        assert any(isinstance(spec, Plate) for spec in node.specs)
        stitched = np.asarray(node.data[0])
    # Wells lie in their row and column; the fields of a well beside each other.
    first = stitched[0, 0, :32, :32]
    assert np.array_equal(first, FRAMES[0])


def test_flat_arrays_and_labels_beside_fields(tmp_path):
    settings = plate_settings(tmp_path / "s")
    labels = image(output_key="plate/A/1/labels", channels=1)
    inside = image(output_key="plate/A/1/f0/labels/nuclei", is_ngff=True)
    settings.arrays = [labels, inside, image(output_key="overview")]
    with aqz.ZarrStream(settings) as stream:
        for key in ("plate/A/1/labels", "plate/A/1/f0", "overview", "plate/A/1/f0/labels/nuclei"):
            stream.append(FRAMES, key)
    for key in ("plate/A/1/labels", "plate/A/1/f0/0", "overview", "plate/A/1/f0/labels/nuclei/0"):
        pixels = DECODERS["zarr-python"](tmp_path / "s", key)
        assert np.array_equal(pixels.reshape(8, 32, 32), FRAMES), key


def test_wells_begun_late_and_in_any_order(tmp_path):
    settings = plate_settings(tmp_path / "s", fields=("0",))
    with aqz.ZarrStream(settings) as stream:
        stream.append(FRAMES[:4], "plate/B/2/0")
        stream.append(FRAMES[:2], "plate/A/1/0")
        stream.append(FRAMES[4:], "plate/B/2/0")
    shapes = [DECODERS["zarrs"](tmp_path / "s", f"plate/{w}/0/0").shape[0] for w in ("A/1", "B/2")]
    assert shapes == [1, 4]


def test_metadata_of_a_field(tmp_path):
    with aqz.ZarrStream(plate_settings(tmp_path / "s")) as stream:
        stream.write_custom_metadata({"stage": [1, 2]}, "plate/A/1/f0", "position")
    attributes = read_json(tmp_path / "s/plate/A/1/f0/zarr.json")["attributes"]
    assert attributes["position"] == {"stage": [1, 2]}
    assert "ome" in attributes


def test_a_plate_that_is_there_is_not_overwritten(tmp_path):
    recorded(tmp_path / "s")
    before = stored_files(tmp_path / "s")
    with pytest.raises(aqz.StoreExistsError, match="plate or well at 'plate'"):
        aqz.ZarrStream(plate_settings(tmp_path / "s", fields=("g0",)))
    assert stored_files(tmp_path / "s") == before
    recorded(tmp_path / "s", overwrite=True, wells=("A/2",))
    assert not (tmp_path / "s/plate/B").exists()


def test_shared_array_settings_are_no_fault(tmp_path):
    # One ArraySettings object used for every field, as programs for acquire-zarr do.
    settings = recorded(tmp_path / "s", array=image(frames=4))
    assert DECODERS["zarrs"](tmp_path / "s", settings.get_array_keys()[0] + "/0").shape[0] == 4


# -- memory --------------------------------------------------------------------------------


def large_plate(path, *, chunk, fields=9, max_memory=None, **options):
    """A 384-well plate of small images."""
    wells = [f"{chr(65 + row)}/{column + 1}" for row in range(16) for column in range(24)]
    names = [str(number) for number in range(fields)]
    array = image(frames=options.pop("frames", 0), chunk=chunk, edge=64, channels=1)
    return plate_settings(path, wells, names, array, max_memory=max_memory)


def test_bound_of_memory_does_not_grow_with_the_number_of_fields(tmp_path):
    one = plate_settings(tmp_path / "s", ("A/1",), ("0",), image(chunk=512, edge=512))
    many = plate_settings(
        tmp_path / "s", ("A/1", "A/2", "B/1"), tuple("0123456789"), image(chunk=512, edge=512)
    )
    assert many.get_maximum_memory_usage() == one.get_maximum_memory_usage()
    assert many.get_maximum_memory_usage() > 256 << 20  # more than anything gets by default


def test_3456_fields_one_after_the_other(tmp_path):
    settings = large_plate(tmp_path / "s", chunk=1, frames=1, fields=9)
    keys = settings.get_array_keys()
    assert len(keys) == 3456
    bound = settings.get_maximum_memory_usage()
    frame = encoded_frames(range(1), 64, 64, "uint16")
    largest = 0
    with aqz.ZarrStream(settings) as stream:
        for key in keys[::12]:
            stream.append(frame, key)
            largest = max(largest, stream.get_current_memory_usage())
    assert largest <= bound <= 256 << 20  # the default budget, as for a single small array
    for key in keys[::300]:
        assert np.array_equal(DECODERS["tensorstore"](tmp_path / "s", f"{key}/0")[0], frame)


@pytest.mark.parametrize(
    ("method", "budget"), [(None, 6 << 20), (aqz.DownsamplingMethod.MEAN, 16 << 20)]
)
def test_open_fields_that_do_not_fit_are_put_aside(tmp_path, method, budget):
    # Chunks of eight time points: every field that has begun has an incomplete chunk.
    settings = plate_settings(
        tmp_path / "s",
        [f"A/{column}" for column in range(1, 25)],
        ("0", "1"),
        image(chunk=8, edge=64, channels=1, downsampling_method=method),
        max_memory=budget,
    )
    keys = settings.get_array_keys()
    series = {
        key: encoded_frames(range(8), 64, 64, "uint16", seed) for seed, key in enumerate(keys)
    }
    largest = 0
    with aqz.ZarrStream(settings) as stream:
        for time in range(7):
            for key in keys:
                stream.append(series[key][time], key)
                largest = max(largest, stream.get_current_memory_usage())
    assert largest <= settings.get_maximum_memory_usage() == budget
    for key in keys:
        pixels = DECODERS["tensorstore"](tmp_path / "s", f"{key}/0")[:, 0]
        assert np.array_equal(pixels, series[key][:7])
