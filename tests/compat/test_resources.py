"""Threads, log levels, bounds of memory, and the types and numbers that programs rely on."""

from __future__ import annotations

import enum
import logging
from pathlib import Path

import acquire_zarr
import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.planning.stream import worker_count
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

ENUMS = [
    "CompressionCodec",
    "Compressor",
    "DataType",
    "DimensionType",
    "DownsamplingMethod",
    "LogLevel",
    "ZarrVersion",
]


@pytest.mark.parametrize("name", ENUMS)
def test_members_have_the_peers_numbers(name):
    ours, theirs = getattr(aqz, name), getattr(acquire_zarr, name)
    assert issubclass(ours, enum.IntEnum)
    for member, value in theirs.__members__.items():
        assert ours[member] == int(value)
        assert ours(int(value)).name == member


def test_every_name_of_the_peer_is_there():
    public = {name for name in vars(acquire_zarr) if name[0] != "_"} - {"VectorArraySettings"}
    ours = {name for name in public if hasattr(aqz, name)}
    assert public - ours <= {"VectorDimension", "annotations"}


@pytest.mark.parametrize(
    "name",
    [
        "Acquisition",
        "ArraySettings",
        "CompressionSettings",
        "Dimension",
        "FieldOfView",
        "Plate",
        "S3Settings",
        "StreamSettings",
        "Well",
    ],
)
def test_settings_have_the_peers_fields_and_defaults(name):
    ours, theirs = getattr(aqz, name)(), getattr(acquire_zarr, name)()
    fields = {
        field for field in dir(theirs) if field[0] != "_" and not callable(getattr(theirs, field))
    }
    assert fields
    for field in fields - {"array_settings", "shard_size_chunks"}:
        expected = getattr(theirs, field)
        is_list = type(expected).__name__.startswith("Vector")
        actual = getattr(ours, field)
        if isinstance(actual, enum.IntEnum):
            assert (actual.name, int(actual)) == (expected.name, int(expected))
        else:
            assert actual == (list(expected) if is_list else expected), field


@pytest.mark.parametrize(
    "method", ["append", "skip", "close", "is_active", "write_custom_metadata"]
)
def test_streams_have_the_peers_methods(method):
    assert callable(getattr(acquire_zarr.ZarrStream, method))
    assert callable(getattr(aqz.ZarrStream, method))


def test_threads_come_from_settings_or_environment(monkeypatch):
    monkeypatch.setenv("ZARR_MAX_THREADS", "3")
    assert worker_count(0) == 3
    assert worker_count(5) == 5
    for nonsense in ("0", "-1", "many", ""):
        monkeypatch.setenv("ZARR_MAX_THREADS", nonsense)
        assert worker_count(0) >= 1


@pytest.mark.parametrize("threads", [1, 7])
def test_any_number_of_threads_records_the_same(tmp_path, threads):
    plan = ArrayPlan(
        axes=axes("tzyx", (0, 4, 32, 32), (2, 2, 8, 8)), method="MEAN", codec="zstd", frames=40
    )
    options = {"max_threads": threads, "durability": "none"}
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), tmp_path / "s")) as stream:
        stream.append(frames_of(plan))
        assert stream.statistics().frames == 40


def test_log_levels():
    before = aqz.get_log_level()
    try:
        for level in aqz.LogLevel:
            aqz.set_log_level(level)
            assert aqz.get_log_level() is level
        assert not logging.getLogger("aqz").isEnabledFor(logging.CRITICAL)
        with pytest.raises(TypeError):
            aqz.set_log_level(2)
    finally:
        aqz.set_log_level(before)


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
@pytest.mark.parametrize("method", [None, "MEAN"])
def test_bound_of_memory_holds(tmp_path, codec, method):
    plan = ArrayPlan(
        axes=axes("tzyx", (0, 16, 128, 128), (4, 1, 64, 64), (2, 4, 2, 2)),
        codec=codec,
        method=method,
        frames=16 * 24,
    )
    options = {"max_memory": 48 << 20, "durability": "none"}
    stream_settings = settings_for(aqz, StreamPlan((plan,), options), tmp_path / "s")
    assert stream_settings.get_maximum_memory_usage() == 48 << 20
    largest = 0
    with aqz.ZarrStream(stream_settings) as stream:
        for frame in frames_of(plan):
            stream.append(frame)
            largest = max(largest, stream.get_current_memory_usage())
    assert 16 * 4 * 128 * 128 * 2 <= largest <= 48 << 20


def test_a_budget_that_is_too_small_is_refused_before_anything_is_stored(tmp_path):
    plan = ArrayPlan(axes=axes("tzyx", (0, 64, 128, 128), (4, 1, 64, 64)))
    stream_settings = settings_for(aqz, StreamPlan((plan,), {"max_memory": 1000}), tmp_path / "s")
    for call in (stream_settings.get_maximum_memory_usage, lambda: aqz.ZarrStream(stream_settings)):
        with pytest.raises(aqz.MemoryBudgetError, match="max_memory is 1,000 bytes"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_memory_of_nothing_is_refused():
    with pytest.raises(RuntimeError):
        aqz.StreamSettings().get_maximum_memory_usage()


def test_keys_in_the_order_given():
    keys = ["z", "a/b", "", "m"]
    settings = aqz.StreamSettings(arrays=[aqz.ArraySettings(output_key=key) for key in keys])
    assert settings.get_array_keys() == keys
    assert aqz.StreamSettings().get_array_keys() == []


@pytest.mark.parametrize(
    ("given", "name"),
    [(np.uint16, "UINT16"), ("<u2", "UINT16"), (np.dtype("f4"), "FLOAT32"), (int, "INT64")],
)
def test_data_types_as_the_peer_takes_them(given, name):
    ours = aqz.ArraySettings(data_type=given).data_type
    theirs = acquire_zarr.ArraySettings(data_type=given).data_type
    assert ours.name == theirs.name == name


def test_packages_are_typed():
    assert (Path(aqz.__file__).parent / "py.typed").is_file()
