"""``aqz record`` with the real DemoCamera, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import mm_test_adapters
import numpy as np
import pytest

import aqz_core as aqz
from aqz_core import validate_store
from tests.micromanager.stored import attributes, image

pytestmark = pytest.mark.micromanager


def record(*arguments):
    return subprocess.run(
        [Path(sys.executable).parent / "aqz", "record", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_records_the_demo_camera(tmp_path):
    run = record("--frames", 20, "--exposure", 1, "--output", tmp_path / "a.zarr", "--pyramid")

    assert run.returncode == 0, run.stderr
    assert "20 of 20 frames are in" in run.stdout
    assert image(tmp_path / "a.zarr").shape == (20, 512, 512)
    assert (tmp_path / "a.zarr" / "1").exists()


def test_records_the_camera_of_a_configuration(tmp_path):
    config = Path(mm_test_adapters.device_adapter_path()) / "MMConfig_demo.cfg"
    output = f"file://{tmp_path}/a.zarr"
    options = ("--output", output, "--codec", "none", "--checksum")
    run = record("--config", config, "--frames", 5, *options)

    assert run.returncode == 0, run.stderr
    assert not any("pixels" in what for what in validate_store(tmp_path / "a.zarr").unchecked)
    frames = image(tmp_path / "a.zarr")
    assert frames.shape == (5, 512, 512)
    assert len(np.unique(frames[:, 0, 0])) > 1


def test_records_a_colour_camera(tmp_path):
    config = Path(mm_test_adapters.device_adapter_path()) / "MMConfig_demo.cfg"
    color = tmp_path / "color.cfg"
    color.write_text(config.read_text() + "\nProperty,Camera,PixelType,32bitRGB\n")
    run = record("--config", color, "--frames", 3, "--output", tmp_path / "a.zarr")

    assert run.returncode == 0, run.stderr
    assert "3 of 3 frames are in" in run.stdout
    assert image(tmp_path / "a.zarr").shape == (3, 3, 512, 512)
    channels = attributes(tmp_path / "a.zarr")["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["Red", "Green", "Blue"]
    assert len(aqz.read_frame_metadata(tmp_path / "a.zarr")) == 3


def test_a_configuration_that_cannot_be_loaded_is_one_line(tmp_path):
    config = tmp_path / "broken.cfg"
    config.write_text("Device,Camera,NoSuchAdapter,DCam\n")
    run = record("--config", config, "--frames", 5, "--output", tmp_path / "a.zarr")

    assert run.returncode == 1
    assert run.stderr.startswith("aqz: error: ")
    assert "broken.cfg could not be loaded" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_store_that_is_there_is_left_alone(tmp_path):
    store = tmp_path / "a.zarr"
    assert record("--frames", 2, "--output", store).returncode == 0
    run = record("--frames", 2, "--output", store)

    assert run.returncode == 1
    assert "--overwrite" in run.stderr


def test_a_configuration_without_camera_is_one_line(tmp_path):
    config = tmp_path / "empty.cfg"
    config.write_text("Property,Core,Initialize,0\nProperty,Core,Initialize,1\n")
    run = record("--config", config, "--frames", 5, "--output", tmp_path / "a.zarr")

    assert run.returncode == 1
    assert "has no camera" in run.stderr
    assert "Property,Core,Camera,LABEL" in run.stderr


def test_a_spill_beside_a_disk_is_refused(tmp_path):
    run = record("--frames", 5, "--output", tmp_path / "a.zarr", "--spill", tmp_path / "b")

    assert run.returncode == 1
    assert "is for object stores" in run.stderr


def test_a_camera_that_is_too_fast_keeps_what_came(tmp_path):
    store = tmp_path / "a.zarr"
    options = ("--frames", 100_000, "--exposure", 0, "--buffer", 1, "--codec", "gzip")
    run = record(*options, "--output", store)

    assert run.returncode == 1
    assert "buffer was full" in run.stderr
    assert "--buffer" in run.stderr
    frames = int(run.stdout.rsplit(" of 100000 frames", 1)[0].split()[-1])
    assert len(image(store)) == frames > 0


def test_intervals_and_times_of_frames_are_kept(tmp_path):
    store = tmp_path / "a.zarr"
    run = record("--frames", 5, "--exposure", 20, "--output", store)

    assert run.returncode == 0, run.stderr
    multiscales = attributes(store)["ome"]["multiscales"][0]
    assert multiscales["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    assert multiscales["datasets"][0]["coordinateTransformations"][0]["scale"][0] == 0.02
    elapsed = [row["elapsed_ms"] for row in aqz.read_frame_metadata(store)]
    assert len(elapsed) == 5
    assert elapsed == sorted(elapsed)


@pytest.mark.parametrize(("end", "code"), [("SIGINT", 0), ("SIGHUP", 129)])
def test_without_a_number_of_frames_it_goes_on_until_it_is_ended(tmp_path, end, code):
    store = tmp_path / "a.zarr"
    command = [Path(sys.executable).parent / "aqz", "record", "--exposure", "5", "--output", store]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("recording:"):
                process.send_signal(getattr(signal, end))
                break
        process.stdout.read()
    assert process.returncode == code
    assert attributes(store)["aqz"]["state"] == "complete"
    assert len(image(store)) >= 1
