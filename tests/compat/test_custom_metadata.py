"""Both forms of `write_custom_metadata` in one method, told apart."""

from __future__ import annotations

import pytest

import aqz_core as aqz
from tests.support.finished import read_json, stored_files
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

V2, V3 = aqz.ZarrVersion.V2, aqz.ZarrVersion.V3


def opened(path, *keys, version=V3):
    plans = [ArrayPlan(axes=axes("tyx", (0, 4, 4), (1, 4, 4)), key=key) for key in keys]
    options = {"version": version, "durability": "none"}
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(tuple(plans), options), path))


@pytest.mark.parametrize("version", [V2, V3])
@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.write_custom_metadata('{"a": 1}', False),
        lambda stream: stream.write_custom_metadata('{"a": 1}', True),
        lambda stream: stream.write_custom_metadata('{"a": 1}', overwrite=True),
        lambda stream: stream.write_custom_metadata(custom_metadata='{"a": 1}', overwrite=False),
        lambda stream: stream.write_custom_metadata(custom_metadata='{"a": 1}'),
    ],
)
def test_form_of_0_5_1(tmp_path, version, call):
    with opened(tmp_path / "s", "a", "b", version=version) as stream:
        assert call(stream) is True
        assert read_json(tmp_path / "s/acquire.json") == {"a": 1}


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.write_custom_metadata({"k": 1}, "a"),
        lambda stream: stream.write_custom_metadata('{"k": 1}', array_key="a"),
        lambda stream: stream.write_custom_metadata(1, "a", "k"),
        lambda stream: stream.write_custom_metadata("1", "a", metadata_key="k"),
    ],
)
def test_form_of_0_10(tmp_path, call):
    with opened(tmp_path / "s", "a", "b") as stream:
        assert call(stream) is True
        assert read_json(tmp_path / "s/a/zarr.json")["attributes"]["k"] == 1
    assert "acquire.json" not in stored_files(tmp_path / "s")
    assert "k" not in read_json(tmp_path / "s/b/zarr.json")["attributes"]


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.write_custom_metadata("{}", True, "key"),
        lambda stream: stream.write_custom_metadata("{}", "a", overwrite=True),
        lambda stream: stream.write_custom_metadata("{}", True, overwrite=True),
        lambda stream: stream.write_custom_metadata("{}", custom_metadata="{}"),
        lambda stream: stream.write_custom_metadata(overwrite=True),
    ],
)
def test_forms_cannot_be_mixed(tmp_path, call):
    with opened(tmp_path / "s", "a") as stream, pytest.raises(TypeError, match="mixed"):
        call(stream)


def test_v2_has_attributes_and_acquire_json(tmp_path):
    with opened(tmp_path / "s", "a", version=V2) as stream:
        stream.write_custom_metadata({"k": 1})
        stream.write_custom_metadata([1, 2], "a", "list")
    expected = {"k": 1, "list": [1, 2]}
    assert read_json(tmp_path / "s/acquire.json") == expected
    attributes = read_json(tmp_path / "s/a/.zattrs")
    assert {name: attributes[name] for name in expected} == expected


def test_v2_with_several_arrays_tells_them_apart(tmp_path):
    with opened(tmp_path / "s", "a", "g/b", version=V2) as stream:
        stream.write_custom_metadata({"k": 1}, "a")
        stream.write_custom_metadata({"k": 2}, "g/b")
    assert read_json(tmp_path / "s/acquire.json") == {"a": {"k": 1}, "g/b": {"k": 2}}


@pytest.mark.parametrize("name", ["multiscales", "plate", "ome"])
def test_names_of_ngff_0_4_are_reserved_in_v2(tmp_path, name):
    with (
        opened(tmp_path / "s", "a", version=V2) as stream,
        pytest.raises(aqz.MetadataError, match="reserved"),
    ):
        stream.write_custom_metadata({name: 1})
