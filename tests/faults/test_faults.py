"""Every fault of a file system: told at the next call and at `close`; nothing published is lost."""

from __future__ import annotations

import errno
import threading
from time import monotonic

import pytest

from aqz_core.errors import StalledError, StorageError
from aqz_core.recovery import repair_store, validate_store
from tests.faults.faulty_sink import FAULTS, Faults
from tests.faults.recordings import goes_on, record_into, right_frames

TIMES = (5, 14)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", [name for name in FAULTS if name != "store removed"])
def test_a_fault_is_told_and_costs_nothing_that_was_flushed(tmp_path, name, times):
    store = tmp_path / "s"
    faults = FAULTS[name](times, store)
    met = None
    try:
        met = record_into(store, faults, pyramid=times % 2 == 0)
    except StorageError:
        assert faults.struck is not None  # it could not even be opened
    if faults.struck is None:
        pytest.fail(f"{name} after {times} calls never happened; {met}")
    if met is None:
        return
    assert met.error is not None or met.close_error is not None
    if met.error is not None:
        assert met.close_error is not None
    assert met.seconds < 5
    assert right_frames(store) >= met.flushed
    # The cause is gone now.
    first = goes_on(store)
    assert first >= met.flushed
    report = validate_store(store)
    assert report.is_valid
    assert report.state == "complete"


@pytest.mark.parametrize("times", [3, 8])
def test_a_store_that_is_removed_is_told(tmp_path, times):
    store = tmp_path / "s"
    faults = FAULTS["store removed"](times, store)
    met = record_into(store, faults)
    assert met.error is not None
    assert met.close_error is not None
    assert met.seconds < 5


def test_a_write_that_never_returns_is_told_in_time(tmp_path):
    stalls = threading.Event()
    faults = Faults("write", 0, after=8, stalls=stalls)
    begun = monotonic()
    try:
        met = record_into(tmp_path / "s", faults, stall_timeout=0.5)
    finally:
        stalls.set()
    assert isinstance(met.error or met.close_error, StalledError)
    assert monotonic() - begun < 30


def test_repair_finishes_what_a_fault_interrupted(tmp_path):
    store = tmp_path / "s"
    met = record_into(store, Faults("write", errno.EIO, after=20))
    assert validate_store(store).state == "interrupted"
    before = right_frames(store)
    repair_store(store, apply=True)
    assert right_frames(store) >= before >= met.flushed
    assert repair_store(store).actions == ()
