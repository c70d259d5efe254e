"""``aqz demo`` from end to end, as a user calls it."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import zarr
from rich.console import Console

import aqz_core as aqz
from aqz_core.cli import demo as demo_module
from aqz_core.cli import main
from aqz_core.cli.cameras import SimulatedCamera, frame_number
from aqz_core.cli.progress import RecordingProgress
from aqz_core.events import StreamStatistics
from aqz_core.settings.compression import COMPRESSION_NAMES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def demo(*options, frames=12, camera="simulated"):
    """Run a small demo and return its exit code."""
    return main(["demo", "--frames", str(frames), "--camera", camera, *options])


def test_it_records_verifies_and_says_how_to_open(here, capsys):
    assert demo("--shape", "70x96") == 0
    said = capsys.readouterr().out

    image = zarr.open_group(here / "demo.ome.zarr", mode="r")
    pixels = image["0"][...]
    camera = SimulatedCamera((70, 96))
    assert pixels.shape == (12, 70, 96)
    for number, frame in enumerate(pixels):
        assert frame_number(frame) == number
        np.testing.assert_array_equal(frame, camera.frame(number))
    assert image["1"].shape == (12, 35, 48)
    assert "camera: simulated cells, 70 x 96 uint16" in said
    assert "12/12 frames" in said
    assert "free disk" in said
    assert "queue" in said
    assert "12 x 70 x 96" in said
    assert "verified: 12 frames read back with zarr-python" in said
    assert "12 planes of the pyramid" in said
    assert "aqz info demo.ome.zarr" in said


@pytest.mark.parametrize("codec", COMPRESSION_NAMES)
def test_every_codec_and_no_pyramid(here, codec, capsys):
    assert demo("--shape", "64x64", "--codec", codec, "--no-pyramid", "--output", "a.zarr") == 0

    assert sorted(p.name for p in (here / "a.zarr").iterdir() if p.is_dir()) == ["0"]
    assert codec.partition("-")[0] in capsys.readouterr().out


@pytest.mark.micromanager
@pytest.mark.parametrize("camera", ["micromanager", "auto"])
def test_micro_managers_demo_camera(here, camera, capsys):
    pytest.importorskip("mm_test_adapters", reason="needs the extra `micromanager`")
    assert demo("--shape", "128x160", camera=camera, frames=20) == 0
    said = capsys.readouterr().out

    assert "Micro-Manager DemoCamera, 128 x 160 uint16" in said
    assert "verified: 20 frames" in said
    attributes = zarr.open_group(here / "demo.ome.zarr", mode="r").attrs.asdict()
    axes = attributes["ome"]["multiscales"][0]["axes"]
    assert [axis.get("unit") for axis in axes] == [None, "micrometer", "micrometer"]


def test_without_micro_manager_auto_simulates_and_says_so(here, capsys, monkeypatch):
    monkeypatch.setattr(demo_module, "is_installed", lambda: False)
    assert demo("--shape", "32x32", camera="auto") == 0

    said = capsys.readouterr().out
    assert "camera: simulated cells, 32 x 32 uint16; for a Micro-Manager camera: " in said
    assert 'python -m pip install ".[micromanager]"' in said


def test_an_existing_output_is_kept_unless_overwriting(here, capsys):
    assert demo("--shape", "32x32", frames=5) == 0
    before = sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*"))

    assert demo("--shape", "32x32", frames=3) == 1
    assert "demo.ome.zarr already exists; add --overwrite" in capsys.readouterr().err
    assert sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*")) == before

    assert demo("--shape", "32x32", "--overwrite", frames=3) == 0
    assert zarr.open_array(here / "demo.ome.zarr" / "0", mode="r").shape == (3, 32, 32)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_overwriting_never_removes_what_is_no_store(here, kind, capsys):
    precious = here / "thesis"
    if kind == "folder":
        precious.mkdir()
        precious = precious / "chapter1.tex"
    precious.write_text("all of it")

    assert demo("--output", "thesis", "--overwrite") == 1
    assert "thesis is not a Zarr store and is left alone" in capsys.readouterr().err
    assert precious.read_text() == "all of it"


def test_a_missing_parent_folder_is_one_line(here, capsys):
    assert demo("--shape", "32x32", "--output", "no/such/place.zarr") == 1
    error = capsys.readouterr().err

    assert error.startswith("aqz: error: ")
    assert "no/such" in error
    assert "Traceback" not in error


def test_a_shape_the_camera_cannot_take_is_one_line(here, capsys):
    assert demo("--shape", "2x2") == 1
    assert capsys.readouterr().err.startswith("aqz: error: a simulated frame of shape (2, 2)")
    assert list(here.iterdir()) == []


def test_a_frame_that_was_changed_on_the_way_is_found(here, capsys, monkeypatch):
    class Swapped(aqz.ZarrStream):
        """Stores frame 4 with one pixel changed."""

        appended = 0

        def append(self, data, key=None, metadata=None):
            if self.appended == 4:
                data = data.copy()
                data[20, 20] ^= 1
            self.appended += 1
            super().append(data, key, metadata)

    monkeypatch.setattr(sys.modules["aqz_core.open_stream"], "ZarrStream", Swapped)
    assert demo("--shape", "32x32") == 1
    assert "1 of 12 frames differ" in capsys.readouterr().err


def test_interrupting_keeps_the_frames_so_far(here, capsys, monkeypatch):
    class Impatient(SimulatedCamera):
        """Interrupted by its user before frame 5."""

        def frame(self, number):
            if number == 5:
                raise KeyboardInterrupt
            return super().frame(number)

    monkeypatch.setattr(demo_module, "SimulatedCamera", Impatient)
    assert demo("--shape", "32x32") == 130
    assert "interrupted; 5 frames are in demo.ome.zarr" in capsys.readouterr().out
    assert zarr.open_array(here / "demo.ome.zarr" / "0", mode="r").shape == (5, 32, 32)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(tmp_path, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=110)
    statistics = StreamStatistics(frames=3, queue_fill=0.25, megabytes_per_second=123.4)
    with RecordingProgress(console, 10, tmp_path) as progress:
        assert progress.is_due()
        progress.show(statistics)
        assert not progress.is_due()
    shown = console.file.getvalue()

    assert ("━" in shown) == terminal
    assert "3/10" in shown
    assert "123 MB/s  queue 25%  free disk" in shown
