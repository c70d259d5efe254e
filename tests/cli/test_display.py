"""What is shown, where it cannot be shown, and what a recording does then."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import aqz_core as aqz
from aqz_core.cli import main
from aqz_core.cli.progress import RecordingProgress

DEMO = ("demo", "--camera", "simulated", "--shape", "32x32")
FULL = Path("/dev/full")


def run(*arguments, **options):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "aqz_core", *map(str, arguments)],
        timeout=100,
        check=False,
        **options,
    )


def frames_in(store):
    return len(aqz.ZarrArrayReader(store / "0").read())


@pytest.fixture
def store(tmp_path):
    """A small finished store."""
    with aqz.open_stream(tmp_path / "a.zarr", shape=(0, 16, 16), dtype="uint8") as stream:
        stream.append(np.zeros((3, 16, 16), "uint8"))
    return tmp_path / "a.zarr"


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
def test_a_recording_outlives_a_full_disk_under_its_display(tmp_path):
    with FULL.open("w") as full:
        done = run(*DEMO, "-n", 20, "-o", tmp_path / "a.zarr", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert b"display failed" in done.stderr
    assert b"Traceback" not in done.stderr
    assert frames_in(tmp_path / "a.zarr") == 20


def test_a_recording_outlives_a_reader_that_leaves(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = run(*DEMO, "-n", 20, "-o", tmp_path / "a.zarr", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert frames_in(tmp_path / "a.zarr") == 20


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="streams are closed by a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_recording_needs_no_streams(tmp_path, closed):
    command = f'exec "$0" -m aqz_core {" ".join(DEMO)} -n 20 -o "$1" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, tmp_path / "a.zarr"],
        timeout=100,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert frames_in(tmp_path / "a.zarr") == 20


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", ["info", "validate", "repair"])
def test_output_that_cannot_be_written_is_one_line(store, command):
    with FULL.open("w") as full:
        done = run(command, store, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == f"aqz: error: the output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
def test_a_terminal_that_is_closed_ends_a_recording_that_is_complete(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "aqz_core", *DEMO, "-n", "10000000", "-o", tmp_path / "a.zarr"],
        stdout=subprocess.PIPE,
    )
    with process:
        while not process.stdout.readline().startswith(b"recording: "):
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        process.stdout.close()
        assert process.wait(60) == 128 + signal.SIGHUP
    report = aqz.validate_store(tmp_path / "a.zarr")
    assert (report.is_valid, report.state) == (True, "complete")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_bar_and_the_count_fit_every_terminal(width):
    console = Console(width=width, force_terminal=True, file=StringIO())
    statistics = aqz.StreamStatistics(
        frames=123, bytes_in=1, bytes_written=1, queue_fill=0.5, megabytes_per_second=812.0,
        seconds=2.0, spilled=False,
    )  # fmt: skip
    with RecordingProgress(console, 1000, None) as progress:
        progress.show(statistics)
        sheet = Console(width=width, record=True, file=StringIO())
        sheet.print(progress._bar)
    (shown,) = sheet.export_text().splitlines()
    assert "123/1000" in shown
    assert "━" in shown
    assert ("812 MB/s" in shown) == (width >= 100)
    assert len(shown) <= width


# ---- room ----------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_what_cannot_fit_the_disk_does_not_begin(tmp_path, codec, capsys):
    arguments = ["demo", "--camera", "simulated", "--shape", "4096x4096", "--frames", "1000000000"]
    store = tmp_path / "a.zarr"
    assert main([*arguments, "--codec", codec, "-o", str(store)]) == 1
    assert "record fewer" in capsys.readouterr().err
    assert not store.exists()


def test_room_that_stays_free_ends_a_recording_in_order(tmp_path, capsys, monkeypatch):
    from aqz_core.storage.filesystem import FilesystemSink

    free = iter([10**15, 10**15])
    monkeypatch.setattr(FilesystemSink, "free_nbytes", lambda self: next(free, 5 * 10**9))
    monkeypatch.setattr("aqz_core.cli.camera_recording._check_room", lambda *_: None)
    store = tmp_path / "a.zarr"
    options = ["--keep-free", "6GB", "--frames", "100000000", "-o", str(store)]
    assert main([*DEMO, *options]) == 1
    assert "keep_free = 6,000,000,000" in capsys.readouterr().err
    report = aqz.validate_store(store)
    assert (report.is_valid, report.state) == (True, "complete")
    assert frames_in(store) > 0


@pytest.mark.parametrize("size", ["10", "1.5GB", "500 MB", "2 GiB", "3k", "0"])
def test_sizes_are_understood(tmp_path, size):
    assert main([*DEMO, "-n", "1", "-o", str(tmp_path / "a.zarr"), "--keep-free", size]) == 0


# ---- for programs --------------------------------------------------------------------------


def test_info_for_programs(store, capsys):
    assert main(["info", "--json", str(store)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["attributes"]["aqz"]["state"]) == ("group", "complete")
    (level,) = document["members"]
    assert (level["path"], level["shape"], level["dtype"]) == ("0", [3, 16, 16], "uint8")
    (store / "0" / "zarr.json").write_text("{")
    assert main(["info", "--json", str(store)]) == 1
    (level,) = json.loads(capsys.readouterr().out)["members"]
    assert level["kind"] == "unreadable"
    assert level["problem"]


def test_a_plan_for_programs(capsys):
    assert main(["plan", "--shape", "0x2048x2048", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    targets = {one["target"]: one for one in document["layouts"]}
    assert set(targets) == {"recording", "viewing", "object-store"}
    assert targets["recording"]["chunks"] == [1, 512, 512]


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["demo"], ["record"]])
def test_help_has_a_short_name(option, command, capsys):
    assert main([*command, option]) == 0
    assert "Usage: aqz" in capsys.readouterr().out


# ---- no tracebacks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([*DEMO, "--frames", "99999999999999999999"], 2, "'--frames'"),
        ([*DEMO, "-o", "a" * 300], 1, "File name too long"),
        ([*DEMO, "-o", "s3://bucket/x.zarr"], 1, "aqz record"),
        ([*DEMO, "-o", "nowhere/x.zarr"], 1, "does not exist; make it"),
        ([*DEMO, "-o", "~nobody-of-that-name/x.zarr"], 1, "give an absolute path"),
        (["record", "-n", "1", "-o", "x.zarr", "--buffer", "99999999999"], 2, "'--buffer'"),
        (["record", "-n", "1", "-o", "x.zarr", "--buffer", "1048576"], 1, "--buffer"),
        (["record", "-n", "1", "-o", "x.zarr", "--keep-free", "lots"], 2, "500MB"),
        (["plan", "--shape", "2x2x64x64", "--axes", "ttyx"], 1, "both named 't'"),
        (["plan", "--shape", "2x64x64", "--axes", "yxt"], 1, "rows and columns"),
        (["info", "a" * 300], 1, "File name too long"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_a_fault_of_our_own_is_one_line_too(monkeypatch, capsys, store):
    monkeypatch.setattr("aqz_core.cli.info.read_tree", lambda *_: 1 / 0)
    assert main(["info", str(store)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_home_directory_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main([*DEMO, "-n", "2", "-o", "~/a.zarr"]) == 0
    assert frames_in(tmp_path / "a.zarr") == 2


def test_a_single_image_is_planned(capsys):
    assert main(["plan", "--shape", "64x64", "--axes", "yx"]) == 0
    assert "shape=(64, 64)" in capsys.readouterr().out
