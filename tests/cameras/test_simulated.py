from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.cli.cameras import Camera, SimulatedCamera, frame_number
from aqz_core.errors import SettingsError


def test_it_is_a_camera():
    assert isinstance(SimulatedCamera((16, 16)), Camera)


@given(st.integers(4, 80), st.integers(8, 80), st.integers(0, 2**32 - 1))
def test_frames_have_the_asked_shape_and_carry_their_number(height, width, number):
    frame = SimulatedCamera((height, width)).frame(number)

    assert frame.shape == (height, width)
    assert frame.dtype == np.uint16
    assert frame.flags.c_contiguous
    assert frame_number(frame) == number


def test_frames_come_in_order_and_all_differ():
    frames = list(SimulatedCamera((64, 64)).frames(50))

    assert [frame_number(frame) for frame in frames] == list(range(50))
    unmarked = {frame[8:].tobytes() for frame in frames}
    assert len(unmarked) == 50


def test_the_seed_decides_every_pixel():
    def recording(seed):
        return np.stack(list(SimulatedCamera((48, 64), seed=seed).frames(5)))

    np.testing.assert_array_equal(recording(3), recording(3))
    assert (recording(3) != recording(4)).any()


def test_a_frame_does_not_change_when_the_next_is_made():
    frames = SimulatedCamera((32, 32)).frames(2)
    first = next(frames)
    kept = first.copy()
    next(frames)

    np.testing.assert_array_equal(first, kept)


def test_cells_are_brighter_than_the_background_and_bleach():
    camera = SimulatedCamera((256, 256))
    early, late = camera.frame(0)[8:].astype(float), camera.frame(1200)[8:].astype(float)

    assert early.max() > 3 * np.median(early)
    assert late.max() - np.median(late) < 0.2 * (early.max() - np.median(early))


def test_without_a_count_it_goes_on_until_it_is_closed():
    frames = SimulatedCamera((16, 16)).frames(None)

    assert [frame_number(f) for f in itertools.islice(frames, 5)] == [0, 1, 2, 3, 4]


def test_frames_wait_for_their_time(monkeypatch):
    now = [100.0]
    waits = []

    def sleep(seconds):
        waits.append(round(seconds, 6))
        now[0] += seconds

    monkeypatch.setattr("aqz_core.cli.cameras.simulated.time.monotonic", lambda: now[0])
    monkeypatch.setattr("aqz_core.cli.cameras.simulated.time.sleep", sleep)
    frames = SimulatedCamera((16, 16)).frames(4, interval=0.5)

    next(frames)
    next(frames)
    now[0] += 2.0  # the caller was busy: what is overdue follows at once
    next(frames)
    next(frames)
    assert waits == [0.0, 0.5, 0.0, 0.0]


def test_a_frame_too_small_for_the_mark_is_refused():
    with pytest.raises(SettingsError, match=r"\(4, 7\) is too small"):
        SimulatedCamera((4, 7))
