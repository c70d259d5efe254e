"""What a crash or a failed write leaves of frames that are not stored as a whole."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.recovery.frame_listing import list_frames
from tests.faults.stopped_disk import Killed, Stop, stopping
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def tiled(store, version, *, sharded):
    array = ArrayPlan(
        axes=axes("tyx", (0, 16, 16), (1, 8, 8), (3, 1, 2) if sharded else None),
        dtype="uint16",
        method="MEAN",
        is_ngff=True,
    )
    return aqz.ZarrStream(settings_for(aqz, StreamPlan((array,), {"version": version}), store))


def tile(number):
    """A frame of 16 x 16 pixels that all tell its number, and their place."""
    return (1000 * (number + 1) + np.arange(256)).reshape(16, 16).astype("uint16")


def names(store):
    return {
        str(path.relative_to(store))
        for path in store.rglob("*")
        if path.is_file() and path.suffix != ".aqz-partial"
    }


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "sharded"),
    [(aqz.ZarrVersion.V2, False), (aqz.ZarrVersion.V3, False), (aqz.ZarrVersion.V3, True)],
)
def test_a_frame_that_a_kill_cut_off_leaves_nothing_behind(tmp_path, version, sharded):
    """At the end, the store holds the files and pixels of one that was never stopped."""
    cut_off = 0
    for after in range(3, 50, 3):
        store, whole = tmp_path / f"{after}", tmp_path / f"{after}-whole"
        stream = tiled(store, version, sharded=sharded)
        with Killed(stream, after), contextlib.suppress(aqz.AqzError):
            for number in range(6):
                stream.append(tile(number))
            stream.flush()
        before = names(store)
        with aqz.ZarrStream.resume(store) as stream:
            taken = stream.statistics().frames
        with tiled(whole, version, sharded=sharded) as stream:
            for number in range(taken):
                stream.append(tile(number))
        assert names(store) == names(whole)
        cut_off += bool(before - names(whole))
        for level in ("0", "1"):
            stored, wanted = (zarr.open_array(root / level)[...] for root in (store, whole))
            np.testing.assert_array_equal(stored, wanted)
    assert cut_off or sharded, "no kill left anything of a frame that was not stored"


def test_whatever_fails_no_frame_is_listed_whose_pixels_are_not_shown(tmp_path):
    counted = Stop("close", -1)
    with stopping(counted):
        _record_stacks(tmp_path / "whole")
    for after in range(counted.done):
        store = tmp_path / f"{after}"
        with stopping(Stop("fail", after)), contextlib.suppress(aqz.AqzError):
            _record_stacks(store)
        if not (store / "zarr.json").exists():
            continue
        stored = zarr.open_array(store)[...]
        for time, z in list_frames(store).written:
            np.testing.assert_array_equal(stored[time, z], tile(2 * time + z))


def _record_stacks(store):
    """Record three stacks of two frames into shards that wait for more when the stream closes."""
    array = ArrayPlan(axes=axes("tzyx", (0, 2, 16, 16), (1, 1, 8, 8), (4, 2, 1, 2)), dtype="uint16")
    with aqz.ZarrStream(
        settings_for(aqz, StreamPlan((array,), {"durability": "shard"}), store)
    ) as stream:
        for number in range(6):
            stream.append(tile(number))
