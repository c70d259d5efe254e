"""The documents of a store: groups, arrays, images, and what users add to them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import MetadataError, StreamClosedError, UnknownArrayError
from tests.support.decoders import read_with_zarr_python
from tests.support.finished import read_json
from tests.support.plans import CODECS, ArrayPlan, Axis, StreamPlan, axes, frames_of, settings_for
from tests.support.strategies import DTYPES
from tests.support.validators import assert_valid_ngff

PLAIN = ArrayPlan(axes=axes("tyx", (0, 10, 14), (2, 4, 5), (2, 2, 1)), key="g/h/raw", frames=3)
IMAGE = ArrayPlan(
    axes=(
        Axis("t", "TIME", 0, 1, 2, 0.1, "second"),
        Axis("c", "CHANNEL", 2, 1, 1),
        Axis("z", "SPACE", 3, 1, 1, 2.0, "micrometer"),
        Axis("y", "SPACE", 16, 4, 2, 0.65, "micrometer"),
        Axis("x", "SPACE", 24, 4, 2, 0.65, "micrometer"),
    ),
    key="g/img",
    method="MEAN",
    frames=6,
)


def opened(path, *plans, **options):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(plans, options), path))


def recorded(path, *plans, **options):
    with opened(path, *plans, **options) as stream:
        for plan in plans:
            stream.append(frames_of(plan), plan.key)


def attributes(path, key=""):
    """Attributes without what aqz keeps of the recording itself."""
    return without_state(read_json(path / key / "zarr.json"))["attributes"]


def without_state(document):
    document["attributes"].pop("aqz", None)
    return document


# ---- what a document says ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_document_of_an_array(tmp_path, dtype):
    recorded(tmp_path / "s", ArrayPlan(axes=PLAIN.axes, dtype=dtype, frames=3))
    document = without_state(read_json(tmp_path / "s" / "zarr.json"))
    (codec,) = document.pop("codecs")
    assert document.pop("fill_value") == 0
    assert document.pop("storage_transformers", []) == []
    assert document == {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [3, 10, 14],
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 8, 5]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "attributes": {},
        "dimension_names": ["t", "y", "x"],
    }
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    assert codec == {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [2, 4, 5],
            "codecs": [little],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        },
    }


def test_the_document_of_an_array_without_shards(tmp_path):
    recorded(tmp_path / "s", ArrayPlan(axes=axes("tyx", (0, 10, 14), (2, 4, 5)), frames=3))
    document = read_json(tmp_path / "s" / "zarr.json")
    assert document["chunk_grid"]["configuration"] == {"chunk_shape": [2, 4, 5]}
    assert document["codecs"] == [{"name": "bytes", "configuration": {"endian": "little"}}]


@pytest.mark.parametrize(
    ("codec", "level", "shuffle", "entry"),
    [
        (name, 3, 2, {
            "name": "blosc",
            "configuration": {
                "cname": name.removeprefix("blosc-"),
                "clevel": 3,
                "shuffle": "bitshuffle",
                "typesize": 2,
                "blocksize": 0,
            },
        })
        for name in CODECS
        if name.startswith("blosc")
    ]
    + [
        ("zstd", 5, 0, {"name": "zstd", "configuration": {"level": 5, "checksum": False}}),
        ("gzip", 6, 0, {"name": "gzip", "configuration": {"level": 6}}),
    ],
)  # fmt: skip
def test_the_codec_is_in_the_document(tmp_path, codec, level, shuffle, entry):
    plan = ArrayPlan(axes=PLAIN.axes, codec=codec, level=level, shuffle=shuffle, frames=3)
    recorded(tmp_path / "s", plan)
    sharding = read_json(tmp_path / "s" / "zarr.json")["codecs"][0]["configuration"]
    assert sharding["codecs"][1:] == [entry]


@pytest.mark.parametrize(
    ("dtype", "fill_value", "written"),
    [("uint16", 7, 7), ("int8", -3, -3), ("float32", -1.5, -1.5), ("bool", 1, True)]
    + [("float32", float(value), value) for value in ("NaN", "Infinity", "-Infinity")],
)
def test_the_fill_value_is_in_the_document(tmp_path, dtype, fill_value, written):
    plan = ArrayPlan(axes=PLAIN.axes, dtype=dtype, fill_value=fill_value, frames=3)
    recorded(tmp_path / "s", plan)
    found = read_json(tmp_path / "s" / "zarr.json")["fill_value"]
    assert found == written
    assert isinstance(found, bool) == isinstance(written, bool)


def test_every_group_on_the_way_is_a_group_from_the_first_moment(tmp_path):
    with opened(tmp_path / "s", PLAIN, IMAGE):
        for key in ("", "g", "g/h"):
            document = read_json(tmp_path / "s" / key / "zarr.json")
            assert document["node_type"] == "group", key
            assert document["zarr_format"] == 3, key
        assert read_json(tmp_path / "s/g/h/raw/zarr.json")["node_type"] == "array"
        assert "ome" in attributes(tmp_path / "s", "g/img")


def test_documents_are_indented_text_with_sorted_keys(tmp_path):
    recorded(tmp_path / "s", PLAIN, IMAGE)
    for file in (tmp_path / "s").rglob("zarr.json"):
        text = file.read_text("utf-8")
        assert text == json.dumps(json.loads(text), indent=4, sort_keys=True, ensure_ascii=False)


def test_the_document_of_an_image(tmp_path):
    recorded(tmp_path / "s", IMAGE)
    ome = attributes(tmp_path / "s", "g/img")["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert image["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert [dataset["path"] for dataset in image["datasets"]] == ["0", "1", "2"]
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in image["datasets"]]
    np.testing.assert_allclose(
        scales, [[0.1, 1, 2, 0.65, 0.65], [0.1, 1, 4, 1.3, 1.3], [0.1, 1, 8, 2.6, 2.6]]
    )
    assert image["type"] == "local_mean"
    assert image["metadata"]["method"] == "skimage.transform.downscale_local_mean"
    assert_valid_ngff(tmp_path / "s/g/img")


def test_channels_are_written_for_viewers(tmp_path):
    settings = settings_for(aqz, StreamPlan((IMAGE,)), tmp_path / "s")
    settings.arrays[0].channels = [
        aqz.Channel(name="DAPI", color="0000FF", window=(100, 4000)),
        aqz.Channel(name="GFP", color="00FF00"),
    ]
    with aqz.ZarrStream(settings) as stream:
        stream.append(frames_of(IMAGE))
    first, second = attributes(tmp_path / "s", "g/img")["ome"]["omero"]["channels"]
    assert (first["label"], first["color"]) == ("DAPI", "0000FF")
    assert (first["window"]["start"], first["window"]["end"]) == (100, 4000)
    assert (second["label"], second["color"]) == ("GFP", "00FF00")
    assert_valid_ngff(tmp_path / "s/g/img")


# ---- what others wrote ------------------------------------------------------------------


def test_attributes_of_groups_that_are_there_are_kept(tmp_path):
    for key, note in [("", "root"), ("g", "below")]:
        (tmp_path / "s" / key).mkdir()
        document = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"mine": {"note": note}},
        }
        (tmp_path / "s" / key / "zarr.json").write_text(json.dumps(document))
    recorded(tmp_path / "s", PLAIN, IMAGE)
    assert attributes(tmp_path / "s")["mine"] == {"note": "root"}
    assert attributes(tmp_path / "s", "g")["mine"] == {"note": "below"}


def test_attributes_that_come_while_recording_are_kept(tmp_path):
    with opened(tmp_path / "s", PLAIN) as stream:
        stream.append(frames_of(PLAIN))
        file = tmp_path / "s" / "g" / "zarr.json"
        document = read_json(file)
        document["attributes"]["mine"] = 1
        file.write_text(json.dumps(document))
    assert attributes(tmp_path / "s", "g") == {"mine": 1}


def test_a_second_stream_adds_an_array_to_the_groups_of_the_first(tmp_path):
    with opened(tmp_path / "s", IMAGE) as stream:
        stream.append(frames_of(IMAGE))
        stream.write_custom_metadata({"n": 1})
    before = attributes(tmp_path / "s", "g/img")
    recorded(tmp_path / "s", PLAIN)
    assert attributes(tmp_path / "s", "g/img") == before
    assert_valid_ngff(tmp_path / "s/g/img")
    np.testing.assert_array_equal(
        read_with_zarr_python(tmp_path / "s", "g/h/raw"), frames_of(PLAIN)
    )


# ---- custom metadata --------------------------------------------------------------------


def test_custom_metadata_become_attributes(tmp_path):
    with opened(tmp_path / "s", PLAIN) as stream:
        assert stream.write_custom_metadata({"exposure": 10.5, "lens": {"na": 1.4}}) is True
        stream.append(frames_of(PLAIN))
        stream.write_custom_metadata('{"operator": "Änne", "exposure": 11}')
    assert attributes(tmp_path / "s", "g/h/raw") == {
        "exposure": 11,
        "lens": {"na": 1.4},
        "operator": "Änne",
    }


def test_custom_metadata_under_a_key(tmp_path):
    with opened(tmp_path / "s", PLAIN) as stream:
        stream.write_custom_metadata({"old": True}, metadata_key="camera")
        stream.write_custom_metadata({"gain": 2}, metadata_key="camera")
        stream.write_custom_metadata([1, 2], metadata_key="a/b")
    assert attributes(tmp_path / "s", "g/h/raw") == {"camera": {"gain": 2}, "a/b": [1, 2]}


def test_custom_metadata_of_an_image_are_in_its_group(tmp_path):
    with opened(tmp_path / "s", PLAIN, IMAGE) as stream:
        stream.append(frames_of(IMAGE), "g/img")
        stream.write_custom_metadata({"n": 1}, "g/img")
    found = attributes(tmp_path / "s", "g/img")
    assert found["n"] == 1
    assert "multiscales" in found["ome"]
    assert attributes(tmp_path / "s", "g/img/0") == {}
    assert attributes(tmp_path / "s", "g/h/raw") == {}
    assert_valid_ngff(tmp_path / "s/g/img")


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ("{not json", None),
        ("", None),
        ('{"a": NaN}', None),
        ({"a": float("nan")}, None),
        ({"a": object()}, None),
        ([1, 2], None),
        ("3", None),
        ({"ome": {}}, None),
        ({"a": 1}, "ome"),
    ],
)
def test_custom_metadata_that_cannot_be_stored_are_refused(tmp_path, metadata, key):
    with opened(tmp_path / "s", PLAIN) as stream:
        with pytest.raises(MetadataError):
            stream.write_custom_metadata(metadata, metadata_key=key)
        stream.append(frames_of(PLAIN))
    assert attributes(tmp_path / "s", "g/h/raw") == {}


def test_custom_metadata_for_an_unknown_array_are_refused(tmp_path):
    with opened(tmp_path / "s", PLAIN) as stream, pytest.raises(UnknownArrayError, match="g/h/raw"):
        stream.write_custom_metadata({"a": 1}, "nowhere")


def test_custom_metadata_after_close_are_refused(tmp_path):
    stream = opened(tmp_path / "s", PLAIN)
    stream.close()
    with pytest.raises(StreamClosedError):
        stream.write_custom_metadata({"a": 1})


def test_an_image_with_axes_that_ngff_does_not_know_is_recorded_with_a_warning(tmp_path, caplog):
    plan = ArrayPlan(axes("tpczyx", (0, 2, 1, 1, 8, 8), (1, 1, 1, 1, 8, 8)), is_ngff=True, frames=2)
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), tmp_path / "s")) as stream:
        stream.append(frames_of(plan))
    assert "an NGFF image has 2 to 5 axes, not 6" in caplog.text
    np.testing.assert_array_equal(
        read_with_zarr_python(tmp_path / "s", "0").reshape(-1, 8, 8), frames_of(plan)
    )


@pytest.mark.parametrize("metadata", [{"n": 10**5000}, {"list": [-(10**5000)]}, {10**5000: 1}])
def test_numbers_that_no_reader_takes_leave_the_recording_alone(tmp_path, metadata):
    with opened(tmp_path / "s", PLAIN) as stream:
        frames = frames_of(PLAIN)
        stream.append(frames[:1])
        with pytest.raises(MetadataError, match="digits"):
            stream.write_custom_metadata(metadata, PLAIN.key)
        with pytest.raises(MetadataError, match="digits"):
            stream.append(frames[1], metadata=metadata)
        stream.flush()
        stream.append(frames[1:])
        stream.write_custom_metadata({"n": 10**3000}, PLAIN.key)
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", PLAIN.key), frames)
    assert attributes(tmp_path / "s", PLAIN.key)["n"] == 10**3000
