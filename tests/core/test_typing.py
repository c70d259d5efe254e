"""A user's program passes a type checker in its strictest form, and its slips do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

api = pytest.importorskip("mypy.api")
CORE = Path(__file__).parents[2] / "core"

PROGRAM = """
from pathlib import Path
from typing import Any
import numpy as np
import numpy.typing as npt
import aqz_core as aqz
from aqz_core.compat import v0_5

def prepare(spec: aqz.FrameSpec) -> aqz.FrameFunction | None:
    def invert(frame: npt.NDArray[Any], index: tuple[int, ...]) -> npt.NDArray[Any]:
        return ~frame
    return invert

class Plugin:
    @aqz.hookimpl
    def aqz_frame_processors(self) -> aqz.FrameProcessor:
        return aqz.FrameProcessor("invert", prepare)

t = aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=1)
y, x = (aqz.Dimension(name=n, array_size_px=64, chunk_size_px=64) for n in "yx")
array = aqz.ArraySettings(
    dimensions=(t, y, x), data_type="uint16", storage_dimension_order=("t", "x", "y"),
    channels=(aqz.Channel(name="DAPI", window=[0, 255]),), pyramid_z="finer", fill_value=3,
)
array.data_type = aqz.DataType.UINT8
field = aqz.FieldOfView(path="0", array_settings=array)
well = aqz.Well(row_name="A", column_name="1", images=(field,))
plate = aqz.Plate(path="p", row_names=("A",), column_names=("1",), wells=(well,))
settings = aqz.StreamSettings(
    store_path=Path("a.zarr"), arrays=(array,), plates=(plate,), durability="flush", version=3
)
with aqz.ZarrStream(settings, plugins=[Plugin()]) as stream:
    stream.append(np.zeros((64, 64), np.uint16), "img", {"t": 1.5})
with aqz.open_stream(
    Path("b.zarr"), shape=(0, 64, 64), dtype=np.uint16, axes=("t", "y", "x"), compression="zstd",
    pyramid="mean", channels=("a",), positions=2, plate={"A1": 2, "A2": ["left"]}, version=2,
) as stream:
    keys: list[str] = stream.array_keys
old = v0_5.StreamSettings(store_path="c.zarr", custom_metadata="{}")
"""

SLIPS = [
    "import aqz_core as aqz\naqz.StreamSettings(overwrit=True)",
    'import aqz_core as aqz\naqz.StreamSettings(durability="never")',
    'import aqz_core as aqz\naqz.ArraySettings(pyramid_z="often")',
    'import aqz_core as aqz\naqz.open_stream("a", shape=(4, 4), dtype="u1", compression="zip")',
    'import aqz_core as aqz\naqz.open_stream("a", shape=(4, 4), dtype="u1", mode="a")',
]


def test_programs_and_slips(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(CORE))
    (tmp_path / "program.py").write_text(PROGRAM)
    for number, text in enumerate(SLIPS):
        (tmp_path / f"slip{number}.py").write_text(text)
    files = sorted(map(str, tmp_path.glob("*.py")))
    out, err, _ = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), *files])
    assert not err
    found = set(re.findall(r"(\w+)\.py:\d+: error", out))
    assert found == {f"slip{number}" for number in range(len(SLIPS))}, out
