"""A recording is followed while another process makes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aqz_core as aqz

RECORDER = """
import os, sys
import numpy as np
import aqz_core as aqz

path, ending = sys.argv[1:]
stream = aqz.open_stream(
    path, shape=(0, 2, 16, 16), dtype="uint16", axes="tcyx",
    chunks=(1, 1, 16, 16), shards=(4, 2, 1, 1),
)
def append(first, stop):
    for number in range(first, stop):
        stream.append(np.full((16, 16), number + 1, np.uint16), metadata={"n": number})
    stream.flush()
append(0, 4)
print("ready", flush=True)
sys.stdin.readline()  # the other one has seen these
append(4, 12)
if ending == "kill":
    os._exit(9)
stream.close()
"""


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_every_frame_is_seen_once_until_the_recording_ends(tmp_path, ending):
    path = tmp_path / "a.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(path), ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as recorder:
        assert recorder.stdout.readline() == "ready\n"
        live = aqz.open_dataset(path)
        assert live.image().state == "recording"
        assert (live.wait_for(t=1, c=1) == 4).all()
        seen = []
        for frame in live.follow(timeout=60):
            number = 2 * frame.index["t"] + frame.index["c"]
            assert (frame.read() == number + 1).all()
            assert frame.metadata() == {"n": number}
            seen.append(number)
            if len(seen) == 4:
                recorder.stdin.write("\n")
                recorder.stdin.flush()
        recorder.wait(60)
    assert seen == list(range(12))
    assert live.image().state == {"close": "complete", "kill": "interrupted"}[ending]
    with pytest.raises(aqz.FrameMissingError, match="has ended without the frame at t=6, c=0"):
        live.wait_for(t=6, c=0)
    assert live.image().sizes["t"] == 6


def test_it_does_not_wait_for_ever(tmp_path):
    with aqz.open_stream(tmp_path / "a.zarr", shape=(0, 8, 8), dtype="uint8", axes="tyx") as stream:
        live = aqz.open_dataset(tmp_path / "a.zarr")
        with pytest.raises(aqz.errors.StalledError, match="did not come in 0 s"):
            live.wait_for(t=0, timeout=0)
        with pytest.raises(aqz.errors.StalledError, match="no new frame could be read for 0 sec"):
            list(live.follow(timeout=0))
        stream.close()
