"""The command line itself: help, exit codes, and errors told in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from aqz_core.cli import main
from aqz_core.cli.app import parse_shape


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["info", "--help"]])
def test_help_is_no_error(arguments, capsys):
    assert main(arguments) == 0
    assert "Usage: aqz" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("aqz ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["info"],
        ["demo", "--codec", "lzma"],
        ["demo", "--frames", "0"],
        ["demo", "--shape", "512"],
        ["demo", "--shape", "0x512"],
        ["demo", "--camera", "polaroid"],
        ["plan", "--shape", "5x5", "--fps", "inf"],
        ["plan", "--shape", "5x5", "--fps", "nan"],
        ["bench", ".", "--seconds", "inf"],
        ["record", "--output", "a", "--frames", "1", "--exposure", "nan"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["2048x1024", "2048X1024", " 2048 x 1024 ", "2048×1024"])  # noqa: RUF001
def test_shapes_are_rows_and_columns(text):
    assert parse_shape(text) == (2048, 1024)


@pytest.mark.parametrize("text", ["", "12", "12x", "x12", "12x-1", "12.5x3", "1x2x3", "00x1"])
def test_what_is_no_shape(text):
    with pytest.raises(typer.BadParameter, match="for example 2048x2048"):
        parse_shape(text)


def test_help_loads_neither_camera_nor_s3():
    code = (
        "import sys\n"
        "from aqz_core.cli import main\n"
        "main(['--help'])\n"
        "print([name for name in ('s3fs', 'fsspec', 'pymmcore', 'zarr') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_is_recorded_that_would_be_gone_with_the_command(capsys):
    assert main(["record", "--output", "memory://aqz/a.zarr", "--frames", "1"]) == 1
    assert "would be gone when it ends" in capsys.readouterr().err
