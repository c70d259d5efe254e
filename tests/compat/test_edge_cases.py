"""What was seen to go wrong with acquire-zarr, case by case: what happens here instead.

The cases are those of the tables in ``docs/from-acquire-zarr.md``; where the two agree, the test
says what both do.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from tests.support.decoders import DECODERS, read_with_zarr_python
from tests.support.finished import read_json, stored_files
from tests.support.frames import encoded_frames
from tests.support.plans import ArrayPlan, StreamPlan, axes, record, settings_for
from tests.support.validators import assert_valid_ngff

FRAMES = encoded_frames(range(6), 8, 8, "uint16")


def series(key="", frames=0, **fields):
    """A time series of 8 x 8 pixels."""
    return ArrayPlan(axes=axes("tyx", (frames, 8, 8), (2, 4, 4)), key=key, **fields)


def settings(path, *plans, **options):
    return settings_for(aqz, StreamPlan(plans or (series(),), options), path)


def stored(path, frames, *plans):
    """Append, close, and read back."""
    with aqz.ZarrStream(settings(path, *plans)) as stream:
        for part in frames:
            stream.append(part)
    return read_with_zarr_python(path, "")


def refused(path, error, data):
    """Append what is refused, then something right: nothing of the first is stored."""
    with aqz.ZarrStream(settings(path)) as stream:
        with pytest.raises(error) as caught:
            stream.append(data)
        stream.append(FRAMES)
    assert np.array_equal(read_with_zarr_python(path, ""), FRAMES)
    return caught.value


# -- frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        FRAMES.astype(np.int16),  # the same number of bytes
        FRAMES.astype(np.float64),  # would count as four frames each
        FRAMES.astype(np.uint8),
        FRAMES[0].astype(object),  # pointers
        FRAMES[0].astype("M8[s]"),
        [[1, 2], [3, 4]],
        FRAMES.tobytes(),
        None,
    ],
)
def test_data_of_another_type(tmp_path, data):
    error = refused(tmp_path / "s", aqz.FrameTypeError, data)
    assert isinstance(error, TypeError)
    assert "uint16" in str(error)


@pytest.mark.parametrize(
    "data",
    [np.zeros((3, 3), np.uint16), np.zeros((8, 9), np.uint16), np.zeros((2, 64), np.uint16)],
)
def test_frames_of_another_shape(tmp_path, data):
    refused(tmp_path / "s", aqz.FrameShapeError, data)


def test_a_scalar(tmp_path):
    refused(tmp_path / "s", aqz.FrameShapeError, np.array(7, np.uint16))


@pytest.mark.parametrize("shape", [(0,), (0, 8, 8)])
def test_nothing(tmp_path, shape):
    pixels = stored(tmp_path / "s", [np.empty(shape, np.uint16), FRAMES])
    assert np.array_equal(pixels, FRAMES)


@pytest.mark.parametrize(
    "same",
    [
        FRAMES.astype(">u2"),
        np.asfortranarray(FRAMES),
        FRAMES[::-1].copy()[::-1],
        np.repeat(FRAMES, 2, axis=2)[..., ::2],
        FRAMES.transpose(0, 2, 1).copy().transpose(0, 2, 1),
        FRAMES.reshape(2, 3, 8, 8),
        FRAMES.ravel(),
    ],
)
def test_the_same_pixels_in_another_layout(tmp_path, same):
    assert np.array_equal(stored(tmp_path / "s", [same]), FRAMES)


def test_a_frame_broadcast(tmp_path):
    many = np.broadcast_to(FRAMES[0], (5, 8, 8))
    assert np.array_equal(stored(tmp_path / "s", [many]), many)


def test_incomplete_frame_at_the_end(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s"))
    stream.append(FRAMES.ravel()[: 64 * 3 + 5])
    with pytest.warns(aqz.PartialFrameWarning, match="last 10 bytes"):
        stream.close()
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES[:3])


def test_less_than_one_frame(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s"))
    stream.append(FRAMES.ravel()[:5])
    with pytest.warns(aqz.PartialFrameWarning):
        stream.close()
    assert read_with_zarr_python(tmp_path / "s", "").shape == (0, 8, 8)


def test_too_many_frames(tmp_path):
    with aqz.ZarrStream(settings(tmp_path / "s", series(frames=3))) as stream:
        with pytest.raises(aqz.OutOfBoundsError) as caught:
            stream.append(FRAMES)
        assert isinstance(caught.value, RuntimeError)
        stream.append(FRAMES[:3])
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES[:3])


def test_fewer_frames_than_declared(tmp_path):
    assert stored(tmp_path / "s", [FRAMES[:2]], series(frames=5)).shape == (2, 8, 8)


def test_closed_twice_and_used_after(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s"))
    stream.close()
    stream.close()
    assert not stream.is_active()
    for call in (
        lambda: stream.append(FRAMES),
        lambda: stream.skip(2),
        lambda: stream.write_custom_metadata({}),
    ):
        with pytest.raises(aqz.StreamClosedError) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)


def test_unknown_key_and_no_key(tmp_path):
    with aqz.ZarrStream(settings(tmp_path / "s", series("a"), series("b"))) as stream:
        for key in ("zz", None, ""):
            with pytest.raises(aqz.UnknownArrayError, match="'a', 'b'") as caught:
                stream.append(FRAMES, key)
            assert isinstance(caught.value, RuntimeError)
        stream.append(FRAMES, " /a/")


def test_the_root_is_found_by_an_empty_key(tmp_path):
    with aqz.ZarrStream(settings(tmp_path / "s")) as stream:
        stream.append(FRAMES, "")
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES)


def test_four_threads(tmp_path):
    plan = series(frames=200)
    with aqz.ZarrStream(settings(tmp_path / "s", plan)) as stream:

        def append(first):
            for number in range(first, first + 50):
                stream.append(np.full((8, 8), number, np.uint16))

        threads = [threading.Thread(target=append, args=(50 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pixels = read_with_zarr_python(tmp_path / "s", "")
    assert sorted(pixels[:, 0, 0]) == list(range(200))
    assert (pixels == pixels[:, :1, :1]).all()


def test_other_threads_run_while_a_stream_closes(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s", series(codec="zstd", level=3)))
    for _ in range(50):
        stream.append(FRAMES)
    counted = []
    thread = threading.Thread(target=lambda: (stream.close(), counted.append("closed")))
    thread.start()
    while thread.is_alive():
        counted.append("ran")
        thread.join(0.001)
    assert counted.count("closed") == 1


# -- keys and paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys", [("a", "a"), ("a", "/a/"), ("a", "a/b"), ("", "a"), ("a/zarr.json",)]
)
def test_keys_that_exclude_each_other(tmp_path, keys):
    with pytest.raises(aqz.SettingsError, match=r"key|name"):
        aqz.ZarrStream(settings(tmp_path / "s", *map(series, keys)))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "key",
    [
        "a b",
        "é",
        "..",
        "__a",
        "a/../b",
        "zarr.json",
        ".zarray",
        ".zgroup/a",
        "a\\b",
        "Zarr.json",
        "aux",
        "run/CON.raw",
        "lpt1",
        "cells.",
    ],
)
def test_keys_that_no_store_should_hold(tmp_path, key):
    with pytest.raises(aqz.SettingsError, match="rename it"):
        aqz.ZarrStream(settings(tmp_path / "s", series(key)))


@pytest.mark.parametrize(("key", "place"), [("a//b", "a/b"), ("/a/", "a"), ("c", "c"), ("0", "0")])
def test_keys_that_are_fine(tmp_path, key, place):
    with aqz.ZarrStream(settings(tmp_path / "s", series(key))) as stream:
        stream.append(FRAMES)
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", place), FRAMES)


def test_children_of_an_image(tmp_path):
    image = series("img", is_ngff=True)
    record(aqz, StreamPlan((image, series("img/labels"))), tmp_path / "s")
    with pytest.raises(aqz.SettingsError, match="level 0"):
        aqz.ZarrStream(settings(tmp_path / "t", image, series("img/0")))


def test_keys_that_differ_in_case(tmp_path):
    with pytest.raises(aqz.SettingsError, match=r"'A' and 'a' are the same directory on Windows"):
        record(aqz, StreamPlan((series("A", frames=1), series("a", frames=1))), tmp_path / "s")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["", "no/such/parent/s.zarr"])
def test_paths_that_cannot_be(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((aqz.SettingsError, aqz.StorageError)) as caught:
        aqz.ZarrStream(settings(path))
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("form", ["~/s.zarr", "{}/s.zarr/", "file://{}/s.zarr"])
def test_paths_that_the_peer_refuses(tmp_path, form, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    stream_settings = settings("")
    stream_settings.store_path = form.format(tmp_path)
    with aqz.ZarrStream(stream_settings) as stream:
        stream.append(FRAMES)
    assert np.array_equal(read_with_zarr_python(tmp_path / "s.zarr", ""), FRAMES)


def test_a_file_is_in_the_way(tmp_path):
    (tmp_path / "s").write_text("notes")
    with pytest.raises((aqz.SettingsError, aqz.StoreExistsError, aqz.StorageError)):
        aqz.ZarrStream(settings(tmp_path / "s"))
    assert (tmp_path / "s").read_text() == "notes"


def test_smaller_frames_into_the_same_store(tmp_path):
    big = ArrayPlan(axes=axes("tyx", (0, 64, 64), (2, 32, 32)), frames=4)
    record(aqz, StreamPlan((big,)), tmp_path / "s")
    before = stored_files(tmp_path / "s")
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings(tmp_path / "s"))
    assert stored_files(tmp_path / "s") == before
    with aqz.ZarrStream(settings(tmp_path / "s", overwrite=True)) as stream:
        stream.append(FRAMES)
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES)


def test_groups_that_are_there_are_kept(tmp_path):
    record(aqz, StreamPlan((series("g/a", frames=1),)), tmp_path / "s")
    group = tmp_path / "s/g/zarr.json"
    document = json.loads(group.read_text())
    document["attributes"] = {"mine": 1}
    group.write_text(json.dumps(document))
    record(aqz, StreamPlan((series("g/b", frames=1),)), tmp_path / "s")
    assert read_json(group)["attributes"] == {"mine": 1}


def test_store_removed_while_recording(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s"))
    stream.append(FRAMES)
    stream.flush()
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(aqz.StorageError):  # noqa: PT012
        for _ in range(20):
            stream.append(FRAMES)
        stream.close()
    with pytest.raises(aqz.AqzError):
        stream.append(FRAMES)


def test_bucket_and_endpoint_that_cannot_be():
    stream_settings = settings("s")
    stream_settings.s3 = aqz.S3Settings(endpoint="http://localhost:9", bucket_name="b")
    with pytest.raises(aqz.SettingsError, match="bucket_name 'b'"):
        aqz.ZarrStream(stream_settings)


# -- dimensions ------------------------------------------------------------------------------


def test_chunks_larger_than_the_array_and_shards_that_do_not_divide(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (0, 8, 8), (5, 9, 3), (2, 3, 2)))
    with aqz.ZarrStream(settings(tmp_path / "s", plan)) as stream:
        stream.append(FRAMES)
    for read in DECODERS.values():
        assert np.array_equal(read(tmp_path / "s", ""), FRAMES)


def test_single_image(tmp_path):
    plan = ArrayPlan(axes=axes("yx", (8, 8), (4, 4)))
    with aqz.ZarrStream(settings(tmp_path / "s", plan)) as stream:
        stream.append(FRAMES[0])
        with pytest.raises(aqz.OutOfBoundsError, match="it is one image"):
            stream.append(FRAMES[1])
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES[0])


def test_single_image_with_a_pyramid(tmp_path):
    plan = ArrayPlan(axes=axes("yx", (16, 16), (4, 4)), method="MEAN")
    record(aqz, StreamPlan((plan,)), tmp_path / "s")
    assert_valid_ngff(tmp_path / "s")
    assert DECODERS["zarrs"](tmp_path / "s", "1").shape == (8, 8)


def test_one_dimension_and_none(tmp_path):
    stream_settings = settings(tmp_path / "s")
    for keep in (1, 0):
        stream_settings.arrays[0].dimensions = stream_settings.arrays[0].dimensions[:keep]
        with pytest.raises(aqz.SettingsError, match="2 to 8"):
            aqz.ZarrStream(stream_settings)


@pytest.mark.parametrize(
    ("position", "field", "value"),
    [
        (0, "name", ""),
        (0, "chunk_size_px", 0),
        (1, "shard_size_chunks", 0),
        (1, "array_size_px", 0),
        (1, "kind", aqz.DimensionType.CHANNEL),
        (2, "scale", -1.0),
        (2, "name", "y"),
    ],
)
def test_dimensions_that_cannot_be(tmp_path, position, field, value):
    stream_settings = settings(tmp_path / "s")
    setattr(stream_settings.arrays[0].dimensions[position], field, value)
    with pytest.raises(aqz.SettingsError, match="dimension"):
        aqz.ZarrStream(stream_settings)


def test_storage_order_with_a_name_twice(tmp_path):
    stream_settings = settings(tmp_path / "s")
    stream_settings.arrays[0].storage_dimension_order = ["t", "t", "y", "x"]
    with pytest.raises(aqz.SettingsError, match="each"):
        aqz.ZarrStream(stream_settings)


def test_unlimited_stack_with_a_pyramid(tmp_path):
    plan = ArrayPlan(axes=axes("zyx", (0, 16, 16), (2, 4, 4)), method="MAX", frames=7)
    record(aqz, StreamPlan((plan,)), tmp_path / "s")
    assert DECODERS["tensorstore"](tmp_path / "s", "1").shape == (4, 8, 8)
    assert_valid_ngff(tmp_path / "s")


def test_means_of_wide_integers_do_not_overflow(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (0, 8, 8), (1, 4, 4)), dtype="uint32", method="MEAN")
    with aqz.ZarrStream(settings(tmp_path / "s", plan)) as stream:
        stream.append(np.full((8, 8), 2**32 - 1, np.uint32))
    assert (DECODERS["zarrs"](tmp_path / "s", "1") == 2**32 - 1).all()


# -- the store -------------------------------------------------------------------------------


@pytest.mark.parametrize("pyramid", [None, "MEAN"])
def test_no_frame_at_all(tmp_path, pyramid):
    aqz.ZarrStream(settings(tmp_path / "s", series("g/a", method=pyramid))).close()
    key = "g/a/0" if pyramid else "g/a"
    for read in DECODERS.values():
        assert read(tmp_path / "s", key).shape == (0, 8, 8)
    if pyramid:
        assert_valid_ngff(tmp_path / "s/g/a")


def test_chunks_of_zeros(tmp_path):
    assert not stored(tmp_path / "s", [np.zeros((4, 8, 8), np.uint16)]).any()


def test_forgotten_stream(tmp_path):
    stream = aqz.ZarrStream(settings(tmp_path / "s"))
    stream.append(FRAMES)
    with pytest.warns(ResourceWarning, match="not closed"):  # noqa: PT031
        del stream
        gc.collect()
    assert np.array_equal(read_with_zarr_python(tmp_path / "s", ""), FRAMES)


def test_forgotten_at_exit(tmp_path):
    code = (
        "import aqz_core as aqz, numpy as np\n"
        "D = aqz.Dimension\n"
        "dimensions = [D(name=n, array_size_px=s, chunk_size_px=4) for n, s in "
        "zip('zyx', (0, 8, 8))]\n"
        "array = aqz.ArraySettings(data_type='uint16', dimensions=dimensions)\n"
        f"stream = aqz.ZarrStream(aqz.StreamSettings(store_path={str(tmp_path / 's')!r}, "
        "arrays=[array]))\n"
        "stream.append(np.ones((6, 8, 8), 'uint16'))\n"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)
    assert read_with_zarr_python(tmp_path / "s", "").sum() == 6 * 64


@pytest.mark.parametrize(
    "metadata", ["", "{", "NaN", '{"a": NaN}', [1], 3, None, {"ome": 1}, '{"ome": 1}', {"aqz": 1}]
)
def test_custom_metadata_that_cannot_be(tmp_path, metadata):
    with aqz.ZarrStream(settings(tmp_path / "s")) as stream:
        with pytest.raises(aqz.MetadataError):
            stream.write_custom_metadata(metadata)
        with pytest.raises(aqz.MetadataError):
            stream.write_custom_metadata({}, None, "ome")
    assert set(read_json(tmp_path / "s" / "zarr.json")["attributes"]) <= {"aqz"}


def test_module_can_stand_in_for_the_peer(tmp_path):
    code = (
        "import sys, aqz_core\n"
        "sys.modules['acquire_zarr'] = aqz_core\n"
        "import acquire_zarr as aqz\n"
        "from acquire_zarr import ZarrStream, set_log_level, LogLevel\n"
        "set_log_level(LogLevel.ERROR)\n"
        "print(aqz.StreamSettings().version.name, aqz.get_log_level().name)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["V3", "ERROR"]
    assert Path(tmp_path).is_dir()


def test_a_frame_without_columns(tmp_path):
    refused(tmp_path / "s", aqz.FrameShapeError, np.empty((8, 0), np.uint16))
