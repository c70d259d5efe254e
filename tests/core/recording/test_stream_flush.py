"""After `flush` everything appended is readable, the stream goes on, and nothing piles up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.errors import StreamClosedError, UnknownArrayError
from aqz_core.planning import layout
from tests.support.decoders import DECODERS, read_with_zarr_python
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.strategies import array_plans

MOVIE = axes("tyx", (0, 64, 64), (8, 32, 32), (4, 2, 2))
CODECS = ["none", "blosc-lz4"]


def opened(path, *plans, **options):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(plans, options), path))


def level_0(plan):
    return f"{plan.key}/0".strip("/") if plan.multiscale else plan.key


def stored_nbytes(path):
    """Blocks that files take: holes that no chunk uses count nothing."""
    return sum(file.stat().st_blocks * 512 for file in Path(path).rglob("*") if file.is_file())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), tiny_buffers=st.booleans())
def test_flushing_anywhere_shows_every_frame_and_changes_nothing(
    data, tiny_buffers, tmp_path_factory, monkeypatch
):
    plan = data.draw(array_plans())
    frames = frames_of(plan)
    stops = data.draw(st.sets(st.integers(1, max(1, plan.frames))))
    path = tmp_path_factory.mktemp("flush") / "s"
    with monkeypatch.context() as patch:
        if tiny_buffers:
            for limit in ("MAX_SLAB_NBYTES", "MIN_SLAB_NBYTES", "MAX_PIECE_LAYER_NBYTES"):
                patch.setattr(layout, limit, 4096)
            patch.setattr(layout, "MIN_PIECE_NBYTES", 0)
        stream = opened(path, plan, durability="none")
    with stream:
        for number, frame in enumerate(frames, start=1):
            stream.append(frame)
            if number in stops:
                stream.flush()
                shown = read_with_zarr_python(path, level_0(plan))
                planes = shown.reshape(-1, *plan.frame_shape)
                np.testing.assert_array_equal(planes[:number], frames[:number])
    for level, expected in enumerate(expected_levels(plan)):
        key = f"{plan.key}/{level}".strip("/") if plan.multiscale else plan.key
        np.testing.assert_array_equal(read_with_zarr_python(path, key), expected)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("codec", CODECS)
def test_every_decoder_reads_a_half_full_chunk(tmp_path, decoder, codec):
    plan = ArrayPlan(MOVIE, codec=codec, frames=11)
    frames = frames_of(plan)
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames)
        stream.flush()
        np.testing.assert_array_equal(DECODERS[decoder](tmp_path / "s", ""), frames)


@pytest.mark.parametrize("codec", CODECS)
def test_many_flushes_do_not_grow_the_store(tmp_path, codec):
    plan = ArrayPlan(MOVIE, codec=codec, frames=32)
    frames = frames_of(plan)
    with opened(tmp_path / "often", plan, durability="none") as stream:
        for frame in frames:
            for _ in range(5):
                stream.flush()
            stream.append(frame)
            stream.flush()
    with opened(tmp_path / "never", plan, durability="none") as stream:
        stream.append(frames)
    assert stored_nbytes(tmp_path / "often") < 3 * stored_nbytes(tmp_path / "never")
    np.testing.assert_array_equal(read_with_zarr_python(tmp_path / "often", ""), frames)


def test_flushing_one_array_leaves_the_other_as_it_is(tmp_path):
    plans = [ArrayPlan(MOVIE, key=key, frames=3) for key in "ab"]
    with opened(tmp_path / "s", *plans) as stream:
        for plan in plans:
            stream.append(frames_of(plan), plan.key)
        stream.flush("a")
        assert len(read_with_zarr_python(tmp_path / "s", "a")) == 3
        with pytest.raises(UnknownArrayError, match="'c'"):
            stream.flush("c")


def test_an_image_shows_its_levels_at_a_flush(tmp_path):
    plan = ArrayPlan(MOVIE, method="MEAN", frames=5)
    with opened(tmp_path / "s", plan) as stream:
        stream.append(frames_of(plan))
        stream.flush()
        for level, expected in enumerate(expected_levels(plan)):
            shown = read_with_zarr_python(tmp_path / "s", str(level))
            np.testing.assert_array_equal(shown, expected)


def test_a_closed_stream_cannot_be_flushed(tmp_path):
    stream = opened(tmp_path / "s", ArrayPlan(MOVIE))
    stream.close()
    with pytest.raises(StreamClosedError, match="closed"):
        stream.flush()
