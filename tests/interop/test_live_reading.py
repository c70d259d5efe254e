"""Reading a store that is being recorded, from another process; and one whose recorder was killed.

Recorder and readers are kept in step by pipes: a look is ordered, frames are appended while it
runs, then its answer is read. What a look meets differs from run to run; what it may find does not.
"""

from __future__ import annotations

import pytest

import aqz_core as aqz
from tests.support.decoders import DECODERS
from tests.support.live_reader import LiveJob, live_reader
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.published import judge_chunks, level_keys, tally
from tests.support.recorder import RecorderJob, run_recorder

LOOKS = 15
FRAMES_A_LOOK = 8

ARRAYS = (
    # An index that is rewritten again and again, and shards that are entered many times.
    ArrayPlan(
        axes=axes("tyx", (0, 40, 50), (2, 16, 16), (8, 2, 4)),
        key="many/chunks",
        codec="zstd",
        frames=LOOKS * FRAMES_A_LOOK,
    ),
    ArrayPlan(
        axes=axes("tczyx", (0, 1, 4, 40, 32), (1, 1, 2, 16, 16), (4, 1, 2, 2, 1)),
        key="pyramid",
        method="MEAN",
        frames=LOOKS * FRAMES_A_LOOK,
        seed=1,
    ),
    ArrayPlan(
        axes=axes("tyx", (0, 40, 50), (1, 16, 32)),
        key="files",
        codec="blosc-lz4",
        fill_value=7,
        frames=LOOKS * FRAMES_A_LOOK,
        seed=2,
    ),
)


def assert_nothing_wrong(look):
    """Accept right and missing chunks, and the retries that the documentation tells of."""
    assert look.error is None
    assert look.wrong == 0
    assert look.lost == 0
    assert look.shrunk == 0
    return look


def chunk_count(array):
    """Count the chunks of all levels of an array."""
    return sum(len(judge_chunks(level, level, array)) for level in expected_levels(array))


@pytest.mark.parametrize("decoder", DECODERS)
def test_published_chunks_read_right_while_recording(tmp_path, decoder, monkeypatch):
    # Publish without pause: readers meet indexes and documents while they are rewritten.
    monkeypatch.setattr("aqz_core.recording.publishing.INTERVAL", 0.001)
    plan = StreamPlan(ARRAYS, {"durability": "none"})
    stream = aqz.ZarrStream(settings_for(aqz, plan, tmp_path / "s"))
    with live_reader(LiveJob(str(tmp_path / "s"), decoder, plan)) as reader:
        for start in range(0, LOOKS * FRAMES_A_LOOK, FRAMES_A_LOOK):
            reader.ask()
            for array in plan.arrays:
                for frame in frames_of(array)[start : start + FRAMES_A_LOOK]:
                    stream.append(frame, array.key)
            assert_nothing_wrong(reader.answer())
        seen = 0
        while seen == 0:  # what is complete is published without another append, or a close
            reader.ask()
            seen = assert_nothing_wrong(reader.answer()).right
        reader.ask()
        stream.close()
        assert_nothing_wrong(reader.answer())
        reader.ask()
        last = assert_nothing_wrong(reader.answer())
    assert last.missing == 0
    assert last.retries == 0
    assert last.right == sum(chunk_count(array) for array in plan.arrays)


def test_a_store_opens_in_every_decoder_before_the_first_frame(tmp_path):
    plan = StreamPlan(ARRAYS)
    with aqz.ZarrStream(settings_for(aqz, plan, tmp_path / "s")):
        for array in plan.arrays:
            for key, expected in zip(level_keys(array), expected_levels(array), strict=True):
                for name, read in DECODERS.items():
                    pixels = read(tmp_path / "s", key)
                    assert pixels.shape == (0, *expected.shape[1:]), name
                    assert pixels.dtype == expected.dtype, name


def test_a_killed_recorder_leaves_right_chunks_only(tmp_path):
    plan = StreamPlan(ARRAYS, {"durability": "none"})
    outcome = run_recorder(RecorderJob(str(tmp_path / "s"), plan, ending="kill"))
    assert outcome.returncode == -9, outcome.stderr
    for array in plan.arrays:
        for key, expected in zip(level_keys(array), expected_levels(array), strict=True):
            for name, read in DECODERS.items():
                verdicts = tally(judge_chunks(read(tmp_path / "s", key), expected, array))
                assert verdicts["wrong"] == 0, (name, key, verdicts)
