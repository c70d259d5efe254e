"""The dock widget in a real napari window; needs a display, which ``tests/run`` provides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari.recorder.recorder_status import RecorderState
from aqz_napari.sources.frame_source import register_source, unregister_source
from aqz_napari.sources.generator_source import GeneratorSource
from aqz_napari.widget.form_parts import GOOD, WARNING
from tests.napari.window import DEADLINE, finish, needs_display, notice, pump, start

pytest.importorskip("napari", reason="needs the extra `napari`")
pytestmark = needs_display


def test_a_new_user_gets_a_recording_of_the_layer(viewer, widget, live, frame_of):
    assert [axis.name for axis in widget.arrays.table.axes()] == ["t", "y", "x"]
    assert [axis.unit for axis in widget.arrays.table.axes()] == ["", "micrometer", "micrometer"]
    pump(lambda: widget.header.record.isEnabled())
    assert "1000 frames: 3.07 MB raw" in widget.estimates.text()
    start(widget)
    for number in range(300):
        live.data = frame_of(number)
    widget.tick()
    assert widget.header.record.text() == "Stop"
    assert "0 lost" in widget.header.numbers.text()
    widget.toggle()
    finish(widget)

    status = widget.recorder.status()
    assert (status.written, status.dropped) == (300, 0)
    result = viewer.layers["live_001"]
    assert np.allclose(result.scale[1:], live.scale)
    assert [str(u) for u in result.units[1:]] == [str(u) for u in live.units]
    assert result.axis_labels == ("t", "y", "x")
    assert result.contrast_limits == [0, 2000]
    for number in (0, 1, 150, 299):
        assert np.array_equal(np.asarray(result.data[number]), frame_of(number))
    assert (widget.header.state.text(), GOOD in widget.header.dot.styleSheet()) == ("Done", True)
    assert widget.take.store.endswith("live_001.ome.zarr")
    assert widget.header.record.text() == "Record"
    assert widget.header.record.isEnabled()


def test_without_layers_the_form_says_what_to_do(viewer, widget):
    widget.check()
    assert "choose at least one layer" in notice(widget, "source")
    assert not widget.header.record.isEnabled()
    assert "choose at least one layer" in widget.header.record.toolTip()
    assert widget.start() is False


def test_layers_that_cannot_be_recorded_are_refused_beside_the_source(widget, live):
    widget.choices.capture.what = "added"
    widget.check()
    assert "no axis that could grow" in notice(widget, "source")
    assert not widget.header.record.isEnabled()


def test_a_name_that_is_taken_gets_a_number_without_a_click(widget, live, frame_of, tmp_path):
    widget.choices.place.folder, widget.choices.place.name = str(tmp_path), "cells"
    widget.choices.view.open_after = False
    for name in ("cells.ome.zarr", "cells_001.ome.zarr", "cells_002.ome.zarr"):
        widget.check()
        assert notice(widget, "destination") == ""
        assert widget.header.file.text() == f"→ {name}"
        recorder = start(widget)
        live.data = frame_of(1)
        widget.tick()
        assert notice(widget, "destination") == ""
        widget.stop()
        finish(widget)
        assert recorder.store_path == str(tmp_path / name)


def test_a_missing_folder_is_made_by_one_click(widget, live, tmp_path):
    widget.choices.place.destination = str(tmp_path / "new" / "a.zarr")
    widget.check()
    widget.sections["destination"].fix.click()
    assert (tmp_path / "new").is_dir()
    assert widget.header.record.isEnabled()


def test_a_huge_chunk_and_a_bad_size_stand_beside_the_dimensions(widget, live):
    widget.arrays.table._rows[0].chunk.value = 2_000_000
    widget.check()
    assert "GB" in notice(widget, "dimensions")
    assert not widget.header.record.isEnabled()
    widget.sections["dimensions"].fix.click()
    assert widget.header.record.isEnabled()
    widget.arrays.table._rows[1].size.value = "many"
    widget.check()
    assert "is not a number" in notice(widget, "dimensions")


def test_units_that_napari_does_not_know_warn_and_do_not_stop(widget, live):
    widget.arrays.table._rows[2].unit.value = "smoots"
    widget.check()
    assert "smoots" in notice(widget, "dimensions")
    assert widget.header.record.isEnabled()


def test_an_error_is_shown_before_a_warning(widget, live):
    for axis in widget.arrays.table._rows:
        axis.name.value = "x"
    widget.check()
    assert "rename one" in notice(widget, "dimensions")
    assert not widget.header.record.isEnabled()


def test_a_wrong_template(widget, live):
    widget.choices.place.destination = "/somewhere/{what}.zarr"
    widget.check()
    assert "{date} {time} {layer} {n:03}" in notice(widget, "destination")


def test_what_opening_the_store_finds_stands_beside_the_destination(widget, live, monkeypatch):
    def refuse(*_):
        raise aqz.StorageError(13, "the bucket 'wrong' does not exist")

    monkeypatch.setattr("aqz_core.ZarrStream", refuse)
    assert widget.start()
    pump(lambda: widget.session.starting is None)
    assert "bucket 'wrong'" in notice(widget, "destination")
    assert widget.header.record.isEnabled()
    assert widget.recorder is None


def test_axes_can_be_added_moved_and_removed(widget, live):
    widget.arrays.table.add.click()
    assert [axis.name for axis in widget.arrays.table.axes()] == ["t", "z", "y", "x"]
    assert not widget.arrays.table._rows[2].out.isVisibleTo(widget.arrays.table.calibration)
    widget.arrays.table._rows[1].up.click()
    assert [axis.name for axis in widget.arrays.table.axes()] == ["z", "t", "y", "x"]
    widget.arrays.table._rows[0].out.click()
    assert [axis.name for axis in widget.arrays.table.axes()] == ["t", "y", "x"]
    widget.check()
    assert widget.header.record.isEnabled()


def test_the_form_follows_a_layer_that_is_calibrated_later(viewer, widget, live):
    live.scale = (2, 2)
    pump(lambda: widget.arrays.table.axes()[1].scale == 2)
    assert [axis.scale for axis in widget.arrays.table.axes()] == [1.0, 2.0, 2.0]


def test_a_limit_ends_the_recording(widget, live, frame_of):
    widget.choices.stop.unit, widget.choices.stop.amount = "frames", 5
    start(widget)
    for number in range(9):
        live.data = frame_of(number)
    finish(widget)
    assert widget.recorder.status().written == 5
    assert "limit of 5 frames" in widget.recorder.status().message
    assert widget.header.state.text() == "Done"


def test_nothing_recorded_is_told_and_not_opened(viewer, widget, live):
    start(widget)
    widget.stop()
    finish(widget)
    assert "no frames came" in widget.header.message.text()
    assert widget.header.state.text() == "Nothing recorded"
    assert GOOD not in widget.header.dot.styleSheet()
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("event", ["removed", "shape", "dtype"])
def test_a_layer_that_goes_or_changes_ends_the_recording(viewer, widget, live, frame_of, event):
    start(widget)
    live.data = frame_of(1)
    if event == "removed":
        viewer.layers.remove(live)
    else:
        live.data = np.zeros((9, 9), np.uint16) if event == "shape" else frame_of(1, dtype=np.uint8)
    finish(widget)
    assert event.removesuffix("dtype") in widget.header.message.text()
    assert widget.recorder.state is RecorderState.FINISHED
    assert widget.header.state.text() == "Ended early"
    assert WARNING in widget.header.dot.styleSheet()
    assert aqz.ZarrArrayReader(Path(widget.recorder.store_path, "0")).shape[0] == 1


def test_a_pause(widget, live, frame_of):
    recorder = start(widget)
    live.data = frame_of(0)
    widget.header.pause.click()
    live.data = frame_of(1)
    widget.tick()
    assert "Paused" in widget.header.state.text()
    assert widget.header.pause.text() == "Resume"
    widget.header.pause.click()
    live.data = frame_of(2)
    widget.stop()
    finish(widget)
    assert recorder.status().written == 2
    records = aqz.read_frame_metadata(recorder.store_path)
    assert "gap" in records[1]
    assert records[1]["timestamp"] > records[0]["timestamp"]


def test_two_layers_go_into_one_store_each_at_its_rate(viewer, widget, live, frame_of):
    other = viewer.add_image(frame_of(0, dtype=np.uint8), name="other eye")
    widget.sources.choose(live, other)
    assert widget.arrays.array.isVisibleTo(widget)
    start(widget)
    for number in range(6):
        live.data = frame_of(number)
        if number % 3 == 0:
            other.data = frame_of(number, dtype=np.uint8)
    widget.stop()
    finish(widget)
    store = Path(widget.recorder.store_path)
    assert aqz.ZarrArrayReader(store / "live" / "0").shape[0] == 6
    assert aqz.ZarrArrayReader(store / "other_eye" / "0").shape[0] == 2
    assert len(viewer.layers) == 4


def test_a_registered_source_delivers_every_frame(viewer, widget, frame_of):
    register_source("beads", lambda: GeneratorSource(lambda: map(frame_of, range(50)), "beads"))
    try:
        widget.sources.refresh()
        widget.sources.choose("beads")
        start(widget)
        finish(widget)
    finally:
        unregister_source("beads")
    assert widget.recorder.status().written == 50
    assert viewer.layers["beads_001"].data.shape == (50, 32, 48)


def test_a_running_micromanager_camera_is_offered_and_keeps_the_preview_alive(
    viewer, widget, frame_of
):
    pymmcore_plus = pytest.importorskip("pymmcore_plus", reason="needs pymmcore-plus")
    adapters = pytest.importorskip("mm_test_adapters", reason="needs mm-test-adapters")
    core = pymmcore_plus.CMMCorePlus.instance()
    core.setDeviceAdapterSearchPaths([str(adapters.device_adapter_path())])
    core.loadDevice("Demo", "DemoCamera", "DCam")
    try:
        core.initializeAllDevices()
        core.setCameraDevice("Demo")
        core.setExposure(10)
        viewer.add_image(np.zeros((512, 512), np.uint8), name="preview")
        widget.sources.refresh()
        widget.sources.choose("camera")
        assert "every frame" in widget.sources._items["camera"].text(1)
        widget.choices.stop.unit, widget.choices.stop.amount = "frames", 60
        recorder = start(widget)
        source = widget.sources.source("camera")
        finish(widget)
        status = recorder.status()
        assert (status.written, status.dropped) == (60, 0)
        assert viewer.layers["preview"].data.any()
        numbers = [
            int(record["source"]["ImageNumber"])
            for record in aqz.read_frame_metadata(recorder.store_path)
        ]
        assert numbers == list(range(60))
        assert source.acquired >= 60
    finally:
        core.unloadAllDevices()


def test_the_sample_is_a_live_layer_that_can_be_recorded(viewer, widget):
    try:
        (layer,) = viewer.open_sample("aqz", "simulated_camera")
        first = layer.data
        pump(lambda: layer.data is not first)
        widget.choices.stop.unit, widget.choices.stop.amount = "frames", 3
        start(widget)
        finish(widget)
        assert widget.recorder.status().written == 3
        widget.sources.refresh()
        assert "simulated camera" in widget.sources._items
    finally:
        unregister_source("simulated camera")


def test_following_while_recording_moves_the_slider(viewer, widget, live, frame_of):
    widget.choices.view.follow = True
    recorder = start(widget)
    for number in range(8):
        live.data = frame_of(number)

    def followed():
        widget.tick()
        shown = [layer for layer in viewer.layers if layer.name.endswith("(recording)")]
        return bool(shown) and shown[0].data.shape[0] >= 4

    pump(followed)
    assert viewer.dims.current_step[0] >= 3
    widget.stop()
    finish(widget)
    assert not any(layer.name.endswith("(recording)") for layer in viewer.layers)
    assert recorder.status().written == 8


def test_the_recording_outlives_its_dock_and_shows_in_the_status_bar(
    viewer, widget, live, frame_of
):
    recorder = start(widget)
    widget.tick()
    widget.parentWidget().close()
    live.data = frame_of(1)
    pump(lambda: "recording: 1 frames" in widget.guard._label.text())
    widget.stop()
    finish(widget)
    assert recorder.status().written == 1
    assert not widget.guard._label.isVisibleTo(widget.guard._window)


def test_closing_the_window_asks_and_finishes(widget, live, frame_of, monkeypatch):
    from qtpy.QtGui import QCloseEvent

    recorder = start(widget)
    live.data = frame_of(1)
    widget.tick()
    guard = widget.guard
    monkeypatch.setattr(guard, "ask", lambda: False)
    event = QCloseEvent()
    assert guard.eventFilter(guard._window, event) is True
    assert not event.isAccepted()
    assert recorder.state is RecorderState.RECORDING
    monkeypatch.setattr(guard, "ask", lambda: True)
    assert guard.eventFilter(guard._window, QCloseEvent()) is False
    assert recorder.state is RecorderState.FINISHED
    assert aqz.ZarrArrayReader(Path(recorder.store_path, "0")).shape[0] == 1


def test_the_shortcut_starts_and_stops(viewer, widget, live):
    (press,) = [call for key, call in viewer.keymap.items() if str(key) == "Ctrl+Shift+R"]
    press(viewer)
    pump(lambda: widget.recorder is not None and widget.recorder.state.is_running)
    pump(lambda: widget.session.starting is None)
    press(viewer)
    finish(widget)


def test_buttons_beside_recording(widget, live, frame_of, tmp_path):
    from qtpy.QtWidgets import QApplication

    compile(widget.tools.copy_script(), "script", "exec")
    assert "aqz.ZarrStream(settings)" in QApplication.clipboard().text()
    widget.codecs.button.click()
    pump(lambda: "blosc-zstd" in widget.codecs.table.text())
    widget.presets.choose("Few, small files")
    assert (widget.choices.storage.codec, widget.choices.storage.level) == ("blosc-zstd", 5)
    assert widget.presets.currentText() == "Few, small files"
    widget.choices.storage.level = 4
    assert widget.presets.currentText() == "own settings"
    start(widget)
    live.data = frame_of(1)
    widget.stop()
    finish(widget)
    widget.take.verify.click()
    pump(lambda: "Verified" in widget.header.message.text())
    widget.take.copy.click()
    assert QApplication.clipboard().text() == widget.recorder.store_path


def test_presets_in_files_are_the_engines_own(widget, live, tmp_path, monkeypatch):
    from aqz_napari.form import presets

    widget.choices.storage.codec = "zstd"
    widget.choices.storage.checksum = True
    widget.arrays.table._rows[0].shard.value = 17
    path = tmp_path / "mine.yaml"
    presets.save_preset(widget.plan(), path)
    (array,) = aqz.StreamSettings.from_file(path).arrays
    assert array.dimensions[0].shard_size_chunks == 17
    assert array.checksum
    widget.presets.choose("Fast disk")
    assert widget.choices.storage.codec == "none"
    widget.choices.storage.checksum = False
    widget.show_plan(presets.load_preset(widget.plan(), path))
    assert widget.choices.storage.codec == "zstd"
    assert widget.choices.storage.checksum
    assert widget.arrays.table.axes()[0].shard == 17


def test_it_is_narrow_and_everything_has_a_tooltip(widget, live):
    assert widget.minimumWidth() == 280
    choices = widget.choices
    for part in choices.parts().values():
        for field in part.gui:
            assert field.tooltip, field.name
    for item in (widget.header.record, widget.header.pause, widget.presets, widget.take.verify):
        assert item.toolTip()


@pytest.mark.parametrize("points", [9, 15])
def test_everything_fits_a_narrow_dock_at_any_font_size(widget, live, points):
    from napari.settings import get_settings
    from qtpy.QtWidgets import QScrollArea
    from superqt import QCollapsible

    appearance = get_settings().appearance
    before, appearance.font_size = appearance.font_size, points
    try:
        for fold in widget.findChildren(QCollapsible):
            fold.expand(animate=False)
        form = max(widget.findChildren(QScrollArea), key=lambda area: area.height()).widget()
        pump(lambda: form.minimumSizeHint().width() <= 285)
    finally:
        appearance.font_size = before


def answer_dialog(kind, act):
    """Do something to the next dialog of a kind, as soon as it is there."""
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    def look():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind):
            act(dialog)
        else:
            QTimer.singleShot(20, look)

    QTimer.singleShot(20, look)


def choose(dialog, path):
    """Name a file or folder in a file dialog, and accept it."""
    from qtpy.QtWidgets import QDialogButtonBox, QLineEdit

    dialog.findChild(QLineEdit, "fileNameEdit").setText(str(path))
    buttons = dialog.findChild(QDialogButtonBox)
    accept = QDialogButtonBox.ButtonRole.AcceptRole
    next(b for b in buttons.buttons() if buttons.buttonRole(b) == accept).click()


def test_a_folder_is_chosen_in_a_dialog(widget, live, tmp_path):
    from qtpy.QtWidgets import QFileDialog

    (tmp_path / "data folder").mkdir()
    answer_dialog(QFileDialog, lambda dialog: choose(dialog, tmp_path / "data folder"))
    widget.place.folder.choose_btn.native.click()
    assert widget.choices.place.destination == f"{tmp_path}/data folder/{{layer}}_{{n:03}}.ome.zarr"
    widget.check()
    assert widget.header.record.isEnabled()
    answer_dialog(QFileDialog, lambda dialog: dialog.reject())
    widget.place.folder.choose_btn.native.click()
    assert "data folder" in widget.choices.place.destination


def test_presets_are_saved_and_loaded_by_dialogs(widget, live, tmp_path):
    from qtpy.QtWidgets import QFileDialog

    path = tmp_path / "mine.yaml"
    widget.choices.storage.codec = "gzip"
    answer_dialog(QFileDialog, lambda dialog: choose(dialog, path))
    widget.presets.choose("save to a file…")
    assert path.is_file()
    widget.choices.storage.codec = "none"
    answer_dialog(QFileDialog, lambda dialog: choose(dialog, path))
    widget.presets.choose("load from a file…")
    assert widget.choices.storage.codec == "gzip"
    path.write_text("arrays: 7")
    answer_dialog(QFileDialog, lambda dialog: choose(dialog, path))
    widget.presets.choose("load from a file…")
    assert "mine.yaml, line 1" in widget.header.message.text()
    assert widget.choices.storage.codec == "gzip"


@pytest.fixture
def core():
    pymmcore_plus = pytest.importorskip("pymmcore_plus", reason="needs pymmcore-plus")
    adapters = pytest.importorskip("mm_test_adapters", reason="needs mm-test-adapters")
    core = pymmcore_plus.CMMCorePlus.instance()
    core.setDeviceAdapterSearchPaths([str(adapters.device_adapter_path())])
    for label, device in (("Demo", "DCam"), ("Z", "DStage"), ("XY", "DXYStage")):
        core.loadDevice(label, "DemoCamera", device)
    core.initializeAllDevices()
    core.setCameraDevice("Demo")
    core.setFocusDevice("Z")
    core.setXYStageDevice("XY")
    core.setAutoShutter(False)
    core.setExposure(5)
    yield core
    core.unloadAllDevices()


def test_the_next_acquisition_brings_its_own_axes_and_positions(viewer, widget, core):
    useq = pytest.importorskip("useq", reason="needs useq-schema")
    widget.sources.refresh()
    widget.sources.choose("acquisition")
    widget.check()
    assert "its own axes" in widget.arrays.hint.text()
    assert widget.start()
    assert "Waiting" in widget.header.state.text()
    widget.toggle()  # wait no longer
    pump(lambda: widget.session.starting is None)
    assert widget.recorder is None
    assert widget.header.record.text() == "Record"

    assert widget.start()
    sequence = useq.MDASequence(
        time_plan={"interval": 0, "loops": 2},
        stage_positions=[(0, 0), (10, 0)],
        z_plan={"range": 4, "step": 2},
    )
    frames = {}

    def keep(image, event):
        frames[tuple(event.index[a] for a in "ptz")] = image.copy()

    core.mda.events.frameReady.connect(keep)
    thread = core.run_mda(sequence)
    pump(lambda: widget.recorder is not None and widget.recorder.state.is_over, 60)
    finish(widget)
    thread.join(DEADLINE)
    pump(lambda: len(frames) == 12)
    core.mda.events.frameReady.disconnect(keep)
    status = widget.recorder.status()
    assert (status.written, status.dropped) == (12, 0)
    for position in range(2):
        array = aqz.ZarrArrayReader(Path(widget.recorder.store_path, f"position_{position}", "0"))
        assert array.shape[:2] == (2, 3)
        for t, z in np.ndindex(2, 3):
            assert np.array_equal(array.read_plane(t, z), frames[position, t, z])
    assert {"position_0", "position_1"} <= {layer.name for layer in viewer.layers}

    widget.choices.view.arm_again = True
    widget.choices.view.open_after = False
    assert widget.start()
    for take in (2, 3):
        pump(lambda: "Waiting" in widget.header.state.text())
        before = widget.recorder
        thread = core.run_mda(useq.MDASequence(time_plan={"interval": 0, "loops": take}))
        pump(lambda: widget.recorder is not before and widget.recorder.state.is_over, 60)  # noqa: B023
        thread.join(DEADLINE)
        assert widget.recorder.status().written == take
    pump(lambda: "Waiting" in widget.header.state.text())
    widget.choices.view.arm_again = False
    widget.toggle()
    pump(lambda: not widget.is_busy())


def test_the_camera_is_chosen_rather_than_its_preview(viewer, widget, core, frame_of):
    core.startContinuousSequenceAcquisition(0)
    preview = viewer.add_image(frame_of(0), name="preview")
    widget.sources.refresh()
    assert widget.sources.chosen() == ["camera"]
    widget.sources.choose(preview)

    def told():
        preview.data = frame_of(1)
        widget.sources.refresh()
        widget.check()
        return "frames a second that Demo makes" in notice(widget, "source")

    pump(told)
    assert "/s" in widget.sources._items["camera"].text(1)
    widget.sections["source"].fix.click()
    assert widget.sources.chosen() == ["camera"]
    core.stopSequenceAcquisition()


def test_the_preview_shows_new_frames_and_takes_its_time(viewer, widget, frame_of):
    from aqz_napari.widget.live_preview import LivePreview

    layer = viewer.add_image(frame_of(0), name="preview", contrast_limits=(0, 60000))
    shown = {"frame": frame_of(0, dtype=np.uint16)}
    preview = LivePreview(viewer, lambda: shown["frame"])
    preview.start()
    pump(lambda: preview.shown == 1)
    drawn = []
    layer.events.set_data.connect(drawn.append)  # what the canvas listens to
    shown["frame"] = np.full((32, 48), 60000, np.uint16)
    pump(lambda: preview.shown == 2)
    assert np.array_equal(layer.data, shown["frame"])
    assert layer.data is not shown["frame"]
    assert drawn
    preview.cost = 0.1
    assert preview.interval == pytest.approx(0.1 / 0.15)
    preview.stop()
    shown["frame"] = frame_of(3)
    pump(lambda: True)
    assert preview.shown == 2
