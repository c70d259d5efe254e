"""What the README's examples leave behind; that they run is in test_docs.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aqz_core import read_frame_metadata
from aqz_core.reading.array_reader import ZarrArrayReader
from tests.test_docs import blocks

README = Path(__file__).parent.parent / "README.md"


def test_the_script_examples_record_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(block.text for block in blocks(README) if block.language == "python"), {})

    recorded = ZarrArrayReader("cells.ome.zarr/0")
    assert recorded.shape == (11, 2, 512, 512)
    for number in range(20):
        plane = recorded.read_plane(*divmod(number, 2))
        assert np.array_equal(plane, np.full((512, 512), number))
    assert recorded.read_plane(10, 1)[0, 0] == 99  # recorded after resuming
    assert ZarrArrayReader("cells.ome.zarr/1").shape == (11, 2, 256, 256)
    assert len(read_frame_metadata("cells.ome.zarr")) == 20
    assert ZarrArrayReader("moved.zarr").shape == (10, 512, 512)


def test_the_two_commands_are_the_documented_ones():
    text = README.read_text(encoding="utf-8")
    assert 'python -m pip install ".[micromanager]" && aqz demo\n' in text
    assert "\nbash tests/run\n" in text
