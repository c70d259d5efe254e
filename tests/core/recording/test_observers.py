"""Telling observers: in order, never in the way, each on its own."""

from __future__ import annotations

import threading

import pytest

from aqz_core.events import (
    Progress,
    ShardWritten,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamReport,
    StreamSpilled,
    StreamStatistics,
)
from aqz_core.plugins import create_plugin_manager, hookimpl
from aqz_core.recording.observers import HOOK_OF_EVENT, EventDispatcher

WAIT = 30  # seconds; reached only when a test fails

OPENED = StreamOpened("store", ("cells",))
CLOSED = StreamClosed(StreamReport("store", (), StreamStatistics()))
FAILED = StreamFailed(OSError("disk full"))
SPILLED = StreamSpilled(OSError("no connection"), "spill")


def shard(number):
    return ShardWritten("cells", 0, f"c/{number}", 4096, 1)


def progress(frames):
    return Progress(StreamStatistics(frames=frames))


class Recorder:
    """Keeps every event; can be held up in the middle of one."""

    def __init__(self, held=False):
        self.events = []
        self.entered = threading.Event()
        self.released = threading.Event()
        if not held:
            self.released.set()

    def note(self, event):
        self.events.append(event)
        self.entered.set()
        assert self.released.wait(WAIT)

    @hookimpl
    def aqz_stream_opened(self, event):
        self.note(event)

    @hookimpl
    def aqz_progress(self, event):
        self.note(event)

    @hookimpl
    def aqz_shard_written(self, event):
        self.note(event)

    @hookimpl
    def aqz_stream_spilled(self, event):
        self.note(event)

    @hookimpl
    def aqz_stream_closed(self, event):
        self.note(event)

    @hookimpl
    def aqz_stream_failed(self, event):
        self.note(event)


class Broken:
    """Fails at every shard."""

    def __init__(self, error):
        self.error = error

    @hookimpl
    def aqz_shard_written(self, event):
        raise self.error


def dispatch(*plugins):
    return EventDispatcher(create_plugin_manager(plugins, load_entry_points=False))


def test_every_kind_of_event_reaches_its_hook_in_order():
    recorder = Recorder()
    dispatcher = dispatch(recorder)
    events = [OPENED, progress(1), shard(0), SPILLED, FAILED, CLOSED]
    assert {type(event) for event in events} == set(HOOK_OF_EVENT)
    for event in events:
        dispatcher.publish(event)
    assert dispatcher.close(WAIT)
    assert recorder.events == events


def test_observers_are_called_off_the_publishing_thread():
    threads = []

    class Here:
        @hookimpl
        def aqz_stream_opened(self):
            threads.append(threading.current_thread())

    dispatcher = dispatch(Here())
    dispatcher.publish(OPENED)
    assert dispatcher.close(WAIT)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def test_a_slow_observer_misses_progress_but_nothing_else():
    recorder = Recorder(held=True)
    dispatcher = dispatch(recorder)
    dispatcher.publish(OPENED)
    assert recorder.entered.wait(WAIT)
    for number in range(1000):  # returns at once although the observer is held
        dispatcher.publish(progress(number))
        dispatcher.publish(shard(number))
    dispatcher.publish(progress(1000))
    recorder.released.set()
    assert dispatcher.close(WAIT)
    assert recorder.events == [OPENED, *(shard(n) for n in range(1000)), progress(1000)]


@pytest.mark.parametrize("error", [ValueError("odd shard"), SystemExit(1)])
def test_an_observer_that_fails_is_logged_once_and_disturbs_nobody(error, caplog):
    before, after = Recorder(), Recorder()
    dispatcher = dispatch(before, Broken(error), after)
    events = [shard(number) for number in range(3)]
    for event in events:
        dispatcher.publish(event)
    assert dispatcher.close(WAIT)

    assert before.events == after.events == events
    first, last = [record for record in caplog.records if record.name == "aqz"]
    assert (
        "observer aqz_shard_written of plug-in 'Broken' (passed in plugins=) failed"
        in first.getMessage()
    )
    assert first.exc_info[1] is error
    assert (
        last.getMessage()
        == "observer aqz_shard_written of plug-in 'Broken' (passed in plugins=) failed 3 times"
    )


def test_a_stuck_observer_is_named_and_given_up(caplog):
    recorder = Recorder(held=True)
    dispatcher = dispatch(recorder)
    dispatcher.publish(OPENED)
    assert recorder.entered.wait(WAIT)
    dispatcher.publish(shard(0))
    dispatcher.publish(CLOSED)

    assert not dispatcher.close(timeout=0.01)

    assert [record.getMessage() for record in caplog.records if record.name == "aqz"] == [
        "observer aqz_stream_opened of plug-in 'Recorder' (passed in plugins=) is still busy "
        "0.01 s after close; 2 events behind it are not delivered"
    ]
    recorder.released.set()
    assert not dispatcher.close(WAIT)
    assert recorder.events == [OPENED]
    assert len(caplog.records) == 1


def test_no_thread_is_started_when_nobody_observes():
    before = threading.active_count()
    dispatcher = dispatch()
    dispatcher.publish(OPENED)
    assert threading.active_count() == before
    assert not dispatcher.observes(Progress)
    assert dispatcher.close()


def test_only_observed_events_are_worth_making():
    dispatcher = dispatch(Broken(ValueError()))
    assert dispatcher.observes(ShardWritten)
    assert not dispatcher.observes(Progress)
    dispatcher.publish(progress(1))
    assert dispatcher.close(WAIT)


def test_closing_again_and_publishing_late_is_harmless():
    recorder = Recorder()
    dispatcher = dispatch(recorder)
    assert dispatcher.close(WAIT)
    dispatcher.publish(OPENED)
    assert dispatcher.close(WAIT)
    assert recorder.events == []


def test_an_observer_may_close_the_dispatcher():
    done = threading.Event()

    class Closer:
        @hookimpl
        def aqz_stream_opened(self):
            assert dispatcher.close(WAIT)
            done.set()

    dispatcher = dispatch(Closer())
    dispatcher.publish(OPENED)
    assert done.wait(WAIT)
    assert dispatcher.close(WAIT)
