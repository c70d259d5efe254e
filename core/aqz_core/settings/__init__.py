"""What to record: the settings classes of acquire-zarr, their checks, and their files.

May import codecs, metadata, downsampling and the vocabulary (`enums`, `errors`, `events`).
"""

from __future__ import annotations

from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings

__all__ = [
    "Acquisition",
    "ArraySettings",
    "Channel",
    "CompressionSettings",
    "Dimension",
    "FieldOfView",
    "Plate",
    "S3Settings",
    "StreamSettings",
    "Well",
]
