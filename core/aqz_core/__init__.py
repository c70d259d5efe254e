"""aqz_core: stream camera frames into Zarr and OME-Zarr while the microscope runs.

The vocabulary is that of acquire-zarr: settings objects, a `ZarrStream`, `append`, `close`.
`open_stream` is the short way in; errors form one tree, in `aqz_core.errors`.
"""

from __future__ import annotations

from aqz_core.codecs import PluginCompression
from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
    LogLevel,
    ZarrVersion,
)
from aqz_core.errors import (
    AqzError,
    FrameExistsError,
    FrameIndexError,
    FrameShapeError,
    FrameTypeError,
    MemoryBudgetError,
    MetadataError,
    OutOfBoundsError,
    PluginError,
    ResumeError,
    SettingsError,
    SettingsTypeError,
    StalledError,
    StorageError,
    StoreBusyError,
    StoreExistsError,
    StreamClosedError,
    UnknownArrayError,
)
from aqz_core.events import (
    ArrayReport,
    Progress,
    ShardWritten,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    StreamReport,
    StreamSpilled,
    StreamStatistics,
)
from aqz_core.frame_listing import FrameList, list_frames, missing_frames
from aqz_core.frame_log_reading import read_frame_metadata
from aqz_core.hooks import CodecProvider, FrameProcessor, FrameSpec, SinkProvider, hookimpl
from aqz_core.log_level import get_log_level, set_log_level
from aqz_core.opening import open_stream
from aqz_core.reader import ZarrArrayReader
from aqz_core.recovery import (
    RepairReport,
    ValidationReport,
    repair_store,
    resize_axes,
    validate_store,
)
from aqz_core.reduction import Downsampler
from aqz_core.settings import (
    Acquisition,
    ArraySettings,
    Channel,
    CompressionSettings,
    Dimension,
    FieldOfView,
    Plate,
    S3Settings,
    StreamSettings,
    Well,
)
from aqz_core.spill_upload import upload_spill
from aqz_core.store_path import without_password
from aqz_core.stream import PartialFrameWarning, ZarrStream
from aqz_core.suggestion import LayoutSuggestion, suggest_layout
from aqz_core.termination import exit_on_sigterm
from aqz_core.upload import upload_store
from aqz_core.validation import validate as validate_settings

__version__ = "0.1.0"

__all__ = [
    "Acquisition",
    "AqzError",
    "ArrayReport",
    "ArraySettings",
    "Channel",
    "CodecProvider",
    "CompressionCodec",
    "CompressionSettings",
    "Compressor",
    "DataType",
    "Dimension",
    "DimensionType",
    "Downsampler",
    "DownsamplingMethod",
    "FieldOfView",
    "FrameExistsError",
    "FrameIndexError",
    "FrameList",
    "FrameProcessor",
    "FrameShapeError",
    "FrameSpec",
    "FrameTypeError",
    "LayoutSuggestion",
    "LogLevel",
    "MemoryBudgetError",
    "MetadataError",
    "OutOfBoundsError",
    "PartialFrameWarning",
    "Plate",
    "PluginCompression",
    "PluginError",
    "Progress",
    "RepairReport",
    "ResumeError",
    "S3Settings",
    "SettingsError",
    "SettingsTypeError",
    "ShardWritten",
    "SinkProvider",
    "StalledError",
    "StorageError",
    "StoreBusyError",
    "StoreExistsError",
    "StreamClosed",
    "StreamClosedError",
    "StreamFailed",
    "StreamOpened",
    "StreamReport",
    "StreamSettings",
    "StreamSpilled",
    "StreamStatistics",
    "UnknownArrayError",
    "ValidationReport",
    "Well",
    "ZarrArrayReader",
    "ZarrStream",
    "ZarrVersion",
    "exit_on_sigterm",
    "get_log_level",
    "hookimpl",
    "list_frames",
    "missing_frames",
    "open_stream",
    "read_frame_metadata",
    "repair_store",
    "resize_axes",
    "set_log_level",
    "suggest_layout",
    "upload_spill",
    "upload_store",
    "validate_settings",
    "validate_store",
    "without_password",
]
