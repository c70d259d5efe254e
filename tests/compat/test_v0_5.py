"""The vocabulary of acquire-zarr 0.5.1 on the engine of aqz."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest

import aqz_core
from aqz_core.compat import v0_5 as aqz
from tests.support.decoders import DECODERS
from tests.support.finished import read_json, stored_files
from tests.support.frames import encoded_frames

FRAMES = encoded_frames(range(6), 20, 30, "uint16")


def array(**fields):
    return aqz.ArraySettings(
        data_type=np.uint16,
        dimensions=[
            aqz.Dimension(name="t", type=aqz.DimensionType.TIME, chunk_size_px=4),
            aqz.Dimension(name="y", array_size_px=20, chunk_size_px=8),
            aqz.Dimension(name="x", array_size_px=30, chunk_size_px=8),
        ],
        **fields,
    )


def recorded(path, *arrays, metadata=(), **options):
    settings = aqz.StreamSettings(store_path=str(path), arrays=list(arrays), **options)
    stream = aqz.ZarrStream(settings)
    for one in arrays:
        stream.append(FRAMES, one.output_key)
    for text in metadata:
        assert stream.write_custom_metadata(text, True) is True
    stream.close()


def test_defaults_are_those_of_0_5_1():
    settings = aqz.StreamSettings()
    assert settings.version is aqz.ZarrVersion.V2
    assert settings.max_threads == os.cpu_count()
    assert settings.arrays == []
    assert not hasattr(settings, "hcs_plates")
    assert aqz.ArraySettings().downsampling_method is None
    with pytest.raises(TypeError):
        aqz.ArraySettings(is_ngff=True)
    with pytest.raises(TypeError):
        aqz.StreamSettings(hcs_plates=[])


def test_downsampling_methods_count_from_0():
    members = {"DECIMATE": 0, "MEAN": 1, "MIN": 2, "MAX": 3}
    assert {name: int(one) for name, one in aqz.DownsamplingMethod.__members__.items()} == members
    for method in aqz.DownsamplingMethod:
        assert method.newest.name == method.name
    with pytest.raises(TypeError):
        aqz.ArraySettings(downsampling_method=aqz_core.DownsamplingMethod.MEAN)
    with pytest.raises(TypeError):
        aqz_core.ArraySettings(downsampling_method=aqz.DownsamplingMethod.MEAN)


@pytest.mark.parametrize("version", list(aqz.ZarrVersion))
def test_an_empty_key_is_an_image(tmp_path, version):
    recorded(tmp_path / "s", array(), version=version)
    for read in DECODERS.values():
        assert np.array_equal(read(tmp_path / "s", "0"), FRAMES)
    if version is aqz.ZarrVersion.V3:
        ome = read_json(tmp_path / "s/zarr.json")["attributes"]["ome"]
        assert len(ome["multiscales"][0]["datasets"]) == 1


def test_pyramid_of_the_method_that_was_asked_for(tmp_path):
    recorded(tmp_path / "s", array(downsampling_method=aqz.DownsamplingMethod.MIN))
    blocks = FRAMES.reshape(6, 10, 2, 15, 2)
    assert np.array_equal(DECODERS["tensorstore"](tmp_path / "s", "1"), blocks.min((2, 4)))
    assert read_json(tmp_path / "s/.zattrs")["multiscales"][0]["type"] == "local_min"


def test_custom_metadata(tmp_path):
    recorded(tmp_path / "s", array(), metadata=['{"first": [1, 2, 3]}', '{"b": /* why */ 1}'])
    text = (tmp_path / "s/acquire.json").read_text()
    assert json.loads(text) == {"b": 1}


def test_custom_metadata_are_not_replaced_by_accident(tmp_path):
    stream = aqz.ZarrStream(aqz.StreamSettings(store_path=str(tmp_path / "s"), arrays=[array()]))
    stream.write_custom_metadata('{"a": 1}', False)
    assert read_json(tmp_path / "s/acquire.json") == {"a": 1}
    assert stream.write_custom_metadata('{"a": 2}', False) is False
    assert read_json(tmp_path / "s/acquire.json") == {"a": 1}
    for text in ("", "{", "NaN"):
        with pytest.raises(RuntimeError):
            stream.write_custom_metadata(text, True)
    for wrong in ({}, None, b"{}"):
        with pytest.raises(TypeError):
            stream.write_custom_metadata(wrong, True)
    with pytest.raises(TypeError):
        stream.write_custom_metadata("{}", "array")
    stream.close()
    assert read_json(tmp_path / "s/acquire.json") == {"a": 1}


def test_no_metadata_no_file(tmp_path):
    recorded(tmp_path / "s", array(output_key="a"))
    assert "acquire.json" not in stored_files(tmp_path / "s")


def test_three_dimensions_at_least(tmp_path):
    flat = array()
    flat.dimensions = flat.dimensions[1:]
    settings = aqz.StreamSettings(store_path=str(tmp_path / "s"), arrays=[flat])
    with pytest.raises(aqz_core.SettingsError, match="at least 3"):
        aqz.ZarrStream(settings)


def test_no_arrays(tmp_path):
    with pytest.raises(ValueError, match="nothing to record"):
        aqz.ZarrStream(aqz.StreamSettings(store_path=str(tmp_path / "s")))


def test_settings_of_the_other_release_are_refused(tmp_path):
    newest = aqz_core.StreamSettings(store_path=tmp_path / "s", arrays=[array().newest()])
    with pytest.raises(TypeError, match=r"aqz_core\.compat\.v0_5"):
        aqz.ZarrStream(newest)
    with pytest.raises(TypeError, match="not StreamSettings"):
        aqz_core.ZarrStream(aqz.StreamSettings(store_path="s", arrays=[array()]))


def test_faults_of_0_5_1_are_not_reproduced(tmp_path):
    # An empty compression wrote a codec that nothing could read; bounded arrays grew.
    bounded = array(output_key="a", compression=aqz.CompressionSettings())
    bounded.dimensions[0].array_size_px = 6
    settings = aqz.StreamSettings(store_path=str(tmp_path / "s"), arrays=[bounded])
    stream = aqz.ZarrStream(settings)
    stream.append(FRAMES)
    with pytest.raises(aqz_core.OutOfBoundsError):
        stream.append(FRAMES)
    stream.close()
    assert read_json(tmp_path / "s/a/.zarray")["compressor"] is None
    assert np.array_equal(DECODERS["zarrs"](tmp_path / "s", "a"), FRAMES)


def test_v2_is_deprecated_in_the_log_only(tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorded(tmp_path / "s", array())
    assert "Zarr V2 is deprecated" in caplog.text
