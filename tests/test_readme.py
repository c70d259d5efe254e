"""What the README shows must run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from aqz_core.reading.array_reader import ZarrArrayReader

README = Path(__file__).parent.parent / "README.md"


def test_the_script_examples_record_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec("\n".join(examples), {})

    recorded = ZarrArrayReader("cells.ome.zarr/0")
    assert recorded.shape == (100, 512, 512)
    for number in range(100):
        assert np.array_equal(recorded.read_plane(number), np.full((512, 512), number))
    assert ZarrArrayReader("cells.ome.zarr/1").shape == (100, 256, 256)
    assert Path("out.ome.zarr/zarr.json").is_file()


def test_the_two_commands_are_the_documented_ones():
    text = README.read_text(encoding="utf-8")
    assert 'python -m pip install ".[micromanager]" && aqz demo\n' in text
    assert "\nbash tests/run\n" in text
