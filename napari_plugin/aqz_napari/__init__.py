"""The napari side of aqz: the dock widget Record to Zarr, its recorder and its sources.

`Recorder` does the work and needs neither Qt nor napari: it can be used in a script, with
sources that follow `FrameSource` or with frames that are pushed.
"""

from __future__ import annotations

from aqz_napari.recorder.recorder import Recorder
from aqz_napari.recorder.recorder_status import (
    ArrayCount,
    RecorderState,
    RecorderStatus,
    RecordingReport,
    StopRule,
)
from aqz_napari.recorder.take_rule import TakeRule
from aqz_napari.sources.acquisition_source import AcquisitionSource, acquisition_sources
from aqz_napari.sources.frame_source import (
    Axis,
    FrameSink,
    FrameSource,
    SourceError,
    SourceSpec,
    register_source,
    registered_sources,
    unregister_source,
)
from aqz_napari.sources.generator_source import GeneratorSource
from aqz_napari.sources.layer_source import LayerSource
from aqz_napari.sources.pymmcore_source import LiveCameraSource

__all__ = [
    "AcquisitionSource",
    "ArrayCount",
    "Axis",
    "FrameSink",
    "FrameSource",
    "GeneratorSource",
    "LayerSource",
    "LiveCameraSource",
    "Recorder",
    "RecorderState",
    "RecorderStatus",
    "RecordingReport",
    "SourceError",
    "SourceSpec",
    "StopRule",
    "TakeRule",
    "acquisition_sources",
    "register_source",
    "registered_sources",
    "unregister_source",
]
