"""What a store says after one write that failed, or after a crash at a bad moment."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.chunks.growing_shard import GrowingShard
from tests.core.recording.test_by_index import frame, settings, values


@pytest.mark.parametrize("failing", range(1, 7))
def test_a_flush_that_fails_once_leaves_no_hole(tmp_path, monkeypatch, failing):
    """The n-th index of a flush cannot be written; what the length counts is stored."""
    path = tmp_path / "a.zarr"
    write_index, calls = GrowingShard.write_index, []

    def fails_once(self, *, sync=False):
        calls.append(0)
        if len(calls) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write_index(self, sync=sync)

    stream = aqz.ZarrStream(settings(path, planes=2, chunks=2))
    monkeypatch.setattr(GrowingShard, "write_index", fails_once)

    def append_and_flush():
        for number in range(60):
            stream.append(frame(number + 1))
            if number % 3 == 2:
                stream.flush()

    with pytest.raises(aqz.errors.StorageError):
        append_and_flush()
    with pytest.raises(aqz.errors.StorageError):
        stream.close()
    monkeypatch.undo()
    stored = values(path)
    assert stored == list(range(1, len(stored) + 1))
    with aqz.ZarrStream.resume(path) as stream:
        assert stream.statistics().frames >= len(stored)


CHILD = """
import os, sys
import aqz_core as aqz
from aqz_core.chunks.growing_shard import GrowingShard
from tests.core.recording.test_by_index import frame, settings
begin = GrowingShard.begin
def killed(self):
    begin(self)
    os._exit(0)
GrowingShard.begin = killed
path, size = sys.argv[1], int(sys.argv[2])
stream = aqz.ZarrStream(settings(path, planes=1, chunks=64, size=size))
for number in range(3):
    stream.append(frame(number + 1, size))
stream.flush()
"""


@pytest.mark.parametrize("size", [16, 256])
def test_a_shard_without_a_chunk_is_taken_up_behind_its_indexes(tmp_path, size):
    """Killed between the beginning of a shard and its first chunk."""
    path = tmp_path / "a.zarr"
    subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(size)],
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    with aqz.ZarrStream.resume(path) as stream:
        assert stream.statistics().frames == 0
        for number in range(70):
            stream.append(frame(number + 1, size))
            if number in (4, 66):
                stream.flush()
                assert np.array_equal(values(path), np.arange(1, number + 2))
    assert values(path) == list(range(1, 71))
