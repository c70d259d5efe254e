"""Validation: each rule refuses with the place, the value and what to do."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.errors import SettingsError
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.paths import check_local_store, url_scheme
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.stream import (
    check_array,
    check_arrays,
    check_resources,
    check_s3,
    local_path,
    normalise_key,
    storage_permutation,
    validate,
)

MEAN = DownsamplingMethod.MEAN
KINDS = {"t": DimensionType.TIME, "c": DimensionType.CHANNEL, "o": DimensionType.OTHER}


def image(axes: str = "tyx", **fields) -> ArraySettings:
    """A valid array; its first axis is unlimited if there are more than two."""
    dimensions = [
        Dimension(
            name=name,
            kind=KINDS.get(name, DimensionType.SPACE),
            array_size_px=0 if position == 0 and len(axes) > 2 else 4,
            chunk_size_px=2,
        )
        for position, name in enumerate(axes)
    ]
    return ArraySettings(dimensions=dimensions, **fields)


def plate(**fields) -> Plate:
    """A valid plate of one well with two fields."""
    images = [FieldOfView(path=path, array_settings=image()) for path in ("f1", "f2")]
    return Plate(
        **{
            "path": "plate",
            "row_names": ["A", "B"],
            "column_names": ["1", "2"],
            "wells": [Well(row_name="A", column_name="1", images=images)],
            **fields,
        }
    )


def refused(check, *arguments, **keywords) -> str:
    """The message with which `check` refuses."""
    with pytest.raises(SettingsError) as caught:
        check(*arguments, **keywords)
    return str(caught.value)


# -- arrays --------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["yx", "tyx", "tcyx", "tczyx", "otczyx", "abotczyx"])
@pytest.mark.parametrize("data_type", list(DataType))
def test_two_to_eight_dimensions_of_all_types_are_accepted(axes, data_type):
    check_array(image(axes, data_type=data_type), "a")


def set_on(position: int, **fields):
    """A change of one dimension."""

    def change(array: ArraySettings) -> None:
        for name, value in fields.items():
            setattr(array.dimensions[position], name, value)

    return change


def set_array(**fields):
    """A change of the array."""

    def change(array: ArraySettings) -> None:
        for name, value in fields.items():
            setattr(array, name, value)

    return change


def order_before_axes(order):
    """An order that was set when there were no axes that it could be checked with."""

    def change(array: ArraySettings) -> None:
        axes, array.dimensions = array.dimensions, []
        array.storage_dimension_order = order
        array.dimensions = axes

    return change


def compressed(*, level: int = 1, shuffle: int = 0, codec: str, compressor: str):
    """Another compression."""
    return set_array(
        compression=CompressionSettings(
            compressor=Compressor[compressor],
            codec=CompressionCodec[codec],
            level=level,
            shuffle=shuffle,
        )
    )


BAD_ARRAYS = [
    (set_array(dimensions=[]), ["0 dimensions", "2 to 8"]),
    (set_array(dimensions=image("yx").dimensions[:1]), ["1 dimensions"]),
    (set_array(dimensions=image("abcdefgyx").dimensions), ["9 dimensions"]),
    (set_on(1, name=""), ["dimensions[1] has no name"]),
    (set_on(1, name=" "), ["dimensions[1] has no name"]),
    (set_on(2, name="t"), ["dimensions[0] and dimensions[2]", "'t'", "rename"]),
    (set_on(2, kind=DimensionType.TIME), ["dimension 'y'", "DimensionType.TIME", "SPACE"]),
    (set_on(3, kind=DimensionType.OTHER), ["dimension 'x'", "DimensionType.OTHER", "SPACE"]),
    (set_on(1, array_size_px=0), ["dimension 'c'", "array_size_px is 0", "first"]),
    (set_on(3, array_size_px=0), ["dimension 'x'", "array_size_px is 0", "first"]),
    (set_on(0, chunk_size_px=0), ["dimension 't'", "chunk_size_px is 0", "at least 1"]),
    (set_on(3, shard_size_chunks=0), ["dimension 'x'", "shard_size_chunks is 0", "None"]),
    (set_on(3, shard_size_chunks=None), ["shard_size_chunks is None", "['x']", "all"]),
    (set_on(0, scale=-0.5), ["dimension 't'", "scale is -0.5", "positive"]),
    (set_on(0, scale=math.nan), ["scale is nan"]),
    (set_on(0, scale=math.inf), ["scale is inf"]),
    (set_array(storage_dimension_order=["t", "c", "y", "q"]), ["no dimension 'q'", "'x'"]),
    (set_array(storage_dimension_order=["t", "y", "x"]), ["each", "once"]),
    (set_array(storage_dimension_order=["t", "t", "y", "x"]), ["each", "once"]),
    (order_before_axes(["t", "y", "c", "x"]), ["end with 'y' and 'x'"]),
    (order_before_axes(["c", "t", "y", "x"]), ["start with 't'", "unlimited"]),
    (set_array(storage_dimension_order=[0, 1, 2, 4]), ["position 4", "0..3"]),
    (set_array(storage_dimension_order=[0, 1, 2, -1]), ["position -1"]),
    (compressed(compressor="BLOSC1", codec="ZSTD"), ["CompressionCodec.ZSTD", "BLOSC_LZ4"]),
    (compressed(compressor="BLOSC1", codec="NONE"), ["CompressionCodec.NONE", "BLOSC_ZLIB"]),
    (compressed(compressor="ZSTD", codec="BLOSC_ZSTD"), ["use CompressionCodec.ZSTD"]),
    (compressed(compressor="GZIP", codec="ZSTD"), ["use CompressionCodec.GZIP"]),
    (compressed(compressor="BLOSC1", codec="BLOSC_LZ4", level=10), ["level is 10", "0 to 9"]),
    (compressed(compressor="BLOSC1", codec="BLOSC_LZ4", shuffle=3), ["shuffle is 3", "2 (bits)"]),
    (compressed(compressor="ZSTD", codec="ZSTD", level=23), ["level is 23", "0 to 22"]),
    (compressed(compressor="ZSTD", codec="ZSTD", shuffle=1), ["shuffle is 1", "0 only"]),
    (compressed(compressor="GZIP", codec="GZIP", level=10), ["level is 10", "0 to 9"]),
    (set_array(channels=[Channel()]), ["plain array", "is_ngff=True"]),
    (set_array(is_ngff=True, channels=[Channel()] * 3), ["3 channels", "'c' has 4"]),
    (
        set_array(is_ngff=True, channels=[*[Channel()] * 3, Channel(color="green")]),
        ["channels[3]", "'green'", "hexadecimal"],
    ),
    (
        set_array(is_ngff=True, channels=[Channel(window=(9, 1))] * 4),
        ["channels[0]", "start 9", "end 1"],
    ),
    (
        set_array(is_ngff=True, data_type=float, channels=[Channel(window=(0, math.inf))] * 4),
        ["channels[0]", "window is (0.0, inf)", "finite"],
    ),
]


@pytest.mark.parametrize(("change", "parts"), BAD_ARRAYS)
def test_array_that_cannot_be_recorded(change, parts):
    array = image("tcyx", output_key="img")
    change(array)
    message = refused(check_arrays, StreamSettings(arrays=[array]))
    assert message.startswith("arrays[0] 'img': ")
    for part in parts:
        assert part in message


def test_single_image_has_no_unlimited_dimension():
    array = image("yx")
    array.dimensions[0].array_size_px = 0
    assert "one frame of fixed size" in refused(check_array, array, "a")


@pytest.mark.parametrize(
    "compression",
    [
        CompressionSettings(),
        CompressionSettings(codec=CompressionCodec.ZSTD, level=99, shuffle=9),  # all ignored
        *(
            CompressionSettings(compressor=Compressor.BLOSC1, codec=codec, level=9, shuffle=2)
            for codec in CompressionCodec
            if codec.name.startswith("BLOSC")
        ),
        CompressionSettings(compressor=Compressor.ZSTD, codec=CompressionCodec.ZSTD, level=22),
        CompressionSettings(compressor=Compressor.GZIP, codec=CompressionCodec.GZIP, level=0),
    ],
)
def test_compression_that_is_possible(compression):
    check_array(image(compression=compression), "a")


def test_chunk_that_blosc_cannot_take():
    blosc = CompressionSettings(compressor=Compressor.BLOSC1, codec=CompressionCodec.BLOSC_LZ4)
    array = image(compression=blosc)
    array.dimensions[0].chunk_size_px = 2**29
    message = refused(check_array, array, "a")
    assert "2147483648 bytes" in message
    assert "smaller" in message
    array.compression = None
    check_array(array, "a")


def test_no_shards_on_any_axis():
    array = image()
    for dimension in array.dimensions:
        dimension.shard_size_chunks = None
    check_array(array, "a")


# -- fill value ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "fill_value"),
    [
        ("uint8", 255),
        ("uint8", 3.0),
        ("int8", -128),
        ("uint64", 2**64 - 1),
        ("int64", -(2**63)),
        ("float16", 65504),
        ("float16", math.nan),
        ("float32", -math.inf),
        ("float64", 1e308),
        ("bool", True),
        ("bool", 0),
    ],
)
def test_fill_value_that_fits(data_type, fill_value):
    check_array(image(data_type=data_type, fill_value=fill_value), "a")


@pytest.mark.parametrize(
    ("data_type", "fill_value", "remedy"),
    [
        ("uint8", 256, "0 to 255"),
        ("uint8", -1, "0 to 255"),
        ("uint8", 0.5, "whole number"),
        ("uint8", math.nan, "whole number"),
        ("int16", math.inf, "-32768 to 32767"),
        ("uint64", 2**64, "18446744073709551615"),
        ("uint8", True, "whole number"),
        ("float16", 1e6, "at most 65504.0"),
        ("float32", 10**400, "at most"),
        ("float32", True, "at most"),
        ("bool", 2, "False or True"),
        ("bool", math.nan, "False or True"),
    ],
)
def test_fill_value_that_does_not_fit(data_type, fill_value, remedy):
    message = refused(check_array, image(data_type=data_type, fill_value=fill_value), "a")
    assert f"fill_value {fill_value!r}" in message
    assert remedy in message


# -- channels ------------------------------------------------------------------------------


def test_one_channel_without_a_channel_axis():
    check_array(image("tyx", is_ngff=True, channels=[Channel(name="DAPI")]), "a")
    two = image("tyx", is_ngff=True, channels=[Channel(), Channel()])
    assert "without a channel axis has 1" in refused(check_array, two, "a")


def test_channels_need_one_channel_axis_of_known_size():
    unlimited = image("cyx", is_ngff=True, channels=[Channel()])
    assert "'c' is unlimited" in refused(check_array, unlimited, "a")
    double = image("tcoyx", is_ngff=True, channels=[Channel()])
    double.dimensions[2].kind = DimensionType.CHANNEL
    assert "['c', 'o']" in refused(check_array, double, "a")


# -- storage order -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "positions"),
    [
        ([], (0, 1, 2, 3, 4)),
        (["t", "z", "c", "y", "x"], (0, 2, 1, 3, 4)),
        ([0, 2, 1, 4, 3], (0, 2, 1, 4, 3)),
        (["t", 2, "c", 4, "y"], (0, 2, 1, 4, 3)),
    ],
)
def test_storage_order_by_name_or_position(order, positions):
    assert storage_permutation(image("tczyx", storage_dimension_order=order)) == positions


def test_bounded_time_may_move_in_storage():
    array = image("tczyx")
    array.dimensions[0].array_size_px = 10
    array.storage_dimension_order = ["c", "z", "t", "y", "x"]
    assert storage_permutation(array) == (1, 2, 0, 3, 4)


# -- keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "normalised"),
    [("", ""), ("/", ""), (" a ", "a"), ("/a//b/", "a/b"), (" / a/b /\t", "a/b"), ("a", "a")],
)
def test_normalised_key(written, normalised):
    assert normalise_key(written) == normalised


@given(st.text(st.sampled_from("/ab. \t\n\u2003_0") | st.characters()))
def test_normalising_twice_changes_nothing(key):
    once = normalise_key(key)
    assert normalise_key(once) == once
    assert "//" not in once
    assert once == once.strip().strip("/")


@pytest.mark.parametrize("key", ["", "a", "A-1_b.c", "a/b/c/d", "c", "0", "_a", ".hidden", "a//b/"])
def test_good_key(key):
    check_arrays(StreamSettings(arrays=[image(output_key=key)]))


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("a b", "'a b'"),
        ("é", "'é'"),
        ("..", "dots only"),
        ("a/../b", "dots only"),
        ("./a", "dots only"),
        ("__a", "'__'"),
        ("a/__b/c", "'__'"),
        ("zarr.json", "metadata file"),
        ("a/zarr.json", "metadata file"),
        (".zgroup/a", "metadata file"),
        (".zarray", "metadata file"),
        ("a\\b", "characters"),
        ("a:b", "characters"),
    ],
)
def test_bad_key(key, part):
    message = refused(check_arrays, StreamSettings(arrays=[image(output_key=key)]))
    assert repr(key) in message
    assert part in message
    assert "rename" in message


@pytest.mark.parametrize(
    "arrays",
    [
        [image(output_key="a/b"), image(output_key="a/c")],
        [image(output_key="a"), image(output_key="ab")],
        [image(output_key="a", is_ngff=True), image(output_key="a/labels")],
        [image(output_key="a", downsampling_method=MEAN), image(output_key="a/labels/0")],
        [image(is_ngff=True), image(output_key="labels/cells")],
    ],
)
def test_keys_that_go_together(arrays):
    check_arrays(StreamSettings(arrays=arrays))


@pytest.mark.parametrize(
    ("arrays", "parts"),
    [
        ([image(output_key="a"), image(output_key="/a/")], ["arrays[0]", "arrays[1]", "same key"]),
        ([image(), image()], ["arrays[0]", "arrays[1]", "same key ''"]),
        ([image(output_key="a"), image(output_key="a/b")], ["'a/b'", "inside the plain array"]),
        ([image(output_key="a/b/c"), image(output_key="a")], ["'a/b/c'", "plain array at 'a'"]),
        ([image(), image(output_key="a")], ["'a'", "the root of the store"]),
        (
            [image(output_key="a", is_ngff=True), image(output_key="a/0")],
            ["'a/0'", "level 0", "not a number"],
        ),
        ([image(downsampling_method=MEAN), image(output_key="7/b")], ["'7/b'", "level 7"]),
    ],
)
def test_keys_that_clash(arrays, parts):
    message = refused(check_arrays, StreamSettings(arrays=arrays))
    for part in parts:
        assert part in message


def test_one_object_twice_is_explained():
    array = image(output_key="a")
    assert "copy it first" in refused(check_arrays, StreamSettings(arrays=[array, array]))


# -- plates --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        plate(),
        plate(path="/screens/plate/"),
        plate(acquisitions=[Acquisition(id=0)]),  # fields without an acquisition
        plate(acquisitions=[Acquisition(id=3), Acquisition(id=4)]),
    ],
)
def test_plate_that_can_be_recorded(made):
    check_arrays(StreamSettings(hcs_plates=[made]))


def test_field_may_have_channels_without_asking_for_ngff():
    made = plate()
    made.wells[0].images[0].array_settings.channels = [Channel(name="DAPI")]
    check_arrays(StreamSettings(hcs_plates=[made]))


def change_field(**fields):
    """A change of the first field of view."""

    def change(made: Plate) -> None:
        for name, value in fields.items():
            setattr(made.wells[0].images[0], name, value)

    return change


BAD_PLATES = [
    (lambda p: setattr(p, "path", " / "), ["path is empty"]),
    (lambda p: setattr(p, "path", "a b"), ["'a b'", "rename"]),
    (lambda p: p.row_names.clear(), ["row_names is empty"]),
    (lambda p: p.column_names.clear(), ["column_names is empty"]),
    (lambda p: p.row_names.append("A-1"), ["row_names", "'A-1'", "letters and digits"]),
    (lambda p: p.column_names.append(""), ["column_names", "''"]),
    (lambda p: p.row_names.append("A"), ["row_names", "['A', 'A']", "rename"]),
    (lambda p: p.row_names.append("b"), ["row_names", "['B', 'b']", "case"]),
    (lambda p: p.wells.clear(), ["wells is empty"]),
    (lambda p: p.wells.append(copy.copy(p.wells[0])), ["well 'A/1'", "twice"]),
    (lambda p: setattr(p.wells[0], "row_name", "C"), ["row 'C'", "['A', 'B']"]),
    (lambda p: setattr(p.wells[0], "column_name", "9"), ["column '9'", "['1', '2']"]),
    (lambda p: p.wells[0].images.clear(), ["images is empty"]),
    (change_field(path="f2"), ["two images", "'f2'"]),
    (change_field(path=""), ["field ''", "rename"]),
    (change_field(path="a/b"), ["'a/b'", "rename"]),
    (change_field(path="zarr.json"), ["metadata file"]),
    (change_field(acquisition_id=7), ["acquisition_id 7", "[]"]),
    (change_field(array_settings=image(output_key="a")), ["output_key is 'a'", "empty"]),
    (change_field(array_settings=image("x")), ["field 'f1'", "1 dimensions"]),
    (
        lambda p: setattr(p, "acquisitions", [Acquisition(id=2), Acquisition(id=2)]),
        ["two acquisitions", "2"],
    ),
]


@pytest.mark.parametrize(("change", "parts"), BAD_PLATES)
def test_plate_that_cannot_be_recorded(change, parts):
    made = plate()
    change(made)
    message = refused(check_arrays, StreamSettings(hcs_plates=[made]))
    assert message.startswith("hcs_plates[0] ")
    for part in parts:
        assert part in message


def test_arrays_beside_fields():
    labels = [image(output_key="plate/A/1/labels"), image(output_key="plate/A/1/f1/labels")]
    check_arrays(StreamSettings(arrays=labels, hcs_plates=[plate(), plate(path="other")]))


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("plate", "same key 'plate'"),
        ("plate/A", "same key 'plate/A'"),
        ("plate/A/1", "same key"),
        ("plate/A/1/f1", "same key"),
        ("plate/A/1/f1/0", "level 0"),
        ("", "plain array"),
    ],
)
def test_array_in_the_place_of_a_plate(key, part):
    settings = StreamSettings(arrays=[image(output_key=key)], hcs_plates=[plate()])
    assert part in refused(check_arrays, settings)


def test_two_plates_need_two_paths():
    assert "same key" in refused(check_arrays, StreamSettings(hcs_plates=[plate(), plate()]))


# -- stream --------------------------------------------------------------------------------


def recordable(folder: Path, **fields) -> StreamSettings:
    """Settings that can be recorded into `folder`."""
    return StreamSettings(**{"store_path": folder / "out.zarr", "arrays": [image()], **fields})


def test_validate_accepts_and_changes_nothing(tmp_path):
    settings = recordable(tmp_path)
    before = copy.deepcopy(settings)
    validate(settings)
    assert settings == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"arrays": []}, ["nothing to record", "ArraySettings"]),
        ({"max_memory": 0}, ["max_memory is 0", "positive"]),
        ({"max_memory": -5}, ["max_memory is -5"]),
        ({"durability": "always"}, ["'always'", "shard, flush, none"]),
        ({"stall_timeout": 0}, ["stall_timeout is 0.0"]),
        ({"stall_timeout": math.nan}, ["stall_timeout is nan"]),
        ({"stall_timeout": math.inf}, ["stall_timeout is inf"]),
        ({"store_path": ""}, ["store_path ''", "empty"]),
        ({"s3": S3Settings(bucket_name="b")}, ["bucket_name 'b'", "3 to 63"]),
        ({"store_path": "s3://bucket", "overwrite": True}, ["root of the bucket", "'bucket'"]),
    ],
)
def test_stream_that_cannot_be_recorded(tmp_path, fields, parts):
    message = refused(validate, recordable(tmp_path, **fields))
    for part in parts:
        assert part in message


def test_wrong_element_in_a_list_is_a_type_error(tmp_path):
    settings = recordable(tmp_path)
    settings.arrays[0].dimensions.append("x")
    with pytest.raises(TypeError, match=r"ArraySettings\.dimensions .* 'x'"):
        validate(settings)


@pytest.mark.parametrize("durability", ["shard", "flush", "none"])
def test_possible_resources(durability):
    check_resources(StreamSettings(durability=durability, max_memory=1, stall_timeout=0.5))


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"bucket_name": ""}, "3 to 63"),
        ({"bucket_name": "b" * 64}, "64 characters"),
        ({"bucket_name": "bucket", "addressing_style": "ip"}, "auto, path, virtual"),
    ],
)
def test_bucket_that_cannot_be(fields, part):
    check_s3(S3Settings(bucket_name="bucket"))
    assert part in refused(check_s3, S3Settings(**fields))


# -- paths ---------------------------------------------------------------------------------


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert local_path("out.zarr") == tmp_path / "out.zarr"
    assert local_path("out.zarr///") == tmp_path / "out.zarr"
    assert local_path(str(tmp_path / "a")) == tmp_path / "a"
    assert local_path("~/a") == tmp_path / "home" / "a"


def test_file_urls(tmp_path):
    spaced = tmp_path / "a b#c"
    assert local_path(spaced.as_uri()) == spaced
    assert local_path("file://" + (tmp_path / "a").as_posix()) == tmp_path / "a"
    assert local_path("FILE://localhost" + (tmp_path / "a").as_posix()) == tmp_path / "a"


@pytest.mark.parametrize(
    ("store_path", "part"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (" a.zarr", "blank"),
        ("a.zarr\n", "blank"),
        ("a\0b", "null character"),
        ("file:///a%00b", "null character"),
        ("file://host/a.zarr", "file:///"),
        ("file://a.zarr", "file:///"),
        ("file:///", "file:///"),
        ("gs://bucket/a", "not on this machine"),
        ("~no-such-user-here/a", "absolute path"),
    ],
)
def test_path_that_is_none(store_path, part):
    message = refused(local_path, store_path)
    assert repr(store_path) in message
    assert part in message


def test_scheme_of_a_url():
    assert [url_scheme(p) for p in ("s3://b", "File:///a", "a:/b", "C:\\a", "a/b://c", "")] == [
        "s3",
        "file",
        None,
        None,
        None,
        None,
    ]


def test_parent_must_be_a_directory(tmp_path):
    (tmp_path / "file").touch()
    missing = refused(check_local_store, tmp_path / "no" / "a.zarr", overwrite=False)
    assert "does not exist" in missing
    assert str(tmp_path / "no") in missing
    in_file = refused(check_local_store, tmp_path / "file" / "a.zarr", overwrite=False)
    assert "is not a directory" in in_file
    too_long = refused(check_local_store, tmp_path / ("a" * 5000) / "a.zarr", overwrite=False)
    assert "choose another path" in too_long


@pytest.mark.parametrize("locked", ["parent", "store"])
def test_directory_must_be_writable(tmp_path, monkeypatch, locked):
    # os.access is replaced because permissions do not bind the super-user
    store = tmp_path / "a.zarr"
    store.mkdir()
    closed = tmp_path if locked == "parent" else store
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != closed)
    message = refused(check_local_store, store, overwrite=False)
    assert "no permission" in message
    assert repr(str(closed)) in message


def test_overwrite_does_not_remove_where_people_live(tmp_path, monkeypatch):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "a"))
    for path in (inside, tmp_path / "a"):
        check_local_store(path, overwrite=False)
        assert "working directory" in refused(check_local_store, path, overwrite=True)
    monkeypatch.chdir(tmp_path.parent)
    assert "home directory" in refused(check_local_store, tmp_path / "a", overwrite=True)
    check_local_store(inside, overwrite=True)
