"""What a user sees when places, disks and services are at fault: real ones, through the widget."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari.form.recording_plan import RecordingPlan
from aqz_napari.recorder.recorder_status import RecorderState
from aqz_napari.sources.frame_source import register_source, unregister_source
from aqz_napari.sources.generator_source import GeneratorSource
from aqz_napari.widget.form_parts import ERROR
from tests.napari.window import finish, needs_display, notice, pump, start
from tests.s3 import fault_endpoint

pytest.importorskip("napari", reason="needs the extra `napari`")
pytestmark = needs_display

CHECKOUT = Path(__file__).parents[3]


@contextmanager
def small_disk(folder, size="2m", *options):
    """Mount a small file system in memory."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    flags = ",".join((f"size={size}", *options))
    command = ["mount", "-t", "tmpfs", "-o", flags, "tmpfs", str(folder)]
    run = subprocess.run(command, capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"nothing can be mounted here: {run.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """Credentials for a service of the tests, and for no other."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def impatient(monkeypatch):
    """Let the service be given up after seconds rather than after a minute."""
    original = RecordingPlan.settings

    def settings(plan, store_path):
        made = original(plan, store_path)
        if made.s3 is not None:
            made.s3.retry_timeout = 2.0
        return made

    monkeypatch.setattr(RecordingPlan, "settings", settings)


def address(service):
    return f"http://127.0.0.1:{service.server_address[1]}"


def go_to(widget, service, url):
    widget.choices.place.destination = url
    widget.choices.remote.endpoint = service if isinstance(service, str) else address(service)
    widget.choices.storage.codec = "none"
    widget.choices.view.open_after = False


def without_spill(widget):
    widget.choices.remote.spill = False


def whole_frames_per_shard(widget, frames):
    """Make shards small, so that some are in the store before it fails."""
    for row, shard in zip(widget.arrays.table._rows, (frames, 1, 1), strict=True):
        row.chunk.value = 1 if row is widget.arrays.table._rows[0] else int(row.size.value)
        row.shard.value = shard


def feed_until_it_ends(widget, live, frame_of, limit=3000):
    """Set frames until the recording is over."""
    for number in range(limit):
        live.data = frame_of(number)
        if widget.recorder.state.is_over:
            break
        pump(lambda: True)
    finish(widget)


def colour(label):
    return label.styleSheet()


def test_a_folder_that_cannot_be_written_is_named_beside_the_destination(widget, live, tmp_path):
    with small_disk(tmp_path / "disk", "1m", "ro") as folder:
        widget.choices.view.keep_free = 0
        widget.choices.place.destination = str(folder / "a.zarr")
        widget.check()
        assert "no permission to write" in notice(widget, "destination")
        assert not widget.header.record.isEnabled()


def test_a_folder_below_a_file_is_named_beside_the_destination(widget, live, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    widget.choices.place.destination = str(tmp_path / "file" / "a.zarr")
    problems = widget.check()
    assert problems[0].field == "destination"
    assert not widget.header.record.isEnabled()
    fix = widget.sections["destination"].fix
    if problems[0].fix is not None:
        fix.click()  # says why it cannot be made, and raises nothing
        assert str(tmp_path / "file") in widget.header.message.text()


def test_a_disk_that_runs_full_ends_the_recording_with_red_numbers(
    viewer, widget, tmp_path, frame_of, capfd
):
    random = np.random.default_rng(0)
    live = viewer.add_image(random.integers(0, 60000, (128, 128), np.uint16), name="live")
    with small_disk(tmp_path / "disk") as folder:
        widget.choices.view.keep_free = 0
        widget.choices.storage.codec = "none"
        widget.choices.place.destination = str(folder / "a.zarr")
        widget.choices.view.open_after = False
        whole_frames_per_shard(widget, 4)
        recorder = start(widget)
        noise = lambda _: random.integers(0, 60000, (128, 128), np.uint16)  # noqa: E731
        feed_until_it_ends(widget, live, noise)
        status = recorder.status()
        assert status.state is RecorderState.FAILED
        assert "No space left" in widget.header.message.text()
        assert ERROR in colour(widget.header.message)
        assert ERROR in widget.header.numbers.text()
        assert status.dropped + status.unreadable > 0
        assert widget.header.record.text() == "Record"
        array = aqz.ZarrArrayReader(folder / "a.zarr" / "0")
        assert array.shape[0] > 0
        array.read_plane(0)
        # Room is made, and what is there is finished; verifying does not forget what was lost.
        subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
        widget.take.repair.click()
        pump(lambda: "Repaired" in widget.header.message.text())
        widget.take.verify.click()
        pump(lambda: "Verified" in widget.header.message.text())
        assert "were lost and are not in it" in widget.header.message.text()
    assert "Traceback" not in capfd.readouterr().err


def test_the_disk_floor_ends_before_the_disk_is_full(viewer, widget, live, tmp_path, frame_of):
    with small_disk(tmp_path / "disk", "20m") as folder:
        widget.choices.place.destination = str(folder / "a.zarr")
        widget.choices.view.keep_free = 0.01
        widget.choices.view.open_after = False
        recorder = start(widget)
        live.data = frame_of(0)
        with (folder / "ballast").open("wb") as file:
            file.write(bytes(shutil.disk_usage(folder).free - 9_000_000))
        finish(widget)
        assert recorder.state is RecorderState.FINISHED
        assert "disk is almost full" in widget.header.message.text()


def test_a_wrong_bucket_is_named_beside_the_destination(widget, live, bucket):
    with fault_endpoint.running() as service:
        go_to(widget, service, "s3://wrong/a.ome.zarr")
        widget.check()
        pump(lambda: "wrong" in notice(widget, "destination"))  # asked in the background
        assert widget.start()
        pump(lambda: widget.session.starting is None)
        assert widget.recorder is None
        assert "wrong" in notice(widget, "destination")
        assert "bucket" in notice(widget, "destination")
        assert widget.header.record.isEnabled()
        widget.place.try_place.click()
        pump(lambda: "cannot be written" in widget.header.message.text())


def test_the_next_free_number_is_found_in_a_bucket(viewer, widget, live, bucket, frame_of):
    with fault_endpoint.running() as service:
        go_to(widget, service, "s3://bucket/runs/{layer}_{n:03}.ome.zarr")
        widget.choices.view.open_after = True
        for number in (1, 2):
            recorder = start(widget)
            live.data = frame_of(number)
            widget.stop()
            finish(widget)
            assert recorder.store_path.endswith(f"live_00{number}.ome.zarr")
            assert recorder.state is RecorderState.FINISHED
            assert f"live_00{number}" in viewer.layers, widget.header.message.text()
            shown = viewer.layers[f"live_00{number}"]  # opened from the bucket
            assert np.array_equal(np.asarray(shown.data[0]), frame_of(number))
        widget.check()
        pump(lambda: "live_003" in widget.header.file.toolTip() or widget.tick())
        widget.choices.place.destination = "s3://bucket/runs/live_002.ome.zarr"
        widget.check()
        pump(lambda: widget.header.file.text() == "→ live_003.ome.zarr" or widget.tick())


def test_a_service_that_is_lost_during_a_recording(
    widget, live, bucket, impatient, frame_of, capfd
):
    with fault_endpoint.running() as service:
        go_to(widget, service, "s3://bucket/a.ome.zarr")
        whole_frames_per_shard(widget, 2)
        without_spill(widget)
        recorder = start(widget)
        for number in range(6):
            live.data = frame_of(number)
        pump(lambda: any("/c/" in key for key in service.objects))
        service.fail("reset")
        feed_until_it_ends(widget, live, frame_of)
        status = recorder.status()
        assert status.state is RecorderState.FAILED
        assert status.unreadable > 0
        assert " lost" in widget.header.numbers.text()
        assert ERROR in widget.header.numbers.text()
        assert widget.header.state.text() == "Failed"
        service.recover()
        from aqz_napari.form.remote_place import storage_options
        from aqz_napari.ome_zarr.reader import read_layers

        url = recorder.store_path
        ((data, _, _),) = read_layers(url, **storage_options(url, address(service)))
        for number in range(data.shape[0]):
            assert np.array_equal(np.asarray(data[number]), frame_of(number))
    assert "Traceback" not in capfd.readouterr().err


def test_a_recording_goes_on_in_a_folder_when_the_service_is_lost(
    widget, live, bucket, impatient, frame_of, tmp_path
):
    with fault_endpoint.running() as service:
        go_to(widget, service, "s3://bucket/a.ome.zarr")
        assert widget.choices.remote.spill  # unless told otherwise
        widget.choices.remote.spill_folder = str(tmp_path)
        whole_frames_per_shard(widget, 2)
        widget.choices.stop.unit, widget.choices.stop.amount = "frames", 40
        recorder = start(widget)
        for number in range(6):
            live.data = frame_of(number)
        pump(lambda: any("/c/" in key for key in service.objects))
        service.fail("reset")
        for number in range(6, 40):
            live.data = frame_of(number)
        finish(widget)
        status = recorder.status()
        assert (status.state, status.written) == (RecorderState.FINISHED, 40)
        assert (status.dropped, status.unreadable) == (0, 0)
        assert status.spill_path == str(tmp_path / "a.ome.zarr.spill")
        assert f"aqz upload {tmp_path}/a.ome.zarr.spill" in widget.header.message.text()
        service.recover()
        done = subprocess.run(
            [Path(sys.executable).with_name("aqz"), "upload", status.spill_path],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        from aqz_napari.form.remote_place import storage_options
        from aqz_napari.ome_zarr.reader import read_layers

        url = recorder.store_path
        ((data, _, _),) = read_layers(url, **storage_options(url, address(service)))
        assert all(np.array_equal(np.asarray(data[n]), frame_of(n)) for n in range(40))


def test_a_service_that_is_killed_during_a_recording(widget, live, bucket, impatient, frame_of):
    code = (
        "from tests.s3.fault_endpoint import FaultEndpoint; s = FaultEndpoint(0); "
        "print(s.server_address[1], flush=True); s.serve_forever()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = int(server.stdout.readline())
            go_to(widget, f"http://127.0.0.1:{port}", "s3://bucket/a.ome.zarr")
            whole_frames_per_shard(widget, 2)
            without_spill(widget)
            recorder = start(widget)
            live.data = frame_of(0)
        finally:
            server.kill()
    feed_until_it_ends(widget, live, frame_of)
    assert recorder.state is RecorderState.FAILED
    assert (
        str(port) in widget.header.message.text()
        or "connect" in widget.header.message.text().lower()
    )
    assert "lost" in widget.header.numbers.text() or "dropped" in widget.header.numbers.text()
    assert ERROR in widget.header.numbers.text()
    assert widget.header.record.text() == "Record"


def test_sources_that_cannot_be_recorded_are_told_beside_the_source(widget, viewer):
    def broken():
        raise KeyError("camera.cfg")

    def of(frame):
        return lambda: GeneratorSource(lambda: [frame], "odd")

    cases = [
        (of(np.zeros(7, np.uint16)), "need two axes"),
        (of(np.full((4, 4), None, object)), "object"),
        (of(np.zeros((4, 4), np.complex64)), "complex64"),
        (of(np.zeros((0, 4), np.uint16)), "empty"),
        (broken, "camera.cfg"),
    ]
    for number, (factory, message) in enumerate(cases):
        name = f"odd {number}"
        register_source(name, factory)
        try:
            widget.sources.refresh()
            widget.sources.choose(name)
            widget.check()
            assert message in notice(widget, "source")
            assert not widget.header.record.isEnabled()
        finally:
            unregister_source(name)


def test_after_an_exception_while_sources_are_described_the_form_still_checks(
    widget, live, monkeypatch
):
    def out_of_memory():
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(widget.arrays, "show", out_of_memory)
        with pytest.raises(MemoryError):
            widget._sources_changed()
    widget.choices.place.destination = ""
    pump(lambda: "say where" in notice(widget, "destination"))


def test_a_disk_that_does_not_answer_holds_up_no_window(widget, live, monkeypatch, tmp_path):
    answers = threading.Event()

    def exists(path):
        answers.wait(60)  # as a network disk that is gone
        return False

    monkeypatch.setattr("aqz_napari.widget.place_form.exists_locally", exists)
    monkeypatch.setattr(widget.disk, "patience", 0.01)
    widget.choices.place.destination = str(tmp_path / "elsewhere.ome.zarr")
    widget.check()
    assert "does not answer" in notice(widget, "destination")
    assert not widget.header.record.isEnabled()
    assert not widget.start()
    answers.set()
    pump(widget.header.record.isEnabled)
    assert notice(widget, "destination") == ""
    assert widget.header.file.text() == "→ elsewhere.ome.zarr"
