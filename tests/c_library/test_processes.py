"""The library as a guest: hosts that fork, leave, handle signals, or have a Python of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.c_library.conftest import PROGRAMS, run
from tests.support.decoders import DECODERS

read = DECODERS["zarr-python"]


@pytest.fixture(scope="module")
def processes(library, tmp_path_factory):
    """The program that is such a host."""
    folder = tmp_path_factory.mktemp("programs")
    return library.compile(PROGRAMS / "processes.c", folder / "processes")


def test_exit_without_destroy_finishes_the_store(processes, tmp_path):
    run(processes, tmp_path, "leave")
    assert read(tmp_path / "left.zarr", "").shape == (1, 8, 8)
    assert '"state": "complete"' in (tmp_path / "left.zarr" / "zarr.json").read_text()


def test_forks_while_a_camera_records(processes, tmp_path):
    run(processes, tmp_path, "fork")
    assert (read(tmp_path / "fork.zarr", "") == 0x0101).all()
    assert read(tmp_path / "child.zarr", "").shape == (1, 8, 8)


def test_several_cameras_append_to_one_stream(processes, tmp_path):
    run(processes, tmp_path, "share")
    stored = read(tmp_path / "share.zarr", "")
    assert stored.shape == (100, 8, 8)
    assert (stored == 0x0101).all()


def test_signals_are_left_to_the_host(processes, tmp_path):
    run(processes, tmp_path, "signals")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_streams_that_come_and_go_leave_nothing(processes, tmp_path):
    """1,000 of them take 40 s; what each leaves shows after fewer."""
    count = int(os.environ.get("AQZ_TEST_STREAMS", "160"))
    printed = run(processes, tmp_path, "come-and-go", count).stdout.split()
    grown = [int(b) - int(a) for a, b in pairwise(printed)]
    # KiB by quarters: a page each would be a leak, and one quarter may begin another arena.
    assert min(grown) < count


def test_plugin_of_a_host(library, tmp_path):
    """Extension modules of Python find its functions although they are not global."""
    library.run(PROGRAMS / "plugin.c", tmp_path, library.path, code=0)
    assert read(tmp_path / "plugin.zarr", "").shape == (0, 8, 8)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AQZ_PYTHON": "/not/there"}, "AQZ_PYTHON names a Python that is not there: /not/there"),
        ({"AQZ_PYTHON": "EMPTY"}, "aqz cannot be imported: No module named 'aqz_core'"),
    ],
)
def test_missing_environment(processes, tmp_path, variables, words):
    """The host goes on, and is told how to name an environment."""
    if variables["AQZ_PYTHON"] == "EMPTY":
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "empty")], check=True
        )
        variables = {"AQZ_PYTHON": str(tmp_path / "empty")}
    done = run(processes, tmp_path, "leave", env=variables, code=10)
    assert words in done.stderr
    assert "Set AQZ_PYTHON to an environment" in done.stderr


def test_variables_of_python_mean_another_one(processes, tmp_path):
    run(processes, tmp_path, "leave", env={"PYTHONHOME": "/not/there", "PYTHONPATH": "/nor/here"})
    assert read(tmp_path / "left.zarr", "").shape == (1, 8, 8)
