"""Config files: what one writer wrote the other reads, and errors that say where the fault is."""

from __future__ import annotations

import json
import math

import acquire_zarr
import pytest
from hypothesis import HealthCheck, given, settings

import aqz_core as aqz
from tests.compat.settings_strategies import stream_settings

FEW = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

MINIMAL = """\
store_path: out.zarr
arrays:
  - data_type: uint16
    output_key: img
    dimensions:
      - {name: t, type: time, array_size_px: 0, chunk_size_px: 1}
      - {name: y, type: space, array_size_px: 8, chunk_size_px: 4}
      - {name: x, type: space, array_size_px: 8, chunk_size_px: 4}
"""


@FEW
@given(stream_settings())
def test_both_writers_describe_the_same_settings_equally(make):
    theirs = make(acquire_zarr).to_dict()
    plates = theirs.get("plates", ())
    fields = [
        image["array"] for plate in plates for well in plate["wells"] for image in well["images"]
    ]
    for array in [*theirs["arrays"], *fields]:
        if array.get("max_levels") == 0:  # written or not, it means no limit
            del array["max_levels"]
    assert make(aqz).to_dict() == theirs


@FEW
@given(stream_settings())
def test_what_aqz_wrote_acquire_zarr_reads(make):
    ours, theirs = make(aqz), make(acquire_zarr)
    for text in (ours.to_yaml(), ours.to_json()):
        assert acquire_zarr.StreamSettings.from_string(text).to_dict() == theirs.to_dict()


@FEW
@given(stream_settings())
def test_what_acquire_zarr_wrote_aqz_reads(make):
    ours, theirs = make(aqz), make(acquire_zarr)
    for text in (theirs.to_yaml(), theirs.to_json()):
        assert aqz.StreamSettings.from_string(text) == ours
    assert aqz.StreamSettings.from_dict(theirs.to_dict()) == ours


@pytest.mark.parametrize("name", ["s.yaml", "s.json", "s.txt"])
def test_files_are_exchanged_in_both_directions(tmp_path, name):
    ours = aqz.StreamSettings.from_string(MINIMAL)
    ours.to_file(tmp_path / name)
    theirs = acquire_zarr.StreamSettings.from_file(str(tmp_path / name))
    theirs.to_file(str(tmp_path / f"back-{name}"))
    assert aqz.StreamSettings.from_file(tmp_path / f"back-{name}") == ours
    assert (tmp_path / name).read_text().startswith("{") == name.endswith(".json")


def test_settings_that_only_aqz_has_come_back():
    ours = aqz.StreamSettings.from_string(MINIMAL)
    ours.version = aqz.ZarrVersion.V2
    ours.max_memory = 2**30
    ours.durability = "none"
    ours.live = False
    ours.stall_timeout = 3.5
    ours.spill = "~/spill"
    (array,) = ours.arrays
    array.data_type = "float16"
    array.fill_value = math.nan
    array.is_ngff = True
    array.channels = [aqz.Channel(name="DAPI", color="0000FF", window=(0, 9))]
    array.compression = aqz.CompressionSettings(
        compressor=aqz.Compressor.BLOSC1, codec=aqz.CompressionCodec.BLOSC_LZ4HC
    )
    for dimension in array.dimensions:
        dimension.shard_size_chunks = None
    assert aqz.StreamSettings.from_string(ours.to_yaml()) == ours
    assert aqz.StreamSettings.from_string(ours.to_json()) == ours
    json.loads(ours.to_json(), parse_constant=pytest.fail)


def test_compression_of_a_plugin_comes_back():
    ours = aqz.StreamSettings.from_string(MINIMAL)
    ours.arrays[0].compression = aqz.PluginCompression("mine", {"level": 3})
    (array,) = aqz.StreamSettings.from_string(ours.to_yaml()).arrays
    assert array.compression == aqz.PluginCompression("mine", {"level": 3})


def test_secrets_are_not_written():
    ours = aqz.StreamSettings.from_string(MINIMAL)
    ours.s3 = aqz.S3Settings(
        endpoint="http://h", bucket_name="bkt", key="AK", secret="hidden", token="hidden"
    )
    assert "hidden" not in ours.to_yaml() + ours.to_json()
    assert "AK" not in ours.to_yaml()


def test_passwords_of_urls_are_not_written(tmp_path):
    given = aqz.StreamSettings.from_string(MINIMAL)
    given.store_path = "ftp://me:hunter2@host/a.zarr"
    for name in ("a.json", "a.yaml"):
        given.to_file(tmp_path / name)
        read = aqz.StreamSettings.from_file(tmp_path / name)
        assert read.store_path == "ftp://me@host/a.zarr"
    texts = [str(given.to_dict()), given.to_json(), given.to_yaml()]
    texts += [path.read_text() for path in tmp_path.iterdir()]
    assert not [text for text in texts if "hunter2" in text]
    assert given.store_path == "ftp://me:hunter2@host/a.zarr"


def test_schema_version_1_said_multiscale():
    text = MINIMAL.replace("    output_key: img\n", "    multiscale: true\n") + "version: 1\n"
    assert aqz.StreamSettings.from_string(text).arrays[0].is_ngff
    assert (
        acquire_zarr.StreamSettings.from_string(
            text.replace("chunk_size_px: 1}", "chunk_size_px: 1, shard_size_chunks: 1}").replace(
                "chunk_size_px: 4}", "chunk_size_px: 4, shard_size_chunks: 1}"
            )
        )
        .arrays[0]
        .is_ngff
    )


def test_storage_order_is_read_as_positions_or_names():
    for order in ("0, 2, 1", "t, x, y"):
        line = f"    storage_dimension_order: [{order}]\n"
        text = MINIMAL.replace("    output_key: img\n", line)
        (array,) = aqz.StreamSettings.from_string(text).arrays
        assert array.storage_dimension_order == ["t", "x", "y"]


def test_null_counts_as_left_out():
    text = MINIMAL + "s3: null\nmax_memory:\n"
    assert aqz.StreamSettings.from_string(text) == aqz.StreamSettings.from_string(MINIMAL)


def test_json_with_tabs():
    document = aqz.StreamSettings.from_string(MINIMAL).to_dict()
    text = json.dumps(document, indent="\t")
    assert aqz.StreamSettings.from_string(text) == aqz.StreamSettings.from_dict(document)


BAD = [
    ("", "needed, as a mapping"),
    ("- 1\n", "got a list"),
    ("a: [\n", "neither YAML nor JSON"),
    ("store_path: x\n", "neither arrays nor plates"),
    (MINIMAL.replace("store_path: out.zarr\n", ""), "'store_path' is missing"),
    (MINIMAL.replace("data_type", "data_typ"), "line 3: arrays[0]: there is no field 'data_typ'"),
    (MINIMAL.replace("data_type", "data_typ"), "did you mean 'data_type'?"),
    (MINIMAL.replace("uint16", "uint17"), "line 3: arrays[0].data_type: 'uint17'"),
    (MINIMAL.replace("uint16", "uint17"), "did you mean 'uint16'?"),
    (MINIMAL.replace("type: time", "type: tine"), "did you mean 'time'?"),
    (MINIMAL.replace("array_size_px: 8", "array_size_px: -8"), "line 7: arrays[0].dimensions[1]"),
    (MINIMAL.replace("array_size_px: 8", "array_size_px: -8"), "got -8"),
    (MINIMAL.replace("array_size_px: 8", "array_size_px: many"), "got 'many'"),
    (MINIMAL + "overwrite: maybe\n", "line 9: overwrite: StreamSettings.overwrite"),
    (MINIMAL + "version: 3\n", "config version 3 is not known"),
    (MINIMAL + "overwite: true\n", "did you mean 'overwrite'?"),
    (MINIMAL + "overwrite: true\noverwrite: false\n", "line 10: 'overwrite' is given twice"),
    (MINIMAL + "plates: &a [*a]\n", "does an alias hold itself?"),
    (MINIMAL.replace("[0, 1]", "x") + "arrays2: 1\n", "did you mean 'arrays'?"),
]


@pytest.mark.parametrize(("text", "part"), BAD)
def test_what_is_no_config(tmp_path, text, part):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(aqz.SettingsError) as caught:
        aqz.StreamSettings.from_file(file)
    assert str(caught.value).startswith(str(file))
    assert part in str(caught.value)
    with pytest.raises(ValueError):  # noqa: PT011 - what programs for acquire-zarr catch
        aqz.StreamSettings.from_string(text)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(aqz.StorageError, match=r"nowhere\.yaml"):
        aqz.StreamSettings.from_file(tmp_path / "nowhere.yaml")


def test_wrong_kinds_of_input():
    with pytest.raises(TypeError, match="from_string takes text"):
        aqz.StreamSettings.from_string({})
    with pytest.raises(TypeError, match="from_dict takes a mapping"):
        aqz.StreamSettings.from_dict(MINIMAL)
