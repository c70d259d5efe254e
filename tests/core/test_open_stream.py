"""`open_stream` is enough for most recordings: positions, plates, pyramids and the rest."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

FRAME = {"shape": (0, 32, 32), "dtype": "uint16"}


def frame(number):
    return np.full((32, 32), number, "uint16")


def attributes(store):
    return json.loads((store / "zarr.json").read_bytes())["attributes"]


@pytest.mark.parametrize(("positions", "keys"), [(2, ["0", "1"]), (["left", "b2"], ["left", "b2"])])
def test_positions_are_images_of_one_store(tmp_path, positions, keys):
    store = tmp_path / "a.zarr"
    with aqz.open_stream(store, **FRAME, positions=positions, pyramid="mean") as stream:
        assert stream.array_keys == keys
        for number, key in enumerate(keys):
            stream.append(frame(number + 1), key)
    for number, key in enumerate(keys):
        pixels = DECODERS["tensorstore"](store, f"{key}/0")
        np.testing.assert_array_equal(pixels, [frame(number + 1)])
    assert attributes(store / "OME")["ome"]["series"] == keys
    assert_valid_ngff(store / keys[0])


@pytest.mark.parametrize(
    ("plate", "positions", "keys"),
    [
        (["A1"], None, ["plate/A/1/0"]),
        (["A1", "B/12"], 2, [f"plate/{well}/{n}" for well in ("A/1", "B/12") for n in "01"]),
        ({"B2": 2, "A1": ["left"]}, None, ["plate/B/2/0", "plate/B/2/1", "plate/A/1/left"]),
    ],
)
def test_a_plate_by_the_names_of_its_wells(tmp_path, plate, positions, keys):
    store = tmp_path / "a.zarr"
    with aqz.open_stream(store, **FRAME, plate=plate, positions=positions) as stream:
        assert stream.array_keys == keys
        for number, key in enumerate(keys):
            stream.append(frame(number), key)
    for number, key in enumerate(keys):
        np.testing.assert_array_equal(DECODERS["zarrs"](store, f"{key}/0"), [frame(number)])
    validate_with_yaozarrs(store / "plate")
    assert_valid_ngff(store / keys[0])


def test_a_plate_of_settings_gets_its_array_settings(tmp_path):
    plate = aqz.Plate(
        path="screen",
        row_names=["A"],
        column_names=["1", "2"],
        wells=[
            aqz.Well(row_name="A", column_name="2", images=[aqz.FieldOfView(path="f0")]),
        ],
    )
    with aqz.open_stream(tmp_path / "a.zarr", **FRAME, plate=plate) as stream:
        stream.append(frame(5), "screen/A/2/f0")
    assert plate.wells[0].images[0].array_settings == aqz.ArraySettings()
    assert attributes(tmp_path / "a.zarr/screen")["ome"]["plate"]["columns"][1]["name"] == "2"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"positions": 0}, "positions is 0; give a number from 1"),
        ({"positions": []}, "positions is empty"),
        ({"positions": "left"}, r"positions must be a number or names, got 'left'"),
        ({"positions": 1.5}, r"positions must be a number or names, got 1\.5"),
        ({"positions": ["a", "a"]}, "the same key 'a'"),
        ({"positions": ["a", "A"]}, "same directory on Windows"),
        ({"plate": []}, "plate is empty"),
        ({"plate": ["A0B"]}, "'A0B' is not the name of a well"),
        ({"plate": ["A1", "A1"]}, "names a well twice"),
        ({"plate": ["A1", "A01"]}, "names a well twice: 'A1' and 'A01'"),
        ({"plate": {"A1": 1, "A/1": 1}}, "names a well twice: 'A1' and 'A/1'"),
        ({"plate": {"A1": 0}}, r"plate\['A1'\] is 0"),
        ({"plate": aqz.Plate(), "positions": 2}, "leave positions out"),
        ({"storage_order": "yx"}, "must name each of the axes"),
        ({"pyramid_z": "sometimes"}, "pyramid_z is 'sometimes'; use one of chunks, finer, never"),
        ({"durability": "never"}, "durability is 'never'"),
        ({"stall_timeout": 0}, "stall_timeout is 0"),
        ({"version": 4}, "version must be a ZarrVersion"),
        ({"keep_free": -1}, "keep_free must be an integer from 0"),
        ({"axes": "TYX"}, r"axes=\['t', 'y', 'x'\]"),
        ({"axes": "yxt"}, "must end with the rows and columns of a frame"),
        ({"mode": "append", "overwrite": True}, "give one of the two"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, options, words):
    with pytest.raises(aqz.SettingsError, match=words):
        aqz.open_stream(tmp_path / "a.zarr", **FRAME, **options)
    assert not list(tmp_path.iterdir())


def test_everything_else_that_a_stream_can_be_told(tmp_path):
    store = tmp_path / "a.zarr"
    options = {
        "fill_value": 7,
        "checksum": True,
        "durability": "none",
        "live": False,
        "stall_timeout": 30,
        "keep_free": 1,
        "max_levels": 1,
        "chunks": (1, 8, 8),
        "shards": (2, 4, 4),
        "pyramid": "max",
    }
    with aqz.open_stream(store, **FRAME, **options) as stream:
        stream.append(frame(1))
        stream.skip_frames(1)
        stream.append(frame(3))
    assert DECODERS["zarr-python"](store, "0")[:, 0, 0].tolist() == [1, 7, 3]
    document = json.loads((store / "0/zarr.json").read_bytes())
    assert "crc32c" in str(document["codecs"][0]["configuration"]["codecs"])
    assert not (store / "2").exists()


@pytest.mark.parametrize("version", [2, aqz.ZarrVersion.V2])
def test_zarr_v2(tmp_path, version):
    with aqz.open_stream(tmp_path / "a.zarr", **FRAME, version=version) as stream:
        stream.append(frame(1))
    assert (tmp_path / "a.zarr/0/.zarray").exists()


def test_a_storage_order_that_viewers_want(tmp_path, caplog):
    options = {"shape": (0, 3, 2, 8, 8), "dtype": "uint16", "axes": "tzcyx"}
    with aqz.open_stream(tmp_path / "wrong.zarr", **options):
        pass
    assert "storage_order" in caplog.text
    caplog.clear()
    with aqz.open_stream(tmp_path / "a.zarr", **options, storage_order="tczyx") as stream:
        for number in range(12):
            stream.append(np.full((8, 8), number, "uint16"))
    assert caplog.text == ""
    pixels = DECODERS["tensorstore"](tmp_path / "a.zarr", "0")[..., 0, 0]
    np.testing.assert_array_equal(pixels, np.arange(12).reshape(2, 3, 2).transpose(0, 2, 1))
    assert_valid_ngff(tmp_path / "a.zarr")


# ---- pyramids that help a viewer -----------------------------------------------------------


def levels_of(store):
    (image,) = attributes(store)["ome"]["multiscales"]
    found = []
    for dataset in image["datasets"]:
        scale = dataset["coordinateTransformations"][0]["scale"]
        found.append((DECODERS["tensorstore"](store, dataset["path"]).shape, scale[-3:]))
    return found


@pytest.mark.parametrize(
    ("scale", "units", "option", "depths"),
    [
        ({"z": 4.0, "y": 1.0, "x": 1.0}, {}, "finer", [12, 12, 12, 6]),  # coarser until the third
        ({"z": 1.0, "y": 1.0, "x": 1.0}, {}, "finer", [12, 6, 3, 2]),
        ({}, {}, "finer", [12, 6, 3, 2]),
        ({"z": 9.0}, {}, "finer", [12, 12, 12, 12]),
        ({"z": 500, "y": 1, "x": 1}, {"z": "nm", "y": "um", "x": "um"}, "finer", [12, 6, 3, 2]),
        ({"z": 1, "y": 1, "x": 1}, {"z": "furlong", "y": "um", "x": "um"}, "finer", [12] * 4),
        ({}, {}, "never", [12, 12, 12, 12]),
        ({"z": 9.0}, {}, "chunks", [12, 6, 3, 2, 1]),
    ],
)
def test_z_is_halved_where_it_is_no_coarser(tmp_path, scale, units, option, depths):
    store = tmp_path / "a.zarr"
    volume = np.arange(12, dtype="uint16")[:, None, None] * np.ones((1, 64, 64), "uint16")
    with aqz.open_stream(
        store,
        shape=(0, 12, 64, 64),
        dtype="uint16",
        axes="tzyx",
        chunks=(1, 1, 8, 8),
        shards=(1, 12, 8, 8),
        pyramid="max",
        pyramid_z=option,
        scale=scale,
        units=units,
    ) as stream:
        stream.append(volume)
        stream.append(volume)
    found = levels_of(store)
    assert [shape[1] for shape, _ in found] == depths
    edges = [64, 32, 16, 8, 8][: len(depths)]
    assert [shape[2:] for shape, _ in found] == [(edge, edge) for edge in edges]
    for level, (shape, steps) in enumerate(found):
        group = {12: 1, 6: 2, 3: 4, 2: 8, 1: 16}[shape[1]]  # planes that became one
        assert steps[0] == scale.get("z", 1.0) * group
        highest = [min(12, (plane + 1) * group) - 1 for plane in range(shape[1])]
        assert DECODERS["tensorstore"](store, str(level))[1, :, 0, 0].tolist() == highest


def test_small_planes_get_no_levels_of_which_only_z_differs(tmp_path):
    options = {"shape": (1, 1, 10, 48, 48), "dtype": "uint8", "axes": "tczyx"}
    with aqz.open_stream(tmp_path / "a.zarr", **options, pyramid="mean") as stream:
        stream.append(np.zeros((10, 48, 48), "uint8"))
    assert [shape for shape, _ in levels_of(tmp_path / "a.zarr")] == [(1, 1, 10, 48, 48)]


@pytest.mark.parametrize("option", ["finer", "never", "chunks"])
def test_a_pyramid_goes_on_as_it_began(tmp_path, option):
    store = tmp_path / "a.zarr"
    volume = np.random.default_rng(1).integers(0, 9, (4, 8, 32, 32), dtype="uint8")
    options = {
        "shape": (0, 8, 32, 32),
        "dtype": "uint8",
        "axes": "tzyx",
        "chunks": (1, 1, 8, 8),
        "shards": (2, 8, 4, 4),
        "pyramid": "mean",
        "pyramid_z": option,
        "scale": {"z": 2.0},
    }
    with aqz.open_stream(tmp_path / "whole.zarr", **options) as stream:
        stream.append(volume)
    with aqz.open_stream(store, **options) as stream:
        stream.append(volume[:3])
    with aqz.open_stream(store, **options, mode="append") as stream:
        stream.append(volume[3])
    for level, (shape, _) in enumerate(levels_of(tmp_path / "whole.zarr")):
        pixels = DECODERS["tensorstore"](store, str(level))
        assert pixels.shape == shape
        whole = DECODERS["tensorstore"](tmp_path / "whole.zarr", str(level))
        np.testing.assert_array_equal(pixels, whole)


@pytest.mark.parametrize("version", [aqz.ZarrVersion.V2, aqz.ZarrVersion.V3])
def test_a_script_that_records_a_plate_may_be_started_again(tmp_path, version):
    store = tmp_path / "a.zarr"
    script = {**FRAME, "plate": {"A1": 2, "B12": 1}, "pyramid": "mean", "mode": "append"}
    for run in range(3):
        with aqz.open_stream(store, **script, version=version) as stream:
            assert list(stream.array_keys) == ["plate/A/1/0", "plate/A/1/1", "plate/B/12/0"]
            for number, key in enumerate(stream.array_keys):
                stream.append(frame(10 * run + number), key)
    plate = aqz.open_dataset(store)
    assert list(plate.wells) == ["A1", "B12"]
    for t in range(3):
        assert (plate.read_image(position="A1", field=1, t=t) == 10 * t + 1).all()
        assert (plate.read_image(position="B12", t=t) == 10 * t + 2).all()
    with pytest.raises(aqz.ResumeError, match="array 'plate/A/1/0' was recorded differently"):
        aqz.open_stream(store, **script | {"shape": (0, 32, 16)}, version=version)
    with pytest.raises(aqz.ResumeError, match="no recording at 'plate/C/1/0'"):
        aqz.open_stream(store, **script | {"plate": ["A1", "C1"]}, version=version)


def test_compression_may_be_settings_instead_of_a_name(tmp_path):
    zstd = aqz.CompressionSettings(
        compressor=aqz.Compressor.ZSTD, codec=aqz.CompressionCodec.ZSTD, level=9
    )
    for given in (zstd, aqz.PluginCompression("zstd", {"level": 9})):
        with aqz.open_stream(
            tmp_path / "a.zarr", **FRAME, compression=given, overwrite=True
        ) as stream:
            stream.append(frame(3))
        array = zarr.open_array(tmp_path / "a.zarr" / "0", mode="r")
        assert array.compressors[0].to_dict()["configuration"]["level"] == 9
        assert (array[0] == 3).all()


# ---- said in the log -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"x": "micormeter"}, "did you mean 'micrometer'"),
        ({"t": "secnd"}, "did you mean 'second'"),
        ({"y": "pixel"}, "none that NGFF has"),
        ({"x": "um", "y": "µm", "t": "ms"}, None),
    ],
)
def test_units_that_ngff_does_not_know(tmp_path, caplog, units, words):
    aqz.open_stream(tmp_path / "a.zarr", **FRAME, units=units).close()
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(told) == (words is not None)
    assert words is None or words in told[0]


def test_names_of_fields_that_ngff_does_not_want(tmp_path, caplog):
    aqz.open_stream(tmp_path / "a.zarr", **FRAME, plate={"A1": ["fov_0"]}).close()
    assert "'fov_0'" in caplog.text
    assert "letters and digits" in caplog.text
