"""What a stream does when the disk refuses: it says so, stops, and keeps what was published."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import threading
from itertools import count
from math import prod
from time import monotonic

import pytest

import aqz_core as aqz
from aqz_core.errors import AqzError, StorageError
from tests.support.decoders import DECODERS, read_with_zarr_python
from tests.support.finished import stored_files
from tests.support.frames import encoded_frames
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.published import judge_chunks, tally
from tests.support.recorder import RecorderJob, run_recorder

PLAN = ArrayPlan(axes=axes("tyx", (0, 32, 32), (1, 16, 16), (2, 2, 2)), key="img", frames=8)
SHARD_NBYTES = 2 * 32 * 32 * 2
GIVE_UP_SECONDS = 60


def opened(path, *plans, **options):
    return aqz.ZarrStream(settings_for(aqz, StreamPlan(plans or (PLAN,), options), path))


def assert_right_or_missing(store, plan, decoders=DECODERS):
    """Every chunk that can be read is right, in every decoder; return the counts."""
    (expected,) = expected_levels(plan)
    for name, read in decoders.items():
        verdicts = tally(judge_chunks(read(store, plan.key), expected, plan))
        assert verdicts["wrong"] == 0, (name, verdicts)
    return verdicts


def block_a_shard(store, name):
    """Put a directory where a shard will be: even root cannot write there."""
    (store / name).mkdir(parents=True)


def append_until_it_fails(stream, height, width):
    """Append until the error of the writing threads comes back to us."""
    deadline = monotonic() + GIVE_UP_SECONDS
    for number in count():
        assert monotonic() < deadline, f"{number} frames went to a store that cannot be written"
        stream.append(encoded_frames(range(number, number + 1), height, width, "uint16")[0])


# ---- while recording --------------------------------------------------------------------


def test_a_shard_that_cannot_be_written_surfaces_at_close(tmp_path):
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(PLAN)[:4])
    with pytest.raises(StorageError) as caught:
        stream.close()
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, RuntimeError)
    assert not stream.is_active()


def test_a_shard_that_cannot_be_written_surfaces_at_a_later_append(tmp_path):
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    with pytest.raises(StorageError):
        append_until_it_fails(stream, 32, 32)
    with pytest.raises(StorageError):
        stream.append(frames_of(PLAN)[0])
    with pytest.raises(StorageError):
        stream.close()


def test_the_error_says_which_file_and_keeps_its_cause(tmp_path):
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(PLAN)[:4])
    with pytest.raises(StorageError, match="img/c/1/0/0") as caught:
        stream.close()
    causes = []
    cause = caught.value
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    assert any(isinstance(cause, IsADirectoryError) for cause in causes)


def test_a_failure_is_one_line_of_the_log_and_its_origin_for_who_looks_deeper(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "aqz")
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(PLAN)[:4])
    with pytest.raises(StorageError):
        stream.close()
    told, origin = (record for record in caplog.records if record.levelno != logging.INFO)
    assert (told.levelno, told.exc_info) == (logging.ERROR, None)
    assert told.getMessage().startswith("recording failed: ")
    assert "img/c/1/0/0" in told.getMessage()
    assert "\n" not in told.getMessage()
    assert origin.levelno == logging.DEBUG
    assert isinstance(origin.exc_info[1], OSError)


def test_closing_a_failed_stream_again_is_quiet_and_it_stays_closed(tmp_path):
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(PLAN)[:4])
    with pytest.raises(StorageError):
        stream.close()
    stream.close()
    with pytest.raises(AqzError):
        stream.append(frames_of(PLAN)[0])


def test_the_error_surfaces_when_the_block_is_left(tmp_path):
    with pytest.raises(StorageError), opened(tmp_path / "s") as stream:  # noqa: PT012
        block_a_shard(tmp_path / "s", "img/c/1/0/0")
        stream.append(frames_of(PLAN)[:4])


def test_an_error_of_the_block_is_not_hidden_by_one_of_the_store(tmp_path):
    with pytest.raises(ZeroDivisionError), opened(tmp_path / "s") as stream:  # noqa: PT012
        block_a_shard(tmp_path / "s", "img/c/1/0/0")
        stream.append(frames_of(PLAN)[:4])
        raise ZeroDivisionError


def test_a_failure_is_logged_once(tmp_path, caplog):
    caplog.set_level(logging.ERROR, "aqz")
    stream = opened(tmp_path / "s")
    for shard in range(1, 4):
        block_a_shard(tmp_path / "s", f"img/c/{shard}/0/0")
    stream.append(frames_of(PLAN))
    with pytest.raises(StorageError):
        stream.close()
    assert len([record for record in caplog.records if record.name.startswith("aqz")]) == 1


def test_what_was_published_before_a_failure_stays_readable(tmp_path):
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/2/0/0")
    with pytest.raises(StorageError):
        append_until_it_fails(stream, 32, 32)
    with pytest.raises(StorageError):
        stream.close()
    (tmp_path / "s" / "img/c/2/0/0").rmdir()
    plan = ArrayPlan(axes=PLAN.axes, key="img", frames=4)
    shape = read_with_zarr_python(tmp_path / "s", "img").shape
    assert shape[0] <= 4
    assert_right_or_missing(tmp_path / "s", plan)


def test_other_arrays_of_a_failed_stream_keep_what_they_published(tmp_path):
    sound = ArrayPlan(axes=PLAN.axes, key="sound", frames=8, seed=3)
    stream = opened(tmp_path / "s", PLAN, sound)
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(sound), "sound")
    stream.append(frames_of(PLAN)[:4], "img")
    with pytest.raises(StorageError):
        stream.close()
    assert_right_or_missing(tmp_path / "s", sound)


# ---- limits of the machine --------------------------------------------------------------


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_file_size_limit_is_an_error_and_the_store_opens(tmp_path, codec):
    pytest.importorskip("resource", reason="file size limits are a matter of POSIX systems")
    # One shard takes all frames: it grows past the limit after some of them.
    plan = ArrayPlan(
        axes=axes("tyx", (0, 64, 64), (1, 64, 64), (100, 1, 1)), key="img", codec=codec, frames=100
    )
    job = RecorderJob(str(tmp_path / "s"), StreamPlan((plan,)), file_limit=40 * prod((64, 64, 2)))
    outcome = run_recorder(job)
    assert outcome.returncode == 0, outcome.stderr
    assert "StorageError" in outcome.close_error, outcome.stderr
    assert outcome.append_error == [] or "StorageError" in outcome.append_error
    assert_right_or_missing(tmp_path / "s", plan)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 1 MiB; needs root and the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_an_error_and_the_store_opens(small_disk):
    plan = ArrayPlan(axes=axes("tyx", (0, 128, 128), (1, 64, 64), (2, 2, 2)), key="img", frames=100)
    stream = opened(small_disk / "s", plan)
    with pytest.raises(StorageError) as caught:
        append_until_it_fails(stream, 128, 128)
    with pytest.raises(StorageError):
        stream.close()
    counts = assert_right_or_missing(small_disk / "s", plan)
    assert counts["right"] > 0
    assert caught.value.errno == errno.ENOSPC


def test_a_disk_too_small_for_one_layer_of_shards_is_told_at_once(small_disk):
    plan = ArrayPlan(axes=axes("tyx", (0, 512, 512), (1, 512, 512), (16, 1, 1)), key="img")
    with pytest.raises(AqzError, match=r"(?i)disk|space|free"):
        opened(small_disk / "s", plan)


# ---- opening ----------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_store_is_an_error_and_kept(tmp_path):
    (tmp_path / "s").write_text("mine")
    with pytest.raises(AqzError, match="s"):
        opened(tmp_path / "s")
    assert (tmp_path / "s").read_text() == "mine"


def test_a_file_in_the_place_of_the_parent_is_an_error_and_kept(tmp_path):
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(AqzError, match="folder"):
        opened(tmp_path / "folder" / "s")
    assert (tmp_path / "folder").read_text() == "mine"


def test_a_missing_parent_is_an_error_and_not_made(tmp_path):
    with pytest.raises(AqzError, match="nowhere"):
        opened(tmp_path / "nowhere" / "s")
    assert not (tmp_path / "nowhere").exists()


def test_a_budget_that_is_too_small_says_what_would_fit(tmp_path):
    plan = ArrayPlan(axes=axes("tyx", (0, 512, 512), (8, 64, 64), (1, 8, 8)), key="img")
    with pytest.raises(aqz.errors.MemoryBudgetError, match=r"\d"):
        opened(tmp_path / "s", plan, max_memory=100_000)
    assert stored_files(tmp_path) == set()


@pytest.mark.parametrize(
    ("sizes", "chunks", "shards", "advice"),
    [
        ((0, 512, 512), (8, 64, 64), (1, 8, 8), "chunks with fewer planes"),
        ((0, 2**31, 2**31), (1, 2**20, 2**20), (1, 1, 1), "smaller frames"),
        ((0, 16, 16), (1, 16, 16), (10**9, 1, 1), "shards of fewer chunks"),
        ((0, 16, 16), (4, 16, 16), (10**9, 1, 1), "shards of fewer chunks"),
    ],
)
def test_a_budget_that_is_too_small_says_what_would_help(tmp_path, sizes, chunks, shards, advice):
    plan = ArrayPlan(axes=axes("tyx", sizes, chunks, shards), key="img")
    with pytest.raises(aqz.errors.MemoryBudgetError, match=f"se {advice}"):
        opened(tmp_path / "s", plan, max_memory=1_000_000)


def test_a_frame_that_no_machine_holds_is_what_should_be_smaller(tmp_path):
    with pytest.raises(aqz.errors.MemoryBudgetError, match="Use smaller frames"):
        aqz.open_stream(tmp_path / "s", shape=(0, 2**31, 2**31), dtype="uint16")


def assert_threads_end(before):
    """Every thread of the stream ends by itself; readers of the tests have their own."""
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("aqz"):
            thread.join(GIVE_UP_SECONDS)
            assert not thread.is_alive(), thread


def test_opening_that_fails_leaves_no_thread_behind(tmp_path):
    (tmp_path / "s").write_text("mine")
    before = set(threading.enumerate())
    with pytest.raises(AqzError):
        opened(tmp_path / "s")
    assert_threads_end(before)


def test_a_closed_stream_leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    with opened(tmp_path / "s") as stream:
        stream.append(frames_of(PLAN))
    assert_threads_end(before)


def test_a_failed_stream_leaves_no_thread_behind(tmp_path):
    before = set(threading.enumerate())
    stream = opened(tmp_path / "s")
    block_a_shard(tmp_path / "s", "img/c/1/0/0")
    stream.append(frames_of(PLAN))
    with pytest.raises(StorageError):
        stream.close()
    assert_threads_end(before)
