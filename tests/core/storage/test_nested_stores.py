"""A store inside of another: nobody removes, repairs, resumes or sends what is being recorded."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.recovery import repair_store, validate_store
from aqz_core.storage import lock as store_lock
from aqz_core.storage.lock import StoreLock, is_locked, lock_path
from aqz_core.upload import upload_store
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

OPTIONS = {"shape": (0, 16, 16), "dtype": "u2", "chunks": (4, 16, 16), "shards": (3, 1, 1)}
FRAMES = np.arange(6 * 256, dtype="u2").reshape(6, 16, 16)


def opened(path, key="", version=3):
    """Open a stream for one array."""
    shards = (3, 1, 1) if version == 3 else (1, 1, 1)
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (4, 16, 16), shards), key=key, dtype="uint16")
    options = {"version": aqz.ZarrVersion(version)}
    return aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), path))


@pytest.fixture(params=[2, 3])
def recorded_inside(tmp_path, request):
    """A store that is being recorded, two directories down in another directory."""
    (tmp_path / "run/day").mkdir(parents=True)
    with opened(tmp_path / "run/day/a.zarr", version=request.param) as stream:
        stream.append(FRAMES)
        stream.flush()
        yield tmp_path / "run/day/a.zarr"
    assert validate_store(tmp_path / "run/day/a.zarr").is_valid


@pytest.fixture(params=[2, 3])
def recorded_outside(tmp_path, request):
    """A store that is being recorded, and an array of it."""
    with opened(tmp_path / "b.zarr", "a", request.param) as stream:
        stream.append(FRAMES)
        stream.flush()
        yield tmp_path / "b.zarr/a"
    assert validate_store(tmp_path / "b.zarr").is_valid


@pytest.mark.parametrize("outer", ["run", "run/day"])
def test_what_is_recorded_inside_is_not_removed(recorded_inside, tmp_path, outer):
    for options in ({"overwrite": True}, {}):
        with pytest.raises(aqz.StoreBusyError, match=r"a\.zarr, which is inside of"):
            aqz.open_stream(tmp_path / outer, **OPTIONS, **options)
    assert not lock_path(tmp_path / outer).exists()
    assert is_locked(tmp_path / outer)


def test_what_is_recorded_around_is_left_alone(recorded_outside):
    before = {path: path.read_bytes() for path in recorded_outside.rglob("*") if path.is_file()}
    for use in (
        lambda: aqz.open_stream(recorded_outside, **OPTIONS, overwrite=True),
        lambda: aqz.open_stream(recorded_outside / "new.zarr", **OPTIONS),
        lambda: repair_store(recorded_outside, apply=True),
        lambda: aqz.ZarrStream.resume(recorded_outside),
        lambda: upload_store(recorded_outside, "memory://aqz-nested/a.zarr"),
    ):
        with pytest.raises(aqz.StoreBusyError):
            use()
    assert is_locked(recorded_outside)
    assert "being recorded now" in str(repair_store(recorded_outside))
    after = {path: path.read_bytes() for path in recorded_outside.rglob("*") if path.is_file()}
    assert after == before


def test_neighbours_are_recorded_at_the_same_time(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        aqz.open_stream(tmp_path / "run/a.zarr", **OPTIONS) as one,
        aqz.open_stream(tmp_path / "run/b.zarr", **OPTIONS) as other,
    ):
        one.append(FRAMES)
        other.append(FRAMES)
    aqz.open_stream(tmp_path / "run/a.zarr", **OPTIONS, overwrite=True).close()


def test_a_lock_file_that_a_crash_left_keeps_nobody_away(tmp_path):
    (tmp_path / "run.zarr/inner").mkdir(parents=True)
    for left in (tmp_path / "run.zarr", tmp_path / "run.zarr/inner/a.zarr"):
        lock_path(left).touch()
    lock = StoreLock(tmp_path / "run.zarr")
    lock.release()
    lock = StoreLock(tmp_path / "run.zarr/inner/a.zarr")
    lock.release()


def test_chunks_are_not_looked_through(tmp_path, monkeypatch):
    """Or a resumption would have to list millions of them."""
    with aqz.open_stream(tmp_path / "a.zarr", **OPTIONS, pyramid="mean") as stream:
        stream.append(FRAMES)
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(store_lock.os, "scandir", lambda at: listed.append(at) or scandir(at))
    assert not is_locked(tmp_path / "a.zarr")
    assert listed
    assert not [folder for folder in listed if folder.name == "c"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
def test_no_warning_where_the_store_fails_by_itself(caplog):
    with caplog.at_level(logging.WARNING, "aqz"), pytest.raises(aqz.AqzError):
        aqz.open_stream("/proc/a.zarr", **OPTIONS)
    assert caplog.messages == []


def test_a_warning_where_only_the_lock_fails(tmp_path, caplog, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(store_lock, "_acquire", refuse)
    with caplog.at_level(logging.WARNING, "aqz"):
        aqz.open_stream(tmp_path / "a.zarr", **OPTIONS).close()
    assert "nothing keeps a second process" in caplog.text
