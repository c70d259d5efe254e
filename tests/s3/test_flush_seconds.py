"""`flush_seconds`: what a sudden end loses, and that it costs nothing where it is not needed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core import SettingsError
from tests.s3.test_flush import at, frame, movie, read
from tests.s3.test_recording import with_zarr
from tests.s3.test_sudden_ends import CHECKOUT

KILLS = int(os.environ.get("AQZ_KILLS", "2"))
"""How often a recording is killed; 100 on demand."""

SECONDS = 2.0
LAYOUT = "several parts"

RECORDING = """
import itertools, sys, time
import aqz_core as aqz
from tests.s3.test_flush import frame, movie
endpoint, name, key, secret, place, seconds, rate = sys.argv[1:]
s3 = aqz.S3Settings(endpoint=endpoint, bucket_name=name, key=key, secret=secret, region="us-east-1")
given = movie(place, "several parts", s3, flush_seconds=float(seconds))
with aqz.ZarrStream(given) as stream:
    begun = time.monotonic()
    for number in itertools.count():
        stream.append(frame(number, "several parts"))
        print(number, time.monotonic(), flush=True)
        time.sleep(max(0.0, begun + (number + 1) / float(rate) - time.monotonic()))
"""


def appended_until_kill(bucket, place, rate, after):
    """Record in a process, kill it, and return when each frame was taken, and the kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDING, *bucket, place, str(SECONDS), str(rate)],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        text=True,
    )
    times = []
    with process:
        times.append(float(process.stdout.readline().split()[1]))
        threading.Timer(after, process.kill).start()
        times += [float(line.split()[1]) for line in process.stdout if line.endswith("\n")]
    return times, times[0] + after


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_kill_loses_no_older_frames(bucket, kill):
    """Whatever the rate, and in whatever moment."""
    random.seed(kill)
    rate = (7, 40, 1)[kill % 3]
    times, killed = appended_until_kill(bucket, "a.zarr", rate, 3 + 4 * random.random())
    pixels = with_zarr(bucket, "a.zarr")
    for number, stored in enumerate(pixels):
        assert np.array_equal(stored, frame(number, LAYOUT))
    lost = times[len(pixels) :]
    if lost:
        assert killed - lost[0] < SECONDS + 1 / rate + 0.5  # and the moment that a kill takes


def until(condition, seconds=20.0):
    """Return when something has become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def length(endpoint):
    """How long the array is for a reader."""
    return json.loads(endpoint.objects["a.zarr/zarr.json"])["shape"][0]


def is_quiet(endpoint):
    """Return whether nothing was stored in the time of two flushes."""
    puts = endpoint.count("PUT .*/a.zarr/")
    time.sleep(1.2)
    return endpoint.count("PUT .*/a.zarr/") == puts


@pytest.mark.parametrize("step", [1, 3], ids=["in order", "by index"])
def test_a_single_frame_is_seen_without_any_other(endpoint, tmp_path, step):
    """As in a time-lapse whose next frame comes in five minutes."""
    given = movie("a.zarr", LAYOUT, at(endpoint), flush_seconds=0.5)
    with aqz.ZarrStream(given) as stream:
        for number in (0, 1):
            if step > 1:
                stream.write(frame(number, LAYOUT), {"t": step * number})
            else:
                stream.append(frame(number, LAYOUT))
            until(partial(lambda wanted: length(endpoint) == wanted, step * number + 1))
            shown = read(endpoint, tmp_path / str(number))
            assert np.array_equal(shown[-1], frame(number, LAYOUT))
        until(partial(is_quiet, endpoint))  # nothing has come, so nothing is stored


def test_where_shards_become_complete_in_time_nothing_is_flushed(endpoint):
    given = movie("a.zarr", "a frame a chunk", at(endpoint), flush_seconds=30.0)
    with aqz.ZarrStream(given) as stream:
        for number in range(50):
            stream.append(frame(number, "a frame a chunk"))
    assert endpoint.count("PUT .*/c/") == 10


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"flush_seconds": -1.0}, "flush_seconds is -1.0"),
        ({"flush_seconds": 0.01}, "give 0.1 at least"),
        ({"flush_seconds": float("nan")}, "flush_seconds is nan"),
        ({"flush_seconds": 2.0, "live": False}, "needs live=True"),
    ],
)
def test_values_that_make_no_sense(tmp_path, options, part):
    with pytest.raises(SettingsError, match=part):
        aqz.ZarrStream(movie(str(tmp_path / "a.zarr"), LAYOUT, **options))


def test_it_is_written_to_config_files(tmp_path):
    given = movie(str(tmp_path / "a.zarr"), LAYOUT, flush_seconds=2.5)
    assert aqz.StreamSettings.from_string(given.to_yaml()).flush_seconds == 2.5
