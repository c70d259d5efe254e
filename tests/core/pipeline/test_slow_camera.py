"""Frames that come slowly can be read soon, although their chunks share a write with others."""

from __future__ import annotations

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.recording import publishing as publisher
from tests.support.decoders import read_with_zarr_python
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for

MOVIE = axes("tyx", (0, 40, 30), (1, 16, 16), (64, 3, 2))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("method", [None, "MEAN"])
@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_every_frame_is_shown_before_the_next_one_comes(tmp_path, monkeypatch, codec, method):
    monkeypatch.setattr(publisher, "INTERVAL", 0.01)
    plan = ArrayPlan(MOVIE, codec=codec, method=method, frames=5)
    frames = frames_of(plan)
    key = "0" if method else ""
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), tmp_path / "s")) as stream:
        for number, frame in enumerate(frames, start=1):
            stream.append(frame)
            stored = frames[:0]
            while len(stored) < number:  # until it was published; the timeout ends a failure
                stored = read_with_zarr_python(tmp_path / "s", key)
            np.testing.assert_array_equal(stored, frames[:number])
    levels = expected_levels(plan)
    for level, expected in enumerate(levels):
        key = str(level) if method else ""
        np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "s", key), expected)
