"""Layers as sources of frames, on napari's own layers without a window."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from aqz_napari import LayerSource, Recorder, SourceError
from aqz_napari.form.recording_plan import plan_for

DEADLINE = 10.0


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def axes_of(spec):
    return [(axis.name, axis.size, axis.kind, axis.scale, axis.unit) for axis in spec.axes]


def test_axes_scale_and_units_come_from_the_layer(viewer_model):
    layer = viewer_model.add_image(
        np.zeros((32, 48), np.uint16), name="live", scale=(0.5, 0.25), units=("um", "um"),
        axis_labels=("y", "x"), colormap="green", contrast_limits=(10, 900),
    )  # fmt: skip
    spec = LayerSource(layer).describe()
    assert axes_of(spec) == [
        ("t", 0, "time", 1.0, None),
        ("y", 32, "space", 0.5, "micrometer"),
        ("x", 48, "space", 0.25, "micrometer"),
    ]
    assert (spec.dtype, spec.update_shape, spec.every_frame) == (np.uint16, (32, 48), False)
    assert spec.channels == (("live", "00FF00", (10.0, 900.0)),)


def test_unknown_units_and_labels_stay_unknown(viewer_model):
    layer = viewer_model.add_image(np.zeros((4, 32, 48), np.float32))
    names = [(axis.name, axis.unit) for axis in LayerSource(layer).describe().axes]
    assert names == [("t", None), ("z", None), ("y", None), ("x", None)]


def test_labels_of_the_viewer_are_used_where_the_layer_has_none(viewer_model):
    layer = viewer_model.add_image(np.zeros((4, 32, 48), np.uint8))
    viewer_model.dims.axis_labels = ("c", "rows", "columns")
    spec = LayerSource(layer, viewer=viewer_model).describe()
    assert [axis.name for axis in spec.axes] == ["t", "c", "rows", "columns"]
    assert spec.axes[1].kind == "channel"


def test_every_set_is_recorded_once_and_copied(viewer_model, sink, frame_of):
    layer = viewer_model.add_image(frame_of(0))
    source = LayerSource(layer)
    source.start(sink)
    for number in range(1, 301):
        layer.data = frame_of(number)
    layer.scale = (2, 2)
    layer.visible = False
    layer.refresh()
    source.stop()
    layer.data = frame_of(999)
    assert len(sink.frames) == 300
    assert all(np.array_equal(sink.frames[i], frame_of(i + 1)) for i in range(300))


def test_changes_in_place_are_found_and_redraws_are_not_frames(viewer_model, sink, frame_of):
    pixels = frame_of(0)
    layer = viewer_model.add_image(pixels)
    source = LayerSource(layer, "in_place")
    source.start(sink)
    pixels[...] = frame_of(1)
    layer.refresh()
    layer.refresh()  # the same pixels
    layer.data = frame_of(2)
    layer.data = frame_of(2)  # a new frame that looks like the one before
    layer.visible = False
    layer.data = frame_of(3)
    source.stop()
    assert [int(frame[0, 0]) for frame in sink.frames] == [7, 14, 14, 21]


def test_a_slider_that_moves_is_no_frame_of_a_stack(viewer_model, sink):
    layer = viewer_model.add_image(np.arange(4 * 32 * 48, dtype=np.uint16).reshape(4, 32, 48))
    source = LayerSource(layer, "in_place", viewer=viewer_model)
    source.start(sink)
    viewer_model.dims.set_current_step(0, 2)
    source.stop()
    assert sink.frames == []


def test_at_regular_times_only_what_changed_if_asked(viewer_model, sink, frame_of):
    pixels = frame_of(0)
    layer = viewer_model.add_image(pixels)
    source = LayerSource(layer, "timer", interval=0.01, skip_unchanged=True)
    source.start(sink)
    wait_until(lambda: len(sink.frames) == 1)
    pixels[...] = frame_of(5)
    wait_until(lambda: len(sink.frames) == 2)
    source.stop()
    assert np.array_equal(sink.frames[1], frame_of(5))


def test_the_slice_on_display(viewer_model, sink):
    stack = np.stack([np.full((32, 48), z, np.uint8) for z in range(5)])
    layer = viewer_model.add_image(stack)
    viewer_model.dims.set_current_step(0, 3)
    source = LayerSource(layer, update="slice", viewer=viewer_model)
    assert source.describe().update_shape == (32, 48)
    source.start(sink)
    layer.data = stack + 10
    source.stop()
    assert sink.frames[0].shape == (32, 48)
    assert sink.frames[0][0, 0] == 13


def test_what_a_growing_stack_gained(viewer_model, sink):
    zarr = pytest.importorskip("zarr")
    grown = zarr.create_array({}, shape=(2, 32, 48), chunks=(1, 32, 48), dtype="u2")
    layer = viewer_model.add_image(grown)
    source = LayerSource(layer, update="added")
    spec = source.describe()
    assert (spec.axes[0].size, spec.update_shape) == (0, (32, 48))
    source.start(sink)
    for size in (3, 6):
        grown.resize((size, 32, 48))
        grown[size - 1] = size
        layer.data = grown
    source.stop()
    assert [int(frame[0, 0]) for frame in sink.frames] == [3, 0, 0, 6]


def test_colour_images_get_a_channel_axis(viewer_model, sink):
    pixels = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    layer = viewer_model.add_image(pixels, rgb=True, scale=(2, 3))
    source = LayerSource(layer)
    spec = source.describe()
    assert [(a.name, a.size, a.scale) for a in spec.axes[1:]] == [
        ("c", 3, 1.0), ("y", 32, 2.0), ("x", 48, 3.0),
    ]  # fmt: skip
    assert [channel[1] for channel in spec.channels] == ["FF0000", "00FF00", "0000FF"]
    source.start(sink)
    layer.data = pixels
    source.stop()
    assert np.array_equal(sink.frames[0], np.moveaxis(pixels, -1, 0))


def test_multiscale_lazy_and_label_layers(viewer_model, sink):
    dask = pytest.importorskip("dask.array")
    big = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    multiscale = viewer_model.add_image([big, big[::2, ::2]], multiscale=True)
    lazy = viewer_model.add_image(dask.from_array(big))
    labels = viewer_model.add_labels(big.astype(np.int32))
    for layer, data in ((multiscale, [big + 1, big[::2, ::2]]), (lazy, dask.from_array(big + 1))):
        source = LayerSource(layer)
        assert source.describe().update_shape == (64, 64)
        source.start(sink)
        layer.data = data
        source.stop()
        assert np.array_equal(sink.frames[-1], big + 1)
    assert LayerSource(labels).describe().channels == ()
    assert LayerSource(labels).describe().dtype == np.int32


def test_sets_from_another_thread(viewer_model, sink, frame_of):
    layer = viewer_model.add_image(frame_of(0))
    layer.visible = False
    source = LayerSource(layer)
    source.start(sink)
    thread = threading.Thread(target=lambda: setattr(layer, "data", frame_of(1)))
    thread.start()
    thread.join(DEADLINE)
    source.stop()
    assert np.array_equal(sink.frames[0], frame_of(1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros(5, np.uint8), "needs rows and columns"),
        (np.array([[object()]]), "data type object"),
        (np.zeros((4, 4), np.complex64), "complex64"),
    ],
)
def test_layers_that_cannot_be_recorded_are_refused(data, message):
    layer = SimpleNamespace(data=data, name="odd", scale=(1.0,) * data.ndim, axis_labels=())
    with pytest.raises(SourceError, match=message):
        LayerSource(layer).describe()


def test_a_layer_that_cannot_grow_is_refused(viewer_model):
    layer = viewer_model.add_image(np.zeros((4, 4)))
    with pytest.raises(SourceError, match="no axis that could grow"):
        LayerSource(layer, update="added").describe()


@pytest.mark.parametrize("wrong", [{"capture": "often"}, {"update": "half"}, {"interval": 0}])
def test_unknown_ways_are_refused(viewer_model, wrong):
    layer = viewer_model.add_image(np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"choose one of|positive"):
        LayerSource(layer, **wrong)


def record(tmp_path, sources, **others):
    plan = plan_for({key: source.describe() for key, source in sources.items()})
    recorder = Recorder(plan.settings(str(tmp_path / "out.ome.zarr")), sources, **others)
    recorder.start()
    return recorder


def test_a_burst_is_recorded_in_order(viewer_model, tmp_path, frame_of):
    import aqz_core as aqz

    layer = viewer_model.add_image(frame_of(0))
    recorder = record(tmp_path, {"": LayerSource(layer)})
    for number in range(300):
        layer.data = frame_of(number)
    report = recorder.close()
    assert (report.status.written, report.status.dropped) == (300, 0)
    array = aqz.ZarrArrayReader(tmp_path / "out.ome.zarr" / "0")
    assert all(np.array_equal(array.read_plane(n), frame_of(n)) for n in range(300))


def test_a_layer_that_is_removed_ends_the_recording(viewer_model, tmp_path, frame_of):
    layer = viewer_model.add_image(frame_of(0), name="live")
    recorder = record(tmp_path, {"": LayerSource(layer, viewer=viewer_model)})
    layer.data = frame_of(1)
    layer.name = "renamed"
    viewer_model.layers.remove(layer)
    report = recorder.wait(DEADLINE)
    assert report.status.message == "layer 'renamed' was removed"
    assert report.status.written == 1
    assert not report.status.is_complete  # nobody asked for this end


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((16, 16), np.uint16), r"shape from (32, 48) to (16, 16)"),
        (np.zeros((32, 48), np.uint8), "data type from uint16 to uint8"),
        (np.zeros((2, 32, 48), np.uint16), r"shape from (32, 48) to (2, 32, 48)"),
    ],
)
def test_a_layer_that_changes_ends_the_recording_without_an_error(
    viewer_model, tmp_path, frame_of, data, message
):
    layer = viewer_model.add_image(frame_of(0))
    recorder = record(tmp_path, {"": LayerSource(layer)})
    layer.data = frame_of(1)
    layer.data = data  # must not raise
    report = recorder.wait(DEADLINE)
    assert message in report.status.message
    assert report.status.written == 1


def test_a_small_spot_that_moves_is_seen_in_place(viewer_model, sink):
    pixels = np.zeros((256, 256), np.uint16)
    layer = viewer_model.add_image(pixels, contrast_limits=(0, 1000))
    source = LayerSource(layer, "in_place")
    source.start(sink)
    for number in range(30):
        pixels[...] = 0
        pixels[3 + 7 * number : 8 + 7 * number, 91:96] = 1000
        layer.refresh()
    source.stop()
    assert [int(np.argmax(frame[:, 91] > 0)) for frame in sink.frames] == [
        3 + 7 * number for number in range(30)
    ]


@pytest.mark.parametrize("capture", ["update", "in_place"])
def test_labels_that_are_painted_are_frames(viewer_model, sink, capture):
    layer = viewer_model.add_labels(np.zeros((40, 40), np.uint8))
    source = LayerSource(layer, capture)
    assert source.describe().is_labels
    source.start(sink)
    for number in range(1, 21):
        layer.paint((number, number), number)
    layer.fill((35, 35), 99)
    layer.undo()
    layer.data = np.full((40, 40), 7, np.uint8)
    source.stop()
    assert [int(frame[n, n]) for n, frame in enumerate(sink.frames[:20], start=1)] == list(
        range(1, 21)
    )
    assert [int(frame[35, 35]) for frame in sink.frames[20:]] == [99, 0, 7]
    layer.paint((1, 1), 3)
    assert len(sink.frames) == 23


def test_a_change_in_place_is_noticed_where_only_sets_are_captured(viewer_model, sink, frame_of):
    pixels = frame_of(0)
    layer = viewer_model.add_image(pixels)
    source = LayerSource(layer)
    source.start(sink)
    assert not source.changed_unseen()
    pixels[3, 3] += 1
    assert source.changed_unseen()
    assert not source.changed_unseen()
    source.stop()


def test_recorded_labels_are_labels_at_every_level(viewer_model, tmp_path):
    from aqz_napari.form.recording_plan import StoragePlan
    from aqz_napari.ome_zarr.reader import read_layers

    zarr = pytest.importorskip("zarr")
    pixels = np.zeros((1500, 1500), np.int32)
    pixels[::2], pixels[1::2] = 100, 201
    layer = viewer_model.add_labels(pixels, name="cells")
    source = LayerSource(layer)
    plan = plan_for({"": source.describe()}, StoragePlan(pyramid="mean"))
    recorder = Recorder(plan.settings(str(tmp_path / "out.ome.zarr")), {"": source})
    with recorder:
        layer.data = pixels.copy()
    small = zarr.open_array(tmp_path / "out.ome.zarr" / "1", mode="r")
    assert set(np.unique(small[:])) <= {100, 201}
    ((data, options, kind),) = read_layers(str(tmp_path / "out.ome.zarr"))
    assert kind == "labels"
    assert viewer_model.add_labels(data, **options).editable


def test_contrast_beyond_the_pixels_is_clamped(viewer_model):
    layer = viewer_model.add_image(np.zeros((6, 8), np.uint8), contrast_limits=(0, 4095))
    assert LayerSource(layer).describe().channels[0][2] == (0, 255)


def test_big_endian_layers_and_translated_ones_are_recorded(viewer_model, tmp_path):
    from aqz_napari.ome_zarr.reader import read_layers

    pixels = np.arange(48).reshape(6, 8).astype(">u2")
    layer = viewer_model.add_image(pixels, translate=(100, 200), scale=(0.5, 0.5))
    recorder = record(tmp_path, {"": LayerSource(layer)})
    layer.data = pixels + 1
    assert recorder.close().status.is_complete
    ((data, options, _),) = read_layers(str(tmp_path / "out.ome.zarr"))
    assert np.array_equal(np.asarray(data[0]), pixels + 1)
    assert options["translate"][-2:] == (100, 200)
