from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

import aqz_core as aqz
from tests.napari.window import DEADLINE


@pytest.fixture
def settings(tmp_path):
    """Make settings of one or several small arrays: ``settings(keys=..., lead=..., frame=...)``."""

    def make(keys=("",), lead=(("t", 0),), frame=(32, 48), dtype=np.uint16, **others):
        def array(key):
            sizes = [*lead, ("y", frame[0]), ("x", frame[1])]
            return aqz.ArraySettings(
                output_key=key,
                data_type=dtype,
                is_ngff=True,
                dimensions=[
                    aqz.Dimension(
                        name=name,
                        kind={"t": aqz.DimensionType.TIME, "c": aqz.DimensionType.CHANNEL}.get(
                            name, aqz.DimensionType.SPACE
                        ),
                        array_size_px=size,
                        chunk_size_px=size if name in "yx" else 1,
                        shard_size_chunks=8 if name == "t" else 1,
                    )
                    for name, size in sizes
                ],
            )

        return aqz.StreamSettings(
            store_path=tmp_path / "out.ome.zarr", arrays=[array(key) for key in keys], **others
        )

    return make


def numbered(number, frame=(32, 48), dtype=np.uint16):
    """Return a frame that is different for every number."""
    return (np.arange(frame[0] * frame[1]).reshape(frame) + 7 * number).astype(dtype)


@pytest.fixture
def frame_of():
    return numbered


# napari and what it stands on warn while they are imported and used; only ours must not.
NAPARI_MODULES = ("layer", "widget", "viewer", "reader", "writer", "manifest", "acquisitions")


def pytest_collection_modifyitems(items):
    for item in items:
        if "napari" in item.path.parts and any(word in item.path.stem for word in NAPARI_MODULES):
            item.add_marker(pytest.mark.filterwarnings("default"))
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture
def viewer_model():
    """A viewer without a window: layers, sliders and their events."""
    pytest.importorskip("napari", reason="needs the extra `napari`")
    from napari.components import ViewerModel

    return ViewerModel()


class ListSink:
    """A sink that keeps copies, and what was said at the end."""

    def __init__(self):
        self.frames, self.metadata, self.indices = [], [], []
        self.ended, self.failed = None, None

    def __call__(self, frame, *, index=None, metadata=None):
        self.frames.append(np.array(frame))
        self.indices.append(index)
        self.metadata.append(metadata)
        return True

    def end(self, message=""):
        self.ended = message

    def fail(self, message):
        self.failed = message


@pytest.fixture
def sink():
    return ListSink()


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """One viewer for a module: opening the first takes seconds."""
    os.environ["NAPARI_CONFIG"] = str(tmp_path_factory.mktemp("config") / "settings.yaml")
    napari = pytest.importorskip("napari", reason="needs the extra `napari`")

    viewer = napari.Viewer(show=False)
    yield viewer
    viewer.close()


@pytest.fixture
def viewer(window):
    window.layers.clear()
    yield window
    window.layers.clear()


@pytest.fixture
def widget(viewer, tmp_path, monkeypatch):
    """The form, opened as the menu does it, that records into a folder of its own."""
    nowhere = SimpleNamespace(gettempdir=lambda: "/nowhere")  # tests are in a temporary folder
    monkeypatch.setattr("aqz_napari.form.plan_problems.tempfile", nowhere)
    from aqz_napari.form import memory
    from aqz_napari.form.disk_look import DiskLook
    from aqz_napari.widget.record_widget import forget_panel

    monkeypatch.setattr(DiskLook, "patience", DEADLINE)  # a busy machine is not a disk that is gone

    _, shell = viewer.window.add_plugin_dock_widget("aqz", "Record to Zarr")
    widget = shell.panel
    widget.choices.place.destination = str(tmp_path / "{layer}_{n:03}.ome.zarr")
    widget.choices.view.open_after = True
    widget.check()
    yield widget
    if widget.recorder is not None:
        widget.recorder.stop()
        widget.recorder.wait(DEADLINE)
    viewer.window.remove_dock_widget("all")
    forget_panel(viewer)
    memory.forget()


@pytest.fixture
def live(viewer, frame_of):
    return viewer.add_image(
        frame_of(0), name="live", scale=(0.5, 0.25), units=("um", "um"), axis_labels=("y", "x"),
        colormap="green", contrast_limits=(0, 2000),
    )  # fmt: skip
