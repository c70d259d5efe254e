"""After a crash: a store is checked, repaired, listed, and made ready to be resumed.

May import reading and everything below it; never recording or pipeline.

`validate_store` reads only. `repair_store` adds what a finished store has and an interrupted one
lacks, and never takes a pixel away. `resume` finds out how a store was recorded and how far, so
that a stream can resume it. All of them know Zarr V3 and V2, and work on filesystems and on
whatever object stores recordings go to.
"""

from __future__ import annotations

from aqz_core.recovery.repair import repair_store
from aqz_core.recovery.report import (
    Action,
    ArraySummary,
    Finding,
    RepairReport,
    Severity,
    ValidationReport,
)
from aqz_core.recovery.resizing import resize_axes
from aqz_core.recovery.validate import validate_store

__all__ = [
    "Action",
    "ArraySummary",
    "Finding",
    "RepairReport",
    "Severity",
    "ValidationReport",
    "repair_store",
    "resize_axes",
    "validate_store",
]
