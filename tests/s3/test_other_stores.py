"""Stores that other fsspec file systems reach, through the memory:// one."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
import zarr

import aqz_core as aqz
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


def test_store_is_kept_unless_it_shall_be_overwritten(url):
    recorded(frames(2), url)
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(settings(url))
    recorded(frames(3, seed=1), url, overwrite=True)
    assert np.array_equal(zarr.open_array(url, mode="r")[...], frames(3, seed=1))


def test_memory_for_whole_shards_is_part_of_the_budget(url):
    with pytest.raises(aqz.MemoryBudgetError):
        aqz.ZarrStream(settings(url, shard=64, max_memory=64 << 20))
