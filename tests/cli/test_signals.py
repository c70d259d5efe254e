"""A recording on the command line that a signal ends is whole; the code tells which, no traceback.

``AQZ_SIGNALS=200`` tries that many random instants.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import pytest
import zarr

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
TRIES = int(os.environ.get("AQZ_SIGNALS", "1"))


@pytest.mark.parametrize("name", CODES)
def test_a_signal_ends_a_recording_that_is_whole(tmp_path, name):
    for number in range(TRIES):
        store = tmp_path / f"{number}.zarr"
        command = ["demo", "--output", str(store), "--camera", "simulated", "--shape", "64x64"]
        child = subprocess.Popen(
            [sys.executable, "-m", "aqz_core", *command, "--frames", "1000000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = [next(child.stdout), next(child.stdout)]
        assert lines[1].startswith("recording: ")
        with pytest.raises(subprocess.TimeoutExpired):  # any moment will do
            child.wait(random.random())
        child.send_signal(getattr(signal, name))
        rest, _ = child.communicate(timeout=60)
        assert child.returncode == CODES[name], rest
        assert "Traceback" not in rest
        attributes = zarr.open(str(store), mode="r").attrs["aqz"]
        assert attributes["state"] == "complete"
        assert f"recorded: {attributes['frames']}" in rest
