"""aqz_micromanager: record Micro-Manager acquisitions to OME-Zarr while they run.

`ZarrProcessor` is an image processor for pycro-manager, `MDAHandler` a handler for pymmcore-plus.
Both translate their engine's words for a `RunRecorder`, whose five verbs any other engine can use.
None of the microscope packages is imported here.
"""

from __future__ import annotations

from aqz_micromanager.errors import (
    AcquisitionError,
    BackPressureError,
    DuplicateFrameError,
    FrameChangedError,
    LayoutUnknownError,
    UnknownCoordinateError,
)
from aqz_micromanager.frame_hold import ArrivedFrame
from aqz_micromanager.frame_table import read_frame_metadata
from aqz_micromanager.handler import MDAHandler
from aqz_micromanager.pixels import FrameSpec
from aqz_micromanager.plan_builder import PlanBuilder
from aqz_micromanager.processor import ZarrProcessor
from aqz_micromanager.recorder import RunRecorder
from aqz_micromanager.recorder_options import RecorderOptions
from aqz_micromanager.run_plan import Site
from aqz_micromanager.run_statistics import RunStatistics

__all__ = [
    "AcquisitionError",
    "ArrivedFrame",
    "BackPressureError",
    "DuplicateFrameError",
    "FrameChangedError",
    "FrameSpec",
    "LayoutUnknownError",
    "MDAHandler",
    "PlanBuilder",
    "RecorderOptions",
    "RunRecorder",
    "RunStatistics",
    "Site",
    "UnknownCoordinateError",
    "ZarrProcessor",
    "read_frame_metadata",
]
