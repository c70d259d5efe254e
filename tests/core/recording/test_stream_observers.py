"""Plug-ins that watch a stream: what they are told, and that they cannot harm it."""

from __future__ import annotations

import dataclasses
import logging
import threading

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import StorageError
from tests.support.decoders import read_with_zarr_python
from tests.support.finished import stored_files
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

IMAGE = ArrayPlan(
    axes=axes("tyx", (0, 16, 16), (1, 4, 4), (2, 2, 2)), key="img", method="MEAN", frames=7
)
FILES = ArrayPlan(axes=axes("tyx", (0, 16, 16), (1, 8, 16)), key="files", frames=3)


class Watcher:
    """Keeps every event but progress, in the order they came."""

    def __init__(self):
        self.events = []
        self.progress = []

    @aqz.hookimpl
    def aqz_stream_opened(self, event):
        self.events.append(event)

    @aqz.hookimpl
    def aqz_progress(self, event):
        self.progress.append(event)

    @aqz.hookimpl
    def aqz_shard_written(self, event):
        self.events.append(event)

    @aqz.hookimpl
    def aqz_stream_closed(self, event):
        self.events.append(event)

    @aqz.hookimpl
    def aqz_stream_failed(self, event):
        self.events.append(event)

    def names(self):
        return [type(event).__name__ for event in self.events]


class Broken:
    """Fails at every event."""

    @aqz.hookimpl
    def aqz_stream_opened(self, event):
        raise ZeroDivisionError("opened")

    @aqz.hookimpl
    def aqz_shard_written(self, event):
        raise ZeroDivisionError("shard")

    @aqz.hookimpl
    def aqz_stream_closed(self, event):
        raise ZeroDivisionError("closed")


def opened(path, *plugins, plans=(IMAGE,)):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(plans), path), plugins=plugins)


def test_a_watcher_is_told_everything_in_order(tmp_path):
    watcher = Watcher()
    with opened(tmp_path / "s", watcher, plans=(IMAGE, FILES)) as stream:
        stream.append(frames_of(IMAGE), "img")
        stream.append(frames_of(FILES), "files")
    first, *shards, last = watcher.events
    assert type(first).__name__ == "StreamOpened"
    assert first.array_keys == ("img", "files")
    assert first.store_path.endswith("s")
    assert type(last).__name__ == "StreamClosed"
    assert {type(event).__name__ for event in shards} == {"ShardWritten"}


def test_every_shard_and_chunk_file_is_told_once(tmp_path):
    watcher = Watcher()
    with opened(tmp_path / "s", watcher, plans=(IMAGE, FILES)) as stream:
        stream.append(frames_of(IMAGE), "img")
        stream.append(frames_of(FILES), "files")
    told = sorted(
        (event.path, event.nbytes, event.array_key)
        for event in watcher.events
        if type(event).__name__ == "ShardWritten"
    )
    files = {
        name: (tmp_path / "s" / name).stat().st_size
        for name in stored_files(tmp_path / "s")
        if not name.endswith("zarr.json")
    }
    assert len(told) == len(files)
    for (path, nbytes, key), name in zip(told, sorted(files), strict=True):
        assert path.endswith(name)
        assert nbytes == files[name]
        assert name.startswith(key)


def test_the_report_at_the_end(tmp_path):
    watcher = Watcher()
    with opened(tmp_path / "s", watcher, plans=(IMAGE, FILES)) as stream:
        stream.append(frames_of(IMAGE), "img")
        stream.append(frames_of(FILES), "files")
    report = watcher.events[-1].report
    image, files = report.arrays
    assert (image.key, image.shape, image.frames) == ("img", (7, 16, 16), 7)
    assert image.bytes_in == frames_of(IMAGE).nbytes
    assert (files.key, files.shape, files.frames) == ("files", (3, 16, 16), 3)
    assert report.statistics.frames == 10
    assert report.statistics.dropped == 0


def test_events_cannot_be_changed(tmp_path):
    watcher = Watcher()
    with opened(tmp_path / "s", watcher) as stream:
        stream.append(frames_of(IMAGE))
    for event in watcher.events:
        field = dataclasses.fields(event)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, field, None)


def test_a_watcher_that_fails_disturbs_nobody(tmp_path, caplog):
    caplog.set_level(logging.INFO, "aqz")
    before, after = Watcher(), Watcher()
    with opened(tmp_path / "s", before, Broken(), after) as stream:
        stream.append(frames_of(IMAGE))
    assert before.names() == after.names()
    assert before.names()[0] == "StreamOpened"
    assert before.names()[-1] == "StreamClosed"
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", "img/0"), frames_of(IMAGE))
    assert "Broken" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_watcher_that_hangs_does_not_hold_up_frames(tmp_path):
    released = threading.Event()
    told = []

    class Slow:
        @aqz.hookimpl
        def aqz_stream_opened(self, event):
            released.wait()
            told.append(event)

    with opened(tmp_path / "s", Slow()) as stream:
        for _ in range(50):
            stream.append(frames_of(IMAGE))
        assert told == []
        released.set()
    assert len(told) == 1
    assert read_with_zarr_python(tmp_path / "s", "img/0").shape == (350, 16, 16)


def test_watchers_are_called_on_one_thread_that_is_not_the_callers(tmp_path):
    threads = set()

    class Where:
        @aqz.hookimpl
        def aqz_stream_opened(self, event):
            threads.add(threading.current_thread())

        @aqz.hookimpl
        def aqz_shard_written(self, event):
            threads.add(threading.current_thread())

    with opened(tmp_path / "s", Where()) as stream:
        stream.append(frames_of(IMAGE))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_a_failure_is_told_and_then_nothing_more(tmp_path):
    watcher = Watcher()
    stream = opened(tmp_path / "s", watcher)
    (tmp_path / "s" / "img/0/c/1/0/0").mkdir(parents=True)
    with pytest.raises(StorageError), stream:  # by append or by close, whichever meets it first
        stream.append(frames_of(IMAGE))
    assert watcher.names()[0] == "StreamOpened"
    assert watcher.names().count("StreamFailed") == 1
    assert watcher.names()[-1] == "StreamFailed"
    assert isinstance(watcher.events[-1].error, OSError)


def test_a_hook_may_take_no_argument(tmp_path):
    calls = []

    class Counter:
        @aqz.hookimpl
        def aqz_stream_closed(self):
            calls.append("closed")

    with opened(tmp_path / "s", Counter()) as stream:
        stream.append(frames_of(IMAGE))
    assert calls == ["closed"]


def test_progress_ends_with_the_last_state(tmp_path):
    watcher = Watcher()
    with opened(tmp_path / "s", watcher) as stream:
        stream.append(frames_of(IMAGE))
    assert all(event.statistics.dropped == 0 for event in watcher.progress)
    counts = [event.statistics.frames for event in watcher.progress]
    assert counts == sorted(counts)
