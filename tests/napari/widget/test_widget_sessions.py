"""Whole sessions with the dock in a real window: truth, memory, hands on mouse and keys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_napari.form import memory
from aqz_napari.sources.frame_source import Axis, SourceSpec, register_source, unregister_source
from aqz_napari.sources.generator_source import GeneratorSource
from aqz_napari.widget.form_parts import ERROR, GOOD, WARNING
from aqz_napari.widget.record_widget import forget_panel
from tests.napari.window import finish, needs_display, notice, pump, start

pytest.importorskip("napari", reason="needs the extra `napari`")
pytestmark = needs_display


@pytest.fixture
def told(monkeypatch):
    """What napari's notifications are given."""
    said = []
    for kind in ("info", "warning", "error"):
        monkeypatch.setattr(
            f"napari.utils.notifications.show_{kind}", lambda m, kind=kind: said.append((kind, m))
        )
    return said


def take(widget, live, frames):
    """Record some frames, and stop."""
    recorder = start(widget)
    for frame in frames:
        live.data = frame
    widget.stop()
    finish(widget)
    return recorder


def dot(widget):
    return {c for c in (ERROR, WARNING, GOOD) if c in widget.header.dot.styleSheet()}


def test_a_start_that_fails_after_a_good_take_stays_failed(
    viewer, widget, live, frame_of, monkeypatch, told
):
    first = take(widget, live, [frame_of(1)])
    layers = list(viewer.layers)

    def refuse(*_):
        raise aqz.StorageError(13, "the bucket 'wrong' does not exist")

    with monkeypatch.context() as patched:
        patched.setattr("aqz_core.ZarrStream", refuse)
        assert widget.start()
        pump(lambda: widget.session.starting is None)
    for _ in range(8):
        widget.tick()
    assert widget.header.state.text() == "Not started"
    assert "bucket 'wrong'" in widget.header.message.text()
    assert dot(widget) == {ERROR}
    assert [kind for kind, _ in told] == ["info"]  # of the take that was good, once
    assert list(viewer.layers) == layers
    assert widget.take.store == first.store_path
    second = take(widget, live, [frame_of(2)])
    assert widget.header.state.text() == "Done"
    assert second.store_path != first.store_path


def test_each_recording_ends_once(viewer, widget, live, frame_of, told):
    take(widget, live, [frame_of(1)])
    count = len(viewer.layers)
    for _ in range(6):
        widget.tick()
    assert len(told) == 1
    assert len(viewer.layers) == count


def test_closing_the_dock_and_opening_it_again_shows_the_same_recording(
    viewer, widget, live, frame_of
):
    recorder = start(widget)
    live.data = frame_of(1)
    shell = widget.parentWidget()
    shell.parentWidget().destroyOnClose()  # what the cross of the dock does
    live.data = frame_of(2)
    _, again = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    assert again is not shell
    assert again.panel is widget
    pump(lambda: "2 frames" in widget.header.numbers.text())
    assert widget.header.record.text() == "Stop"
    assert widget.header.record.isVisibleTo(again)
    (press,) = [call for key, call in viewer.keymap.items() if str(key) == "Ctrl+Shift+R"]
    press(viewer)
    finish(widget)
    assert widget.recorder is recorder
    assert recorder.status().written == 2


def test_what_is_typed_in_the_axes_stays_until_reset(widget, live, frame_of):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    widget.sections["dimensions"].fold.expand(False)
    row = widget.arrays.table._rows[0]
    box = row.scale.native
    box.selectAll()
    QTest.keyClicks(box, "2.5")
    QTest.keyClick(box, Qt.Key.Key_Return)
    row.unit.value = "s"
    live.contrast_limits = (5, 500)
    live.colormap = "magenta"
    live.name = "renamed"
    live.scale = (7, 8)
    pump(lambda: widget.arrays.table.axes()[1].scale == 7)
    assert [axis.scale for axis in widget.arrays.table.axes()] == [2.5, 7, 8]
    recorder = take(widget, live, [frame_of(1)])
    document = json.loads(Path(recorder.store_path, "zarr.json").read_text())["attributes"]["ome"]
    image = document["multiscales"][0]
    scale = image["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert (scale, image["axes"][0]["unit"]) == ([2.5, 7, 8], "second")
    widget.reset_button.click()
    assert [axis.scale for axis in widget.arrays.table.axes()] == [1, 7, 8]


def test_the_default_place_is_recorded_to_and_opened(viewer, widget, live, frame_of, monkeypatch):
    home = Path(widget.choices.place.folder)
    monkeypatch.setenv("HOME", str(home))
    widget.choices.place.folder = "~"
    recorder = take(widget, live, [frame_of(4)])
    assert recorder.store_path.startswith(str(home))
    layer = viewer.layers["live_001"]
    assert np.array_equal(np.asarray(layer.data[0]), frame_of(4))


def test_no_frame_for_some_seconds_is_said_with_the_capture_that_would_see_them(
    viewer, widget, live, monkeypatch
):
    monkeypatch.setattr("aqz_napari.widget.run_watch._NO_FRAME_SECONDS", 0.2)
    start(widget)
    pump(lambda: "No frame has come" in widget.header.message.text())
    assert "Is the camera running" in widget.header.message.text()

    def painted():
        live.data[...] += 1
        live.refresh()
        return "in place" in widget.header.message.text()

    pump(painted)
    widget.stop()
    finish(widget)
    assert (widget.header.state.text(), dot(widget)) == ("Nothing recorded", {WARNING})


def test_a_camera_that_fails_is_not_a_good_end(widget, viewer, told, frame_of):
    def failing():
        yield frame_of(0)
        raise OSError("the cable is out")

    register_source("loose", lambda: GeneratorSource(failing, "loose", shape=(32, 48), dtype="u2"))
    try:
        widget.sources.refresh()
        widget.sources.choose("loose")
        start(widget)
        finish(widget)
    finally:
        unregister_source("loose")
    assert (widget.header.state.text(), dot(widget)) == ("Ended early", {WARNING})
    assert "the cable is out" in widget.header.message.text()
    ((kind, message),) = told
    assert kind == "warning"
    assert "the cable is out" in message


def test_the_wheel_scrolls_the_form_and_changes_nothing(widget, live):
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox

    for section in widget.sections.values():
        if section.fold is not None:
            section.fold.expand(False)
    widget.check()
    before = widget.plan(), widget.choices.as_dict(), widget.presets.currentText()
    boxes = widget._form.findChildren(QComboBox) + widget._form.findChildren(QAbstractSpinBox)
    assert len(boxes) > 20
    for box in boxes:
        event = QWheelEvent(
            QPointF(5, 5), QPointF(box.mapToGlobal(QPoint(5, 5))), QPoint(), QPoint(0, 240),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
            False,
        )  # fmt: skip
        QApplication.sendEvent(box, event)
    assert (widget.plan(), widget.choices.as_dict(), widget.presets.currentText()) == before


def test_new_layers_leave_focus_and_choice_alone(viewer, widget, live, frame_of):
    from qtpy.QtWidgets import QApplication

    before = QApplication.focusWidget()
    typed = widget.plan()
    for number in range(3):
        viewer.add_image(np.zeros((9, 9, 9), np.uint8), name=f"new {number}")
        viewer.layers.selection.active = live
    pump(lambda: len(widget.sources._items) == 4)
    assert QApplication.focusWidget() is before
    assert widget.sources.chosen() == [live]
    assert widget.plan() == typed


class Lossless:
    """A camera that is registered: every frame."""

    def describe(self):
        axes = (Axis("t", 0, "time"), Axis("y", 8), Axis("x", 8))
        return SourceSpec("lossless", axes, np.dtype("u1"))

    def start(self, sink):
        sink.end()

    def stop(self):
        pass


def test_a_lossy_layer_is_not_chosen_beside_a_source_that_loses_nothing(viewer, widget, frame_of):
    register_source("lossless", Lossless)
    try:
        viewer.add_image(frame_of(0), name="preview")
        widget.sources.refresh()
        assert widget.sources.chosen() == ["lossless"]
        assert [item.text(1) for item in widget.sources._items.values()] == [
            "every frame", "as displayed",
        ]  # fmt: skip
        other = viewer.add_image(frame_of(0), name="other")
        widget.sources.choose(other)
        widget.sources.refresh()
        assert widget.sources.chosen() == [other]  # the user's word
    finally:
        unregister_source("lossless")


def test_settings_are_remembered_for_the_next_viewer(viewer, widget, live, tmp_path):
    c = widget.choices
    c.storage.codec, c.stop.unit, c.stop.amount, c.capture.how = "zstd", "min", 3.5, "timer"
    c.view.keep_free = 2.5
    c.place.folder = "memory://me:secret@host/runs"
    widget._remember()
    viewer.window.remove_dock_widget("all")
    forget_panel(viewer)
    _, shell = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    again = shell.panel.choices
    assert shell.panel is not widget
    assert (again.storage.codec, again.stop.rule(0).seconds) == ("zstd", 210)
    assert (again.capture.how, again.view.keep_free) == ("timer", 2.5)
    assert "secret" not in again.place.folder
    shell.panel.reset()
    assert (again.storage.codec, again.stop.unit, again.place.folder) == ("blosc-lz4", "", "~")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"storage": {"codec": "x", "level": "9"}}'])
def test_a_damaged_memory_is_no_harm(text):
    from aqz_napari.form.choices import Choices

    memory._path().parent.mkdir(parents=True, exist_ok=True)
    memory._path().write_text(text)
    choices = Choices()
    choices.take(memory.recall())
    assert choices.as_dict() == Choices().as_dict()
    memory.forget()


def test_presets_in_files_hold_limits_captures_and_flags(widget, live, tmp_path):
    c = widget.choices
    c.stop.unit, c.stop.amount, c.capture.how, c.view.follow = "GB", 2.0, "in_place", True
    path = str(tmp_path / "mine.yaml")
    widget.tools.save_preset(path)
    assert aqz.StreamSettings.from_file(path).arrays  # still the engine's own
    widget.reset()
    widget.tools.load_preset(path)
    assert (c.stop.rule(0).nbytes, c.capture.how, c.view.follow) == (
        2_000_000_000,
        "in_place",
        True,
    )


def test_the_live_view_is_left_alone_by_the_result(viewer, widget, live, frame_of):
    widget.choices.view.open_after = False
    viewer.layers.selection.active = live
    take(widget, live, [frame_of(1)])
    assert list(viewer.layers) == [live]
    assert widget.take.widget.isVisibleTo(widget)
    widget.take.open.click()
    assert viewer.layers[-1] is live  # on top
    assert viewer.layers.selection.active is live
    assert widget.sources.offered() == [live]  # a recording is not offered to be recorded
    start(widget)
    assert not widget.take.widget.isVisibleTo(widget)


def test_a_limit_shows_a_bar_and_what_is_left(widget, live, frame_of):
    widget.choices.stop.unit, widget.choices.stop.amount = "frames", 10
    start(widget)
    for number in range(5):
        live.data = frame_of(number)
    pump(lambda: widget.recorder.status().written == 5)
    widget.tick()
    assert widget.header.progress.isVisibleTo(widget)
    assert widget.header.progress.value() == 500
    assert "left" in widget.header.clock.text()


def test_a_snapshot_is_what_the_layer_shows(widget, live, frame_of):
    live.data = frame_of(3)
    stores = []
    for _ in range(2):
        assert widget.snap()
        pump(lambda: widget.session.starting is None)
        finish(widget)
        assert widget.recorder.report.status.is_complete
        stores.append(widget.recorder.store_path)
        pixels = zarr.open_array(f"{stores[-1]}/0", mode="r")
        assert np.array_equal(pixels[:], [frame_of(3)])
    assert [Path(store).name for store in stores] == [
        "live_001_snap.ome.zarr",
        "live_002_snap.ome.zarr",
    ]
    assert widget.choices.stop.unit == ""  # the next recording is one


def test_metadata_are_stored_with_their_names(widget, live, frame_of):
    widget.choices.view.metadata = "sample: HeLa, passage 7\ntemperature: 37.5\n\ndyes: [1, 2]"
    recorder = take(widget, live, [frame_of(1)])
    document = json.loads((Path(recorder.store_path) / "zarr.json").read_text())
    assert document["attributes"]["metadata"] == {
        "sample": "HeLa, passage 7",
        "temperature": 37.5,
        "dyes": [1, 2],
    }
    widget.choices.view.metadata = "sample HeLa"
    widget.check()
    assert "line 1 of the metadata, 'sample HeLa'" in notice(widget, "advanced")
    assert not widget.header.record.isEnabled()


def test_record_waits_for_the_rate_that_is_asked_for(widget, live, frame_of):
    widget.choices.frames.from_rate = 1e-3  # any three frames in half an hour
    recorder = start(widget)
    widget.tick()
    assert widget.header.state.text() == "Armed: waits for frames"
    for number in range(1, 6):
        live.data = frame_of(number)
    widget.stop()
    finish(widget)
    pixels = zarr.open_array(f"{recorder.store_path}/0", mode="r")
    assert np.array_equal(pixels[:], [frame_of(number) for number in (3, 4, 5)])


def test_notes_are_stored(widget, live, frame_of):
    widget.choices.view.notes = "mouse 7, 37 °C"
    recorder = take(widget, live, [frame_of(1)])
    document = json.loads(Path(recorder.store_path, "zarr.json").read_text())
    assert document["attributes"]["notes"] == "mouse 7, 37 °C"


def test_several_layers_far_names_and_a_narrow_dock_fit(viewer, widget, frame_of):
    for number in range(20):
        viewer.add_image(frame_of(0), name=f"a long name of a layer that nobody shortened {number}")
    widget.resize(280, 700)
    for section in widget.sections.values():
        if section.fold is not None:
            section.fold.expand(False)
    widget.check()
    assert widget.minimumSizeHint().width() <= 280
    room = 280 - widget._scroll.verticalScrollBar().sizeHint().width()
    assert widget._form.minimumSizeHint().width() <= room
    assert "fit" in widget.need.text()
    assert notice(widget, "source") == ""


def test_finishing_shows_what_is_still_to_be_stored(widget, live):
    from aqz_napari.recorder.recorder_status import (
        ArrayCount,
        RecorderState,
        RecorderStatus,
        StopRule,
    )

    counts = {"": ArrayCount(received=100, accepted=100, written=40)}
    finishing = RecorderStatus(
        RecorderState.FINISHING, arrays=counts, seconds=20, waiting=60, was_planned=True
    )
    widget.header.show_status(finishing, StopRule())
    assert widget.header.state.text() == "Finishing"
    assert widget.header.progress.format() == "60 frames to store, 0:30 left"
    assert widget.header.progress.value() == 400


def test_the_time_of_finishing_is_not_counted(tmp_path, settings, frame_of):
    from aqz_napari import Recorder

    recorder = Recorder(settings())
    recorder.start()
    recorder.push(frame_of(0))
    recorder.stop()
    asked = recorder.status().seconds
    recorder.wait(20)
    assert recorder.status().seconds == pytest.approx(asked, abs=1e-3)
