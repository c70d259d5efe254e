"""Every system call of a recording fails in turn: nothing is said to be stored that is not.

``AQZ_ALL_CALLS=1`` tries all of them; a run in CI a few.
"""

from __future__ import annotations

import errno
import os
import random
import shutil

import pytest

import aqz_core as aqz
from tests.faults.programs import Part, Program, carry_out
from tests.faults.stopped_disk import SYSTEM_CALLS
from tests.support.plans import ArrayPlan, axes

pytestmark = [
    pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.timeout(0 if os.environ.get("AQZ_ALL_CALLS") else 120),
]

TIMES = axes("tyx", (0, 16, 16), (2, 8, 8), (2, 2, 2))
ORDER = ("append", "append", "append", "flush", "append", "stack", "attributes", "skip", "append")
BY_INDEX = ("append", "write", "write", "flush", "replace", "write", "stack", "fill", "flush one")
PLANS = {
    "shards": ArrayPlan(axes=TIMES, frames=40),
    "files": ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 8, 8), None), frames=40, codec="zstd"),
    "pyramid": ArrayPlan(axes=TIMES, frames=40, method="MEAN", is_ngff=True),
}
CASES = [
    ("shards", aqz.ZarrVersion.V3, ORDER, {}),
    ("shards", aqz.ZarrVersion.V3, BY_INDEX, {"durability": "none"}),
    ("shards", aqz.ZarrVersion.V3, ORDER, {"live": False}),
    ("files", aqz.ZarrVersion.V2, BY_INDEX, {}),
    ("pyramid", aqz.ZarrVersion.V3, ORDER, {}),
]


def numbers():
    """Which call fails in which try."""
    if os.environ.get("AQZ_ALL_CALLS"):
        return range(10_000)
    return sorted(random.Random(2).sample(range(60), 2))


@pytest.mark.parametrize(("how", "error"), [("fail", errno.EIO), ("break", errno.ENOSPC)])
@pytest.mark.parametrize(("plan", "version", "calls", "more"), CASES)
def test_a_call_that_fails(tmp_path, plan, version, calls, more, how, error):
    made = tuple((call, 0, ((number + 1) * 0.37) % 1) for number, call in enumerate(calls))
    for after in numbers():
        parts = (
            Part(made, how, after, repaired=after % 2 == 1, extend=None, whole=True),
            Part(made[:3], "close", 0, repaired=False, extend=None, whole=True),
        )
        program = Program(
            arrays=(PLANS[plan],),
            later=(),
            on_plate=False,
            options={"version": version, "max_threads": 2, "live": True, **more},
            budget=None,
            processed=False,
            metadata=True,
            parts=parts,
        )
        try:
            stop = carry_out(program, tmp_path / "s", ["zarr-python"], SYSTEM_CALLS, error)
        except Exception as failure:
            failure.add_note(f"call {after}")
            raise
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        if stop.done <= after:
            break
