"""Several images in one store, and where they lie."""

from __future__ import annotations

import json

import numpy as np
import pytest

import aqz_core as aqz
from tests.support.validators import assert_valid_ngff, validate_with_yaozarrs


def image(key, *, origin=0.0, is_ngff=True):
    return aqz.ArraySettings(
        output_key=key,
        is_ngff=is_ngff,
        data_type="uint8",
        dimensions=[
            aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1),
            aqz.Dimension(name="y", array_size_px=16, chunk_size_px=8, origin=origin),
            aqz.Dimension(name="x", array_size_px=16, chunk_size_px=8, scale=0.5),
        ],
    )


def attributes(store, key=""):
    return json.loads((store / key / "zarr.json").read_text())["attributes"]


def record(store, arrays, **options):
    settings = aqz.StreamSettings(store_path=store, arrays=arrays, bioformats2raw=True, **options)
    with aqz.ZarrStream(settings) as stream:
        for key in settings.get_array_keys():
            stream.append(np.ones((2, 16, 16), "uint8"), key=key)


def test_images_are_listed_in_order(tmp_path):
    store = tmp_path / "run.zarr"
    record(store, [image("right"), image("left"), image("grid/1")])

    assert attributes(store)["ome"] == {"version": "0.5", "bioformats2raw.layout": 3}
    assert attributes(store, "OME")["ome"]["series"] == ["right", "left", "grid/1"]
    validate_with_yaozarrs(store)


def test_images_of_a_later_stream_are_listed_behind(tmp_path):
    store = tmp_path / "run.zarr"
    record(store, [image("a")])
    record(store, [image("b")])

    assert attributes(store, "OME")["ome"]["series"] == ["a", "b"]


def test_zarr_v2_has_the_list_in_its_own_place(tmp_path):
    store = tmp_path / "run.zarr"
    with pytest.warns(DeprecationWarning, match="V2"):
        record(store, [image("a")], version=aqz.ZarrVersion.V2)

    assert json.loads((store / ".zattrs").read_text()) == {"bioformats2raw.layout": 3}
    assert json.loads((store / "OME" / ".zattrs").read_text()) == {"series": ["a"]}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([image("")], "give the array another key"),
        ([image("OME/a")], "give the array another key"),
        ([image("a", is_ngff=False)], "is a plain array"),
    ],
)
def test_what_cannot_be_listed_is_refused(tmp_path, arrays, message):
    settings = aqz.StreamSettings(
        store_path=tmp_path / "run.zarr", arrays=arrays, bioformats2raw=True
    )
    with pytest.raises(aqz.SettingsError, match=message):
        aqz.ZarrStream(settings)


def test_origins_are_translations(tmp_path):
    store = tmp_path / "run.zarr"
    record(store, [image("a", origin=-3.5), image("b")])

    found = attributes(store, "a")["ome"]["multiscales"][0]["datasets"][0]
    assert found["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 1.0, 0.5]},
        {"type": "translation", "translation": [0.0, -3.5, 0.0]},
    ]
    plain = attributes(store, "b")["ome"]["multiscales"][0]["datasets"][0]
    assert len(plain["coordinateTransformations"]) == 1
    assert_valid_ngff(store / "a")


def test_an_origin_must_be_a_number(tmp_path):
    settings = aqz.StreamSettings(
        store_path=tmp_path / "run.zarr", arrays=[image("a", origin=float("nan"))]
    )
    with pytest.raises(aqz.SettingsError, match="origin is nan"):
        aqz.ZarrStream(settings)
