"""Random programs store what a slow model says, wherever they are stopped.

``AQZ_PROGRAMS=5000`` tries more of them than a run in CI does, ``AQZ_FIRST_PROGRAM`` others.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.programs import carry_out, draw
from tests.support.decoders import DECODERS

pytestmark = [
    pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

FIRST = int(os.environ.get("AQZ_FIRST_PROGRAM", "0"))
PROGRAMS = int(os.environ.get("AQZ_PROGRAMS", "50"))
MENDED = (52, 69, 70, 194, 216, 382, 475, 491, 1001, 1250, 1507, 1688, 1712)
"""Programs whose frames a failed write once hid, or mixed with what a crash had left."""


@pytest.mark.parametrize("seed", [*range(FIRST, FIRST + PROGRAMS), *MENDED])
def test_a_program_stores_what_the_model_says(tmp_path: Path, seed: int) -> None:
    carry_out(draw(seed), tmp_path / "s", [sorted(DECODERS)[seed % len(DECODERS)]])
    shutil.rmtree(tmp_path)
