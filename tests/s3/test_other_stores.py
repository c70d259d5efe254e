"""Stores that other fsspec file systems reach, through the memory:// one."""

from __future__ import annotations

import asyncio
import gc
import threading

import fsspec
import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.storage.objects.fsspec_service import FsspecService
from tests.s3.streams import frames, recorded, settings


@pytest.fixture
def url():
    """A place in memory, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    yield "memory://aqz-test/a.zarr"
    if filesystem.exists("/aqz-test"):
        filesystem.rm("/aqz-test", recursive=True)


def test_what_was_recorded_is_read_back(url):
    pixels = frames(40)
    recorded(pixels, url)
    assert np.array_equal(zarr.open_array(url, mode="r")[...], pixels)


def test_pyramid(url):
    pixels = frames(8)
    method = aqz.DownsamplingMethod.DECIMATE
    recorded(pixels, url, is_ngff=True, downsampling_method=method)
    assert np.array_equal(zarr.open_group(url, mode="r")["1"][...], pixels[:, ::2, ::2])


def test_flush_shows_half_full_shards(url):
    pixels = frames(10)
    with aqz.ZarrStream(settings(url, chunk=1, shard=32)) as stream:
        for frame in pixels[:3]:
            stream.append(frame)
        stream.flush()
        assert np.array_equal(zarr.open_array(url, mode="r")[...], pixels[:3])
        for frame in pixels[3:]:
            stream.append(frame)
    assert np.array_equal(zarr.open_array(url, mode="r")[...], pixels)


class Stored:
    """Tells when everything so far has been stored and looked at by the thread that publishes."""

    def __init__(self, nbytes):
        self.nbytes = nbytes
        self.times = 0
        self.twice = threading.Event()

    @aqz.hookimpl
    def aqz_progress(self, event):
        self.times += event.statistics.bytes_written >= self.nbytes
        if self.times > 1:
            self.twice.set()


def test_flush_shows_what_was_stored_before_it(url):
    pixels = frames(3)
    stored = Stored(pixels.nbytes)
    with aqz.ZarrStream(settings(url, chunk=1, shard=32), [stored]) as stream:
        for frame in pixels:
            stream.append(frame)
        assert stored.twice.wait(60)
        stream.flush()
        assert np.array_equal(zarr.open_array(url, mode="r")[...], pixels)


def test_store_is_kept_unless_it_shall_be_overwritten(url):
    recorded(frames(2), url)
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings(url))
    recorded(frames(3, seed=1), url, overwrite=True)
    assert np.array_equal(zarr.open_array(url, mode="r")[...], frames(3, seed=1))


def test_memory_for_whole_shards_is_part_of_the_budget(url):
    with pytest.raises(aqz.MemoryBudgetError):
        aqz.ZarrStream(settings(url, shard=64, max_memory=64 << 20))


def axis(name, kind, size, chunk, shard):
    return aqz.Dimension(
        name=name, kind=kind, array_size_px=size, chunk_size_px=chunk, shard_size_chunks=shard
    )


def small_array(*leading):
    """An array of frames of 64 x 64."""
    space = aqz.DimensionType.SPACE
    plane = [axis("y", space, 64, 64, 1), axis("x", space, 64, 64, 1)]
    return aqz.ArraySettings(dimensions=[*leading, *plane], data_type=np.uint16)


TIME = axis("t", aqz.DimensionType.TIME, 0, 2, 2)


def test_frames_in_any_order(url):
    channels = axis("c", aqz.DimensionType.CHANNEL, 2, 1, 1)
    expected = np.zeros((10, 2), np.uint16)
    with aqz.ZarrStream(
        aqz.StreamSettings(store_path=url, arrays=[small_array(TIME, channels)])
    ) as stream:
        for t in (3, 1, 0, 2, 9):
            for c in (1, 0):
                expected[t, c] = 10 * t + c + 1
                stream.write(np.full((64, 64), expected[t, c], np.uint16), {"t": t, "c": c})
        stream.flush()
        assert np.array_equal(zarr.open_array(url, mode="r")[:, :, 0, 0], expected)
    assert np.array_equal(zarr.open_array(url, mode="r")[:, :, 0, 0], expected)


def test_fields_of_a_plate_in_turn(url):
    def well(column):
        field = aqz.FieldOfView(path="0", acquisition_id=0, array_settings=small_array(TIME))
        return aqz.Well(row_name="A", column_name=column, images=[field])

    plate = aqz.Plate(
        path="plate",
        name="plate",
        row_names=["A"],
        column_names=["1", "2"],
        acquisitions=[aqz.Acquisition(id=0, name="first")],
        wells=[well("1"), well("2")],
    )
    given = aqz.StreamSettings(store_path=url, hcs_plates=[plate])
    with aqz.ZarrStream(given) as stream:
        for t in range(5):
            for number, key in enumerate(given.get_array_keys()):
                stream.append(np.full((64, 64), 10 * t + number, np.uint16), key=key)
    group = zarr.open_group(url, mode="r")
    for number, key in enumerate(given.get_array_keys()):
        assert group[f"{key}/0"][:, 0, 0].tolist() == [10 * t + number for t in range(5)]


def test_a_place_that_is_left_again_keeps_no_session(caplog):
    """The client of http:// has a session, which complains when it is forgotten."""

    async def open_and_close():
        service = FsspecService("http://127.0.0.1:9/a.zarr")
        await service.open()
        await service.close()

    asyncio.run(open_and_close())
    gc.collect()
    assert "Unclosed" not in caplog.text
