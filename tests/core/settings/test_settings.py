"""Settings: acquire-zarr's vocabulary, checked types, values that compare, copy and pickle."""

from __future__ import annotations

import copy
import enum
import pickle
from pathlib import Path

import attrs
import numpy as np
import pytest

from aqz_core import enums
from aqz_core.codecs import PluginCompression
from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
    ZarrVersion,
)
from aqz_core.errors import SettingsError
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.base import recheck
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings

ALL_CLASSES = [
    Acquisition,
    ArraySettings,
    Channel,
    CompressionSettings,
    Dimension,
    FieldOfView,
    Plate,
    S3Settings,
    StreamSettings,
    Well,
]

# Constructed objects of acquire-zarr 0.10.0; our defaults differ in shard_size_chunks only.
PEER_DEFAULTS = {
    S3Settings: {"endpoint": "", "bucket_name": "", "region": None},
    CompressionSettings: {
        "compressor": Compressor.NONE,
        "codec": CompressionCodec.NONE,
        "level": 1,
        "shuffle": 0,
    },
    Dimension: {
        "name": "",
        "kind": DimensionType.SPACE,
        "unit": None,
        "scale": 1.0,
        "array_size_px": 0,
        "chunk_size_px": 0,
    },
    ArraySettings: {
        "output_key": "",
        "compression": None,
        "dimensions": [],
        "data_type": DataType.UINT8,
        "downsampling_method": None,
        "max_levels": 0,
        "storage_dimension_order": [],
        "is_ngff": False,
    },
    StreamSettings: {
        "store_path": "",
        "s3": None,
        "version": ZarrVersion.V3,
        "max_threads": 0,
        "overwrite": False,
        "arrays": [],
        "hcs_plates": [],
    },
    FieldOfView: {"path": "", "acquisition_id": None, "array_settings": ArraySettings()},
    Well: {"row_name": "", "column_name": "", "images": []},
    Acquisition: {
        "id": 0,
        "name": None,
        "description": None,
        "start_time": None,
        "end_time": None,
    },
    Plate: {
        "path": "",
        "name": "",
        "row_names": [],
        "column_names": [],
        "wells": [],
        "acquisitions": [],
    },
}


def full_settings() -> StreamSettings:
    """Settings in which nearly every field differs from its default."""
    array = ArraySettings(
        output_key="img",
        compression=CompressionSettings(
            compressor=Compressor.BLOSC1, codec=CompressionCodec.BLOSC_ZSTD, level=3, shuffle=2
        ),
        dimensions=[
            Dimension(name="t", kind=DimensionType.TIME, unit="second", chunk_size_px=1),
            Dimension(name="y", array_size_px=64, chunk_size_px=32, shard_size_chunks=2),
            Dimension(name="x", array_size_px=64, chunk_size_px=32, shard_size_chunks=None),
        ],
        data_type="float32",
        downsampling_method=DownsamplingMethod.MEAN,
        max_levels=2,
        storage_dimension_order=["t", 2, 1],
        fill_value=float("nan"),
        channels=[Channel(name="DAPI", color="0000FF", window=(0, 4095))],
    )
    field = FieldOfView(path="f1", acquisition_id=1, array_settings=ArraySettings())
    return StreamSettings(
        store_path="out.zarr",
        s3=S3Settings(bucket_name="bucket", secret="hush", anon=True),
        arrays=[array],
        hcs_plates=[
            Plate(
                path="plate",
                row_names=["A"],
                column_names=["1"],
                wells=[Well(row_name="A", column_name="1", images=[field])],
                acquisitions=[Acquisition(id=1, start_time=1_700_000_000_000)],
            )
        ],
        max_memory=2**30,
        durability="none",
    )


# -- vocabulary ----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", PEER_DEFAULTS, ids=lambda cls: cls.__name__)
def test_defaults_are_the_peers(cls):
    made = cls()
    assert {name: getattr(made, name) for name in PEER_DEFAULTS[cls]} == PEER_DEFAULTS[cls]


def test_own_defaults():
    assert Dimension().shard_size_chunks == 1
    array, stream = ArraySettings(), StreamSettings()
    assert (array.fill_value, array.channels) == (0, [])
    assert (stream.max_memory, stream.durability, stream.live) == (None, "shard", True)
    assert stream.stall_timeout == 120.0
    assert stream.spill is None


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (enums.ZarrVersion, {"V2": 2, "V3": 3}),
        (enums.Compressor, {"NONE": 0, "BLOSC1": 1, "ZSTD": 2}),
        (enums.CompressionCodec, {"NONE": 0, "BLOSC_LZ4": 1, "BLOSC_ZSTD": 2, "ZSTD": 3}),
        (enums.DimensionType, {"SPACE": 0, "CHANNEL": 1, "TIME": 2, "OTHER": 3}),
        (enums.DownsamplingMethod, {"DECIMATE": 1, "MEAN": 2, "MIN": 3, "MAX": 4}),
        (enums.LogLevel, {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "NONE": 4}),
    ],
)
def test_enum_values_are_the_peers(kind, values):
    assert {name: int(kind[name]) for name in values} == values
    assert str(kind(max(values.values()))).startswith(f"{kind.__name__}.")


@pytest.mark.parametrize("cls", ALL_CLASSES)
def test_keywords_only_and_known_ones_only(cls):
    with pytest.raises(TypeError):
        cls("value")
    with pytest.raises(TypeError, match="no_such_keyword"):
        cls(no_such_keyword=1)


# -- data types ----------------------------------------------------------------------------


@pytest.mark.parametrize("member", list(DataType))
def test_data_type_is_found_in_every_spelling(member):
    dtype = member.dtype
    for spelling in (member, dtype, dtype.type, dtype.name, dtype.str):
        assert DataType.of(spelling) is member
    assert dtype.byteorder in "=<|"


def test_python_types_are_data_types():
    assert [DataType.of(kind) for kind in (int, float, bool)] == [
        DataType.INT64,
        DataType.FLOAT64,
        DataType.BOOL,
    ]


@pytest.mark.parametrize(
    "value", ["junk", 3, "complex64", np.dtype("complex64"), "S4", object, "u1,u2", "("]
)
def test_unsupported_data_type_names_the_choices(value):
    with pytest.raises(SettingsError, match="uint16"):
        ArraySettings(data_type=value)
    # acquire-zarr raises ValueError for dtype objects and RuntimeError for others
    assert issubclass(SettingsError, ValueError)
    assert issubclass(SettingsError, RuntimeError)


@pytest.mark.parametrize("value", [">u2", np.dtype(">f8")])
def test_big_endian_is_refused_with_a_remedy(value):
    with pytest.raises(SettingsError, match=r"big-endian.*frame\.astype"):
        ArraySettings(data_type=value)


def test_missing_values_of_the_constructor_only():
    array = ArraySettings(data_type=None, output_key=None)
    assert (array.data_type, array.output_key) == (DataType.UINT8, "")
    with pytest.raises(TypeError, match=r"ArraySettings\.data_type.*None"):
        array.data_type = None
    with pytest.raises(TypeError, match=r"ArraySettings\.output_key.*None"):
        array.output_key = None


# -- checked assignment --------------------------------------------------------------------

WRONG_TYPES = [
    (Dimension, "name", 3),
    (Dimension, "name", None),
    (Dimension, "kind", 9),
    (Dimension, "kind", "space"),
    (Dimension, "kind", DownsamplingMethod.MEAN),
    (Dimension, "kind", True),
    (Dimension, "unit", 1.0),
    (Dimension, "scale", "1"),
    (Dimension, "scale", True),
    (Dimension, "scale", 1j),
    (Dimension, "scale", 10**400),
    (Dimension, "array_size_px", 1.0),
    (Dimension, "array_size_px", True),
    (Dimension, "array_size_px", np.float64(4)),
    (Dimension, "array_size_px", -1),
    (Dimension, "chunk_size_px", 2**32),
    (Dimension, "chunk_size_px", None),
    (Dimension, "shard_size_chunks", -1),
    (CompressionSettings, "compressor", "BLOSC1"),
    (CompressionSettings, "codec", 99),
    (CompressionSettings, "level", 256),
    (CompressionSettings, "shuffle", -1),
    (ArraySettings, "output_key", b"img"),
    (ArraySettings, "compression", Compressor.ZSTD),
    (ArraySettings, "dimensions", None),
    (ArraySettings, "dimensions", Dimension()),
    (ArraySettings, "dimensions", {"x": Dimension()}),
    (ArraySettings, "dimensions", ["x"]),
    (ArraySettings, "downsampling_method", DimensionType.TIME),
    (ArraySettings, "max_levels", -1),
    (ArraySettings, "storage_dimension_order", "tyx"),
    (ArraySettings, "storage_dimension_order", [0.0]),
    (ArraySettings, "is_ngff", "yes"),
    (ArraySettings, "fill_value", "0"),
    (ArraySettings, "channels", ["DAPI"]),
    (Channel, "window", (1, 2, 3)),
    (Channel, "window", "12"),
    (StreamSettings, "store_path", b"out.zarr"),
    (StreamSettings, "store_path", 3),
    (StreamSettings, "s3", "bucket"),
    (StreamSettings, "version", 4),
    (StreamSettings, "max_threads", -1),
    (StreamSettings, "overwrite", 2),
    (StreamSettings, "arrays", [Dimension()]),
    (StreamSettings, "max_memory", 1e9),
    (StreamSettings, "durability", None),
    (StreamSettings, "stall_timeout", None),
    (StreamSettings, "spill", 1),
    (S3Settings, "region", 1),
    (S3Settings, "verify", None),
    (FieldOfView, "array_settings", None),
    (Acquisition, "id", -1),
    (Plate, "row_names", "AB"),
    (Plate, "column_names", [1, 2]),
]


@pytest.mark.parametrize(("cls", "field", "value"), WRONG_TYPES)
def test_wrong_type_is_a_type_error_that_names_the_field(cls, field, value):
    with pytest.raises(TypeError, match=rf"^{cls.__name__}\.{field} must be .+, got "):
        cls(**{field: value})
    made = cls()
    with pytest.raises(TypeError, match=rf"^{cls.__name__}\.{field} must be .+, got "):
        setattr(made, field, value)
    assert made == cls()


@pytest.mark.parametrize(
    ("cls", "field", "value", "stored"),
    [
        (Dimension, "array_size_px", np.uint16(7), 7),
        (Dimension, "array_size_px", 2**32 - 1, 2**32 - 1),
        (Dimension, "scale", np.float32(0.5), 0.5),
        (Dimension, "scale", 2, 2.0),
        (Dimension, "name", np.str_("x"), "x"),
        (Dimension, "shard_size_chunks", None, None),
        (Dimension, "kind", 2, DimensionType.TIME),
        (CompressionSettings, "codec", 3, CompressionCodec.ZSTD),
        (ArraySettings, "data_type", np.uint16, DataType.UINT16),
        (ArraySettings, "downsampling_method", 2, DownsamplingMethod.MEAN),
        (ArraySettings, "storage_dimension_order", ("t", np.int64(1)), ["t", 1]),
        (ArraySettings, "fill_value", np.int16(-3), -3),
        (ArraySettings, "fill_value", np.float32(0.5), 0.5),
        (ArraySettings, "fill_value", np.bool_(True), True),
        (Channel, "window", [0, 255], (0.0, 255.0)),
        (StreamSettings, "store_path", Path("a") / "b", str(Path("a") / "b")),
        (StreamSettings, "overwrite", np.bool_(True), True),
        (StreamSettings, "overwrite", 1, True),
        (StreamSettings, "version", 2, ZarrVersion.V2),
        (S3Settings, "verify", "ca.pem", "ca.pem"),
        (Acquisition, "start_time", 1_700_000_000_000, 1_700_000_000_000),
    ],
)
def test_near_misses_are_converted(cls, field, value, stored):
    made = cls(**{field: value})
    assigned = cls()
    setattr(assigned, field, value)
    for settings in (made, assigned):
        assert getattr(settings, field) == stored
        assert type(getattr(settings, field)) is type(stored)


def test_compression_by_a_plugin_is_accepted():
    compression = PluginCompression("zstd")
    assert ArraySettings(compression=compression).compression is compression


def test_misspelt_setting_suggests_the_right_one():
    dimension = Dimension()
    with pytest.raises(AttributeError, match="did you mean 'shard_size_chunks'"):
        dimension.shard_size_chunk = 2
    with pytest.raises(AttributeError, match=r"there are: .*output_key"):
        ArraySettings().qqq = 2
    with pytest.raises(AttributeError, match="did you mean 'plates'"):
        StreamSettings().plate = []


def test_secrets_are_not_in_repr_or_messages():
    assert "hush" not in repr(S3Settings(key="hush", secret="hush", token="hush"))
    shown = repr(StreamSettings(store_path="ftp://me:hush@host/a"))
    assert shown == "StreamSettings(store_path='ftp://me@host/a')"
    with pytest.raises(TypeError) as caught:
        S3Settings(secret=["hush"])
    assert "hush" not in str(caught.value)


# -- lists ---------------------------------------------------------------------------------


def test_lists_are_live_and_the_settings_own_them():
    mine = [Dimension(name="y")]
    settings = StreamSettings(arrays=(ArraySettings(dimensions=mine),))
    settings.arrays[0].dimensions.append(Dimension(name="x"))
    settings.arrays[0].dimensions[0].chunk_size_px = 8
    assert type(settings.arrays) is list
    assert [d.name for d in settings.arrays[0].dimensions] == ["y", "x"]
    assert settings.arrays[0].dimensions[0].chunk_size_px == 8
    assert [d.name for d in mine] == ["y"]


def test_list_takes_any_iterable():
    array = ArraySettings(dimensions=(Dimension(name=name) for name in "yx"))
    array.channels = iter([Channel(name="a")])
    assert [d.name for d in array.dimensions] == ["y", "x"]
    assert array.channels == [Channel(name="a")]


def test_defaults_are_not_shared():
    StreamSettings().arrays.append(ArraySettings())
    assert StreamSettings().arrays == []
    FieldOfView().array_settings.output_key = "a"
    assert FieldOfView().array_settings.output_key == ""


@pytest.mark.parametrize(
    ("put_in", "place"),
    [
        (lambda s: s.arrays.append("x"), r"StreamSettings\.arrays .*'x'.* position 1"),
        (lambda s: s.arrays[0].dimensions.append(None), r"ArraySettings\.dimensions .*None"),
        (lambda s: s.hcs_plates[0].wells[0].images.append(3), r"Well\.images .*3 \(int\)"),
        (lambda s: s.hcs_plates[0].row_names.append(3), r"Plate\.row_names"),
    ],
)
def test_appended_elements_are_checked_again(put_in, place):
    settings = full_settings()
    recheck(settings)
    put_in(settings)
    with pytest.raises(TypeError, match=place):
        recheck(settings)


# -- aliases and coupled fields ------------------------------------------------------------


def test_type_is_an_alias_of_kind():
    dimension = Dimension(type=DimensionType.CHANNEL)
    assert dimension.kind is dimension.type is DimensionType.CHANNEL
    dimension.type = DimensionType.TIME
    assert dimension.kind is DimensionType.TIME
    with pytest.raises(TypeError, match=r"Dimension\.kind must be"):
        dimension.type = "time"
    both = Dimension(kind=DimensionType.TIME, type=DimensionType.TIME)
    assert both.kind is DimensionType.TIME
    with pytest.raises(TypeError, match=r"kind=DimensionType\.SPACE .* type=DimensionType\.TIME"):
        Dimension(kind=DimensionType.SPACE, type=DimensionType.TIME)


def test_plates_is_an_alias_of_hcs_plates():
    settings = StreamSettings(plates=(Plate(path="p"),))
    assert settings.hcs_plates is settings.plates
    assert settings.plates == [Plate(path="p")]
    settings.plates = [Plate(path="q")]
    assert settings.hcs_plates == [Plate(path="q")]
    assert StreamSettings(plates=[Plate()], hcs_plates=[Plate()]).plates == [Plate()]
    with pytest.raises(TypeError, match="differ"):
        StreamSettings(plates=[Plate(path="p")], hcs_plates=[Plate(path="q")])


@pytest.mark.parametrize("requested", [False, True])
def test_is_ngff_follows_the_downsampling_method(requested):
    array = ArraySettings(is_ngff=requested, downsampling_method=DownsamplingMethod.MEAN)
    assert array.is_ngff
    array.downsampling_method = None
    assert array.is_ngff is requested
    array.is_ngff = True
    assert array.is_ngff
    array.is_ngff = False
    assert not array.is_ngff


def test_array_keys_keep_their_order():
    settings = full_settings()
    settings.arrays = [ArraySettings(output_key=key) for key in (" z/ ", "a//b", "")]
    assert settings.get_array_keys() == ["z", "a/b", "", "plate/A/1/f1"]
    assert StreamSettings().get_array_keys() == []


# -- values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        lambda settings: pickle.loads(pickle.dumps(settings)),
        attrs.evolve,
    ],
    ids=["copy", "deepcopy", "pickle", "evolve"],
)
def test_copies_are_equal(duplicate):
    settings = full_settings()
    twin = duplicate(settings)
    assert twin == settings
    assert twin is not settings
    twin.max_memory = 1
    assert twin != settings
    with pytest.raises(AttributeError):
        twin.unknown = 1


def test_deep_copy_shares_nothing():
    settings = full_settings()
    twin = copy.deepcopy(settings)
    twin.arrays[0].dimensions[0].name = "time"
    twin.hcs_plates[0].wells[0].images[0].array_settings.max_levels = 1
    assert settings == full_settings()
    assert twin != settings


def test_equality_is_by_what_is_recorded():
    mean = DownsamplingMethod.MEAN
    assert ArraySettings(downsampling_method=mean) == ArraySettings(
        downsampling_method=mean, is_ngff=True
    )
    assert ArraySettings(is_ngff=True) != ArraySettings()
    assert Dimension() != Acquisition()
    with pytest.raises(TypeError, match="unhashable"):
        hash(Dimension())


def test_repr_shows_what_differs_from_the_defaults():
    assert repr(StreamSettings()) == "StreamSettings()"
    dimension = Dimension(name="t", kind=DimensionType.TIME, chunk_size_px=1)
    assert repr(dimension) == "Dimension(name='t', kind=DimensionType.TIME, chunk_size_px=1)"
    assert repr(ArraySettings(dimensions=[dimension], is_ngff=True)) == (
        f"ArraySettings(dimensions=[{dimension!r}], is_ngff=True)"
    )


def test_repr_can_be_typed_in_again():
    settings = full_settings()
    settings.arrays[0].fill_value = 0
    settings.s3.secret = None
    names = {cls.__name__: cls for cls in ALL_CLASSES}
    names |= {n: e for n, e in vars(enums).items() if isinstance(e, enum.EnumMeta)}
    assert eval(repr(settings), names) == settings


@pytest.mark.parametrize(
    ("order", "problems"), [([], ["time first"]), ([1, 0, 2, 3], [])], ids=["as given", "on disk"]
)
def test_axes_that_are_no_ngff_image_are_told_in_storage_order(order, problems):
    kinds = (DimensionType.CHANNEL, DimensionType.TIME, DimensionType.SPACE, DimensionType.SPACE)
    array = ArraySettings(
        dimensions=[
            Dimension(name=name, kind=kind, array_size_px=4, chunk_size_px=4)
            for name, kind in zip("ctyx", kinds, strict=True)
        ],
        storage_dimension_order=order,
    )
    told = array.ngff_problems()
    assert len(told) == len(problems)
    assert all(words in text for words, text in zip(problems, told, strict=True))
