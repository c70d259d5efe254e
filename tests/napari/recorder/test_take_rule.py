"""Which frames are recorded: time-lapse, and beginning with the frame that was waited for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import Recorder, RecorderState, TakeRule
from aqz_napari.recorder import take_rule
from aqz_napari.recorder.recorder_life import RecorderLife
from aqz_napari.recorder.take_rule import FrameChoice


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(take_rule, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def taken(rule, clock, times, *, index=None):
    """Return the times of those frames that are recorded."""
    life = RecorderLife()
    life.begin(armed=rule.waits)
    choice = FrameChoice(rule, life)
    found = []
    for moment in times:
        clock.now = 1000.0 + moment
        if choice.takes(np.zeros((2, 2)), index):
            found.append(moment)
    return found


def test_a_time_lapse_takes_a_frame_in_each_interval(clock):
    frames = [0.1 * number for number in range(100)]
    assert taken(TakeRule(every=2), clock, frames) == pytest.approx([0, 2, 4, 6, 8], abs=0.11)


def test_late_frames_do_not_delay_those_that_follow(clock):
    assert taken(TakeRule(every=2), clock, [0, 2.5, 4.1, 6.2, 8]) == [0, 2.5, 4.1, 6.2, 8]


def test_after_a_gap_the_intervals_begin_anew(clock):
    assert taken(TakeRule(every=2), clock, [0, 2, 9, 9.1, 9.2, 11]) == [0, 2, 9, 11]


def test_frames_of_a_plan_are_all_taken(clock):
    assert taken(TakeRule(every=2), clock, [0, 0.1, 0.2], index={"t": 0}) == [0, 0.1, 0.2]


def test_it_begins_when_frames_come_fast_enough(clock):
    slow, fast = [0, 1, 2, 3], [3.02, 3.04, 3.06, 3.08]
    assert taken(TakeRule(from_rate=40), clock, slow + fast) == [3.04, 3.06, 3.08]


@pytest.mark.parametrize("name", ["every", "from_rate"])
def test_what_is_no_rule(name):
    with pytest.raises(ValueError, match=f"{name} of a TakeRule is -1"):
        TakeRule(**{name: -1})


def test_it_begins_with_the_frame_that_is_asked_for(settings, frame_of):
    rule = TakeRule(start_when=lambda frame: frame[0, 0] >= 7 * 4)
    recorder = Recorder(settings(), take_rule=rule)
    with recorder:
        assert recorder.status().is_armed
        accepted = [recorder.push(frame_of(number)) for number in range(10)]
        assert not recorder.status().is_armed
    assert accepted == [False] * 4 + [True] * 6
    assert recorder.state is RecorderState.FINISHED
    assert recorder.report.status.dropped == 0
    stored = aqz.ZarrArrayReader(Path(recorder.store_path) / "0")
    assert stored.shape[0] == 6
    assert np.array_equal(stored.read_plane(0), frame_of(4))


def test_a_condition_that_fails_ends_the_recording_with_its_reason(settings, frame_of):
    recorder = Recorder(settings(), take_rule=TakeRule(start_when=lambda frame: 1 / 0))
    recorder.start()
    assert not recorder.push(frame_of(0))
    report = recorder.wait(20)
    assert "division by zero" in report.status.message
    assert not report.status.was_planned
