"""Acquisitions of several positions, and axes that OME-NGFF has words for or not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import aqz_core as aqz
from aqz_napari import (
    AcquisitionSource,
    LayerSource,
    Recorder,
    SourceError,
    acquisition_sources,
)
from aqz_napari.form.recording_plan import array_keys, for_sites, plan_for
from aqz_napari.form.recording_start import RecordingStart
from aqz_napari.ome_zarr.reader import read_layers
from aqz_napari.sources.acquisition_sites import sites_of
from aqz_napari.sources.acquisition_source import NextAcquisition
from tests.support.validators import VALIDATORS, assert_valid_ngff

useq = pytest.importorskip("useq", reason="needs the extra `micromanager`")

DEADLINE = 60.0

PLACES = useq.MDASequence(
    axis_order="tpcz",
    time_plan={"interval": 0, "loops": 2},
    stage_positions=[{"x": 0, "y": 0, "name": "left/1"}, {"x": 5, "y": 0}],
    channels=[{"group": "Channel", "config": "DAPI"}, {"group": "Channel", "config": "FITC"}],
    z_plan={"range": 4, "step": 2},
)


class FakeSignal:
    """A signal as psygnal has it."""

    def __init__(self):
        self.callbacks = []

    def connect(self, callback):
        self.callbacks.append(callback)

    def disconnect(self, callback):
        self.callbacks.remove(callback)

    def emit(self, *arguments):
        for callback in list(self.callbacks):
            callback(*arguments)


class FakeCore:
    """A core that runs sequences without hardware, for layouts; a real one is driven below."""

    def __init__(self):
        names = ("frameReady", "sequenceStarted", "sequenceCanceled", "sequenceFinished")
        self.mda = SimpleNamespace(events=SimpleNamespace(**{n: FakeSignal() for n in names}))

    def getPixelSizeUm(self):
        return 0.65

    def getImageHeight(self):
        return 16

    def getImageWidth(self):
        return 24

    def getNumberOfComponents(self):
        return 1

    def getBytesPerPixel(self):
        return 2

    def getNumberOfCameraChannels(self):
        return 1

    def run(self, sequence, cancel_after=None):
        """Send every frame of a sequence, with a value that tells its index."""
        events = self.mda.events
        events.sequenceStarted.emit(sequence, {})
        for number, event in enumerate(sequence):
            if number == cancel_after:
                events.sequenceCanceled.emit(sequence)
                break
            events.frameReady.emit(np.full((16, 24), pixel(event.index), np.uint16), event, {})
        events.sequenceFinished.emit(sequence)


def pixel(index):
    return 1 + sum(index.get(a, 0) * f for a, f in zip("ptcz", (1000, 100, 10, 1), strict=True))


@pytest.fixture
def core():
    return FakeCore()


def record(tmp_path, sources):
    titles = [source.describe().name for source in sources]
    by_key = dict(zip(array_keys(titles), sources, strict=True))
    plan = plan_for({key: source.describe() for key, source in by_key.items()})
    recorder = Recorder(plan.settings(str(tmp_path / "out.ome.zarr")), by_key)
    recorder.start()
    return recorder


def test_each_position_becomes_an_image_with_its_name(core, tmp_path):
    recorder = record(tmp_path, acquisition_sources(core, PLACES))
    core.run(PLACES)
    report = recorder.wait(DEADLINE)
    assert (report.status.written, report.status.dropped) == (24, 0)
    store = Path(report.store_path)
    for position, key in enumerate(("left_1", "position_1")):
        assert_valid_ngff(store / key)
        array = aqz.ZarrArrayReader(store / key / "0")
        assert array.shape == (2, 2, 3, 16, 24)
        for t, c, z in np.ndindex(2, 2, 3):
            index = {"p": position, "t": t, "c": c, "z": z}
            assert (array.read_plane(t, c, z) == pixel(index)).all()
        axes = json.loads((store / key / "zarr.json").read_text())["attributes"]["ome"]
        assert [a["type"] for a in axes["multiscales"][0]["axes"]] == [
            "time", "channel", "space", "space", "space",
        ]  # fmt: skip


def test_a_store_of_several_positions_lists_them_for_every_reader(core, tmp_path):
    recorder = record(tmp_path, acquisition_sources(core, PLACES))
    core.run(PLACES)
    store = Path(recorder.wait(DEADLINE).store_path)
    root = json.loads((store / "zarr.json").read_text())["attributes"]["ome"]
    assert root["bioformats2raw.layout"] == 3
    series = json.loads((store / "OME" / "zarr.json").read_text())["attributes"]["ome"]["series"]
    assert series == ["left_1", "position_1"]
    VALIDATORS["yaozarrs"](store)
    layers = read_layers(str(store))
    assert [options["name"] for _, options, _ in layers] == [
        "left_1 DAPI", "left_1 FITC", "position_1 DAPI", "position_1 FITC",
    ]  # fmt: skip
    assert layers[0][1]["units"][-2:] == ("micrometer", "micrometer")


def test_positions_that_differ_and_tiles_of_a_grid_are_sites(core, tmp_path):
    sequence = useq.MDASequence(
        stage_positions=[
            (0, 0),
            {"x": 1, "y": 1, "name": "deep", "sequence": {"z_plan": {"range": 2, "step": 1}}},
        ],
    )
    assert [(s.name, s.sizes) for s in sites_of(sequence)] == [
        ("position 0", {}),
        ("deep", {"z": 3}),
    ]
    tiles = useq.MDASequence(
        grid_plan={"rows": 2, "columns": 1}, time_plan={"interval": 1, "loops": 4}
    )
    assert [(s.name, s.place) for s in sites_of(tiles)] == [
        ("tile 0", {"g": 0}),
        ("tile 1", {"g": 1}),
    ]
    recorder = record(tmp_path, acquisition_sources(core, sequence))
    core.run(sequence)
    report = recorder.wait(DEADLINE)
    assert report.status.written == 4
    deep = aqz.ZarrArrayReader(Path(report.store_path, "deep", "0"))
    assert [int(deep.read_plane(z)[0, 0]) for z in range(3)] == [1001, 1002, 1003]


def test_a_source_for_several_positions_says_what_to_use(core):
    with pytest.raises(SourceError, match=r"2 positions.*acquisition_sources"):
        AcquisitionSource(core, PLACES).describe()


def test_an_acquisition_that_is_cancelled_ends_the_recording_and_says_so(core, tmp_path):
    recorder = record(tmp_path, acquisition_sources(core, PLACES))
    core.run(PLACES, cancel_after=7)
    report = recorder.wait(DEADLINE)
    assert report.status.message == "the acquisition was cancelled"
    assert report.status.written == 7
    assert_valid_ngff(Path(report.store_path, "left_1"))


def test_the_next_acquisition_is_known_before_its_first_frame(core):
    source = NextAcquisition(core)
    found = []
    source.wait_for(found.extend)
    core.run(PLACES)
    core.run(PLACES)  # only the next one
    assert [s.describe().name for s in found] == ["left/1", "position 1"]
    source.wait_for(found.extend)
    source.give_up()
    core.run(PLACES)
    assert len(found) == 2


def test_giving_up_at_the_moment_an_acquisition_begins_loses_no_recording(core, tmp_path):
    source = NextAcquisition(core)
    spec = source.describe()
    plan = replace(plan_for({"": spec}), destination=str(tmp_path / "next.ome.zarr"))
    start = RecordingStart(plan, [(source, spec)], None)
    start.begin()
    seen = []

    class Signal(FakeSignal):
        """Lets the user give up while the acquisition begins."""

        def disconnect(self, callback):
            super().disconnect(callback)
            start.give_up()
            seen.append(start.is_busy)

    begun = Signal()
    begun.callbacks = core.mda.events.sequenceStarted.callbacks
    core.mda.events.sequenceStarted = begun
    core.run(PLACES)
    assert seen == [True]  # it was too late: the recording is on its way
    assert (start.is_busy, start.error) == (False, None)
    assert start.recorder.wait(DEADLINE).status.written == 24


def test_an_acquisition_that_was_given_up_is_not_recorded(core, tmp_path):
    source = NextAcquisition(core)
    plan = replace(plan_for({"": source.describe()}), destination=str(tmp_path / "no.ome.zarr"))
    start = RecordingStart(plan, [(source, source.describe())], None)
    start.begin()
    start.give_up()
    assert not start.is_busy
    core.run(PLACES)
    assert start.recorder is None
    assert not list(tmp_path.iterdir())


def test_events_without_a_plan_are_recorded_along_t(core):
    source, found = NextAcquisition(core), []
    source.wait_for(found.extend)
    core.mda.events.sequenceStarted.emit(SimpleNamespace(), {})
    (only,) = found
    assert [axis.name for axis in only.describe().axes] == ["t", "y", "x"]


def test_what_the_form_says_of_an_axis_holds_for_the_acquisition(core):
    generic = NextAcquisition(core).describe()
    form = plan_for({"": generic}).arrays[0]
    axes = (*form.axes[:-1], replace(form.axes[-1], chunk=12, scale=0.5))
    first, _ = for_sites(
        replace(form, axes=axes),
        generic,
        [source.describe() for source in acquisition_sources(core, PLACES)],
    )
    assert [(a.name, a.size) for a in first.axes] == [
        ("t", 2), ("c", 2), ("z", 3), ("y", 16), ("x", 24),
    ]  # fmt: skip
    assert [(a.chunk, a.scale) for a in first.axes[-2:]] == [(16, 0.65), (12, 0.5)]


@pytest.mark.parametrize("names", ["tyx", "tzyx", "tcyx"])
def test_a_layer_with_an_axis_of_time_is_recorded_as_a_valid_image(viewer_model, tmp_path, names):
    shape = (2, 3, 4, 5)[-len(names) :]
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    layer = viewer_model.add_image(pixels, axis_labels=tuple(names))
    recorder = record(tmp_path, [LayerSource(layer)])
    layer.data = pixels
    layer.data = pixels + 1
    report = recorder.close()
    assert_valid_ngff(Path(report.store_path))
    ((data, options, _),) = read_layers(report.store_path)
    assert options["axis_labels"] == ("update", *names)
    assert np.array_equal(np.asarray(data), np.stack([pixels, pixels + 1]))


def test_axes_that_ngff_has_no_words_for_are_a_plain_array_that_opens_right(viewer_model, tmp_path):
    zarr = pytest.importorskip("zarr")
    pixels = np.arange(2 * 2 * 2 * 3 * 4, dtype=np.uint16).reshape(2, 2, 2, 3, 4)
    layer = viewer_model.add_image(
        pixels,
        axis_labels=tuple("tczyx"),
        scale=(1, 1, 2, 0.5, 0.25),
        units=("s", "pixel", "um", "um", "um"),
    )  # fmt: skip
    recorder = record(tmp_path, [LayerSource(layer)])
    layer.data = pixels
    report = recorder.close()
    array = zarr.open_array(report.store_path, mode="r")
    assert array.metadata.dimension_names == ("update", *"tczyx")
    ((data, options, _),) = read_layers(report.store_path)
    assert np.array_equal(np.asarray(data[0]), pixels)
    shown = viewer_model.add_image(data, **options)
    assert np.allclose(shown.scale[1:], layer.scale)
    assert [str(u) for u in shown.units[1:]] == [str(u) for u in layer.units]
