"""Programs written for acquire-zarr: what it takes is taken, what it refuses is refused."""

from __future__ import annotations

import json
import os

import acquire_zarr
import numpy as np
import pytest

import aqz_core
from aqz_core.compat import v0_5

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")


def dimensions(api, size=0, names="tczyx"):
    kinds = {"t": api.DimensionType.TIME, "c": api.DimensionType.CHANNEL}
    return [
        api.Dimension(
            name=name,
            kind=kinds.get(name, api.DimensionType.SPACE),
            array_size_px=4 if position else size,
            chunk_size_px=2 if position else 1,
            shard_size_chunks=1,
        )
        for position, name in enumerate(names)
    ]


def made(api, order, how):
    """Make settings with an order of the axes: by the constructor, or by assignment."""
    if how == "constructor":
        return api.ArraySettings(dimensions=dimensions(api), storage_dimension_order=order)
    array = api.ArraySettings(dimensions=dimensions(api))
    array.storage_dimension_order = order
    return array


@pytest.mark.parametrize("order", [None, [], ["t", "z", "c", "y", "x"], ["t", "c", "z", "x", "y"]])
def test_orders_that_the_peer_takes(order):
    expected = list(made(acquire_zarr, order, "constructor").storage_dimension_order)
    assert made(aqz_core, order, "constructor").storage_dimension_order == expected


@pytest.mark.parametrize("how", ["constructor", "assignment"])
@pytest.mark.parametrize(
    ("order", "words"),
    [
        (["c", "t", "z", "y", "x"], "Transposing dimension 0 ('t') away from position 0"),
        (["x"], "Transposing dimension 0 ('t') away from position 0"),
        (["t", "c", "y", "z", "x"], "The last two dimensions in acquisition order ('y', 'x') must"),
    ],
)
def test_orders_that_the_peer_refuses_when_they_are_set(order, words, how):
    for api in (acquire_zarr, aqz_core):
        with pytest.raises(TypeError) as caught:
            made(api, order, how)
        assert words in str(caught.value)


def test_no_order_is_a_type_error_only_by_assignment():
    for api in (acquire_zarr, aqz_core):
        with pytest.raises(TypeError):
            made(api, None, "assignment")


def test_settings_keep_the_order_they_had():
    array = made(aqz_core, ["t", "z", "c", "y", "x"], "constructor")
    with pytest.raises(TypeError):
        array.storage_dimension_order = ["c", "t", "z", "y", "x"]
    assert array.storage_dimension_order == ["t", "z", "c", "y", "x"]


def old_settings(path, **more):
    array = v0_5.ArraySettings(dimensions=dimensions(v0_5), data_type=np.uint8)
    return v0_5.StreamSettings(store_path=str(path), arrays=[array], **more)


def test_threads_of_0_5_are_those_of_the_machine():
    assert v0_5.StreamSettings().max_threads == os.cpu_count()
    assert aqz_core.StreamSettings().max_threads == acquire_zarr.StreamSettings().max_threads


def test_metadata_of_0_5_may_be_an_attribute_of_the_settings(tmp_path):
    settings = old_settings(tmp_path / "a.zarr")
    settings.custom_metadata = '{"by": "attribute"}'
    stream = v0_5.ZarrStream(settings)
    document = tmp_path / "a.zarr" / "acquire.json"
    assert json.loads(document.read_text()) == {"by": "attribute"}
    # There the attribute had no effect, so that this is the first call.
    assert stream.write_custom_metadata('{"by": "call"}', False) is True
    assert stream.write_custom_metadata('{"by": "second"}', False) is False
    assert json.loads(document.read_text()) == {"by": "call"}
    assert stream.write_custom_metadata('{"by": "third"}', True) is True
    assert json.loads(document.read_text()) == {"by": "third"}
    with pytest.raises(RuntimeError):
        stream.write_custom_metadata("not json", False)
    stream.close()


def test_metadata_of_0_5_that_are_not_json_open_no_stream(tmp_path):
    settings = old_settings(tmp_path / "a.zarr", custom_metadata="{")
    with pytest.raises(RuntimeError, match="JSON"):
        v0_5.ZarrStream(settings)


@pytest.mark.parametrize("size", [0, 20])
@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_memory_is_what_the_recording_needs(tmp_path, size, codec):
    """A recording of a few megabytes does not take a budget for cameras of gigabytes."""
    compression = aqz_core.CompressionSettings(
        compressor=aqz_core.Compressor.BLOSC1, codec=aqz_core.CompressionCodec.BLOSC_LZ4
    )
    array = aqz_core.ArraySettings(
        dimensions=[
            aqz_core.Dimension(
                name="t", kind=aqz_core.DimensionType.TIME, array_size_px=size, chunk_size_px=5
            ),
            aqz_core.Dimension(name="y", array_size_px=48, chunk_size_px=16, shard_size_chunks=1),
            aqz_core.Dimension(name="x", array_size_px=64, chunk_size_px=16, shard_size_chunks=2),
        ],
        data_type=np.uint16,
        compression=compression if codec == "lz4" else None,
    )
    settings = aqz_core.StreamSettings(store_path=tmp_path / "a.zarr", arrays=[array])
    bound = settings.get_maximum_memory_usage()
    assert 5 * 48 * 64 * 2 <= bound < 64 << 20
    largest = 0
    with aqz_core.ZarrStream(settings) as stream:
        for number in range(size or 400):
            stream.append(np.full((48, 64), number, np.uint16))
            largest = max(largest, stream.get_current_memory_usage())
    assert 0 < largest <= bound
