"""aqz_core: stream camera frames into Zarr and OME-Zarr while the microscope runs.

The vocabulary is that of acquire-zarr: settings objects, a `ZarrStream`, `append`, `close`.
`open_stream` is the short way in; errors form one tree, in `aqz_core.errors`.
"""

from __future__ import annotations

from aqz_core.codecs import PluginCompression
from aqz_core.codecs.base import BoundedCodec, Codec
from aqz_core.dataset.collection import Dataset
from aqz_core.dataset.following import StoredFrame
from aqz_core.dataset.image import Image
from aqz_core.dataset.opening import open_dataset
from aqz_core.downsampling.methods import Downsampler
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
    FrameMissingError,
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
from aqz_core.log_level import get_log_level, set_log_level
from aqz_core.open_stream import open_stream
from aqz_core.planning.suggestion import LayoutSuggestion, suggest_layout
from aqz_core.plugins import (
    CodecProvider,
    FrameFunction,
    FrameProcessor,
    FrameSpec,
    SinkProvider,
    hookimpl,
)
from aqz_core.reading.array_reader import ZarrArrayReader
from aqz_core.reading.frame_log import read_frame_metadata
from aqz_core.recording.process import exit_on_sigterm
from aqz_core.recovery import (
    RepairReport,
    ValidationReport,
    repair_store,
    resize_axes,
    validate_store,
)
from aqz_core.recovery.frame_listing import FrameList, list_frames, missing_frames
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.compression import (
    COMPRESSION_NAMES,
    CompressionSettings,
    compression_settings,
)
from aqz_core.settings.paths import without_password
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings
from aqz_core.settings.validation.stream import validate as validate_settings
from aqz_core.storage.sink import ShardFile, Sink
from aqz_core.stream import PartialFrameWarning, ZarrStream
from aqz_core.transcoding.levels import add_pyramid
from aqz_core.transcoding.progress import TranscodingPlan, TranscodingProgress, TranscodingReport
from aqz_core.transcoding.transcode import transcode
from aqz_core.upload import upload_spill, upload_store
from aqz_core.version import __version__ as __version__

__all__ = [
    "COMPRESSION_NAMES",
    "Acquisition",
    "AqzError",
    "ArrayReport",
    "ArraySettings",
    "BoundedCodec",
    "Channel",
    "Codec",
    "CodecProvider",
    "CompressionCodec",
    "CompressionSettings",
    "Compressor",
    "DataType",
    "Dataset",
    "Dimension",
    "DimensionType",
    "Downsampler",
    "DownsamplingMethod",
    "FieldOfView",
    "FrameExistsError",
    "FrameFunction",
    "FrameIndexError",
    "FrameList",
    "FrameMissingError",
    "FrameProcessor",
    "FrameShapeError",
    "FrameSpec",
    "FrameTypeError",
    "Image",
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
    "ShardFile",
    "ShardWritten",
    "Sink",
    "SinkProvider",
    "StalledError",
    "StorageError",
    "StoreBusyError",
    "StoreExistsError",
    "StoredFrame",
    "StreamClosed",
    "StreamClosedError",
    "StreamFailed",
    "StreamOpened",
    "StreamReport",
    "StreamSettings",
    "StreamSpilled",
    "StreamStatistics",
    "TranscodingPlan",
    "TranscodingProgress",
    "TranscodingReport",
    "UnknownArrayError",
    "ValidationReport",
    "Well",
    "ZarrArrayReader",
    "ZarrStream",
    "ZarrVersion",
    "add_pyramid",
    "compression_settings",
    "exit_on_sigterm",
    "get_log_level",
    "hookimpl",
    "list_frames",
    "missing_frames",
    "open_dataset",
    "open_stream",
    "read_frame_metadata",
    "repair_store",
    "resize_axes",
    "set_log_level",
    "suggest_layout",
    "transcode",
    "upload_spill",
    "upload_store",
    "validate_settings",
    "validate_store",
    "without_password",
]


def __dir__() -> list[str]:
    """List what is public: modules that this one imports from are not, but for their errors."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__")), "errors"])
