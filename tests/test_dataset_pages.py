"""What docs/dataset.md and docs/transcoding.md show must run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import aqz_core as aqz

DOCS = Path(__file__).parent.parent / "docs"


def test_the_examples_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"dtype": "uint16", "channels": ["DAPI", "GFP"]}
    cells = {"shape": (2, 2, 4, 64, 64), "axes": "tczyx", "chunks": (1, 1, 1, 32, 32)}
    with aqz.open_stream("cells.ome.zarr", pyramid="mean", **cells, **options) as stream:
        for t, c, z in np.ndindex(2, 2, 4):
            frame = np.full((64, 64), 100 * t + 10 * c + z, np.uint16)
            stream.append(frame, metadata={"lamp": "on"})
    with aqz.open_stream(
        "plate.ome.zarr", shape=(1, 2, 8, 8), axes="tcyx", plate=["A1", "B2"], **options
    ) as stream:
        for key in ("plate/A/1/0", "plate/B/2/0"):
            stream.append(np.zeros((2, 8, 8), np.uint16), key=key)
    names = {}
    for page in ("dataset.md", "transcoding.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)
    assert names["brightest"].max().values == 113
    assert (names["frame"].shape, names["small"].shape) == ((8, 8), (32, 32))
    assert names["there"]
    assert (names["last"] == 0).all()
    assert len(names["table"]) == 16
    assert np.array_equal(
        aqz.open_dataset("archive.ome.zarr").to_dask().compute(),
        aqz.open_dataset("cells.ome.zarr").to_dask().compute(),
    )
