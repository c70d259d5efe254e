"""The plug-in as napari finds it: the manifest, and what its commands lead to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("npe2", reason="needs the extra `napari`")


@pytest.fixture(scope="module")
def manifest():
    from npe2 import PluginManifest

    return PluginManifest.from_distribution("aqz")


def test_npe2_finds_it_valid(manifest):
    done = subprocess.run(
        [Path(sys.executable).with_name("npe2"), "validate", "aqz"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout
    manifest.validate_imports()


def test_it_offers_what_the_documentation_says(manifest):
    offered = manifest.contributions
    assert [widget.display_name for widget in offered.widgets] == ["Record to Zarr"]
    assert "napari/file/acquire" in offered.menus
    assert offered.readers[0].filename_patterns[0] == "*.zarr"
    assert set(offered.writers[0].filename_extensions) == {".zarr", ".ome.zarr"}
    assert offered.writers[0].display_name == "OME-Zarr (aqz)"  # as the dialog for saving lists it
    assert manifest.display_name == "OME-Zarr by aqz"  # as napari asks which reader is to open it
    assert offered.sample_data[0].display_name == "Simulated camera"


def test_napari_asks_for_the_viewer_by_this_annotation():
    pytest.importorskip("qtpy")
    from aqz_napari.widget.record_widget import RecordWidget

    assert RecordWidget.__init__.__annotations__["viewer"] == "napari.viewer.Viewer"


def test_the_recorder_needs_neither_qt_nor_napari():
    code = (
        "import sys, aqz_napari\n"
        "print([n for n in ('napari', 'qtpy', 'magicgui', 'PyQt6', 'zarr') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
