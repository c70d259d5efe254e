"""How each settings class is spelt in a config file: pure tables.

The schema is that of acquire-zarr 0.10.0, ``version: 2``. A field that is not named here goes by
its own name, and its value as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import attrs

from aqz_core.enums import (
    CompressionCodec,
    Compressor,
    DataType,
    DimensionType,
    DownsamplingMethod,
)
from aqz_core.settings.array import ArraySettings, Channel, Dimension
from aqz_core.settings.compression import CompressionSettings
from aqz_core.settings.plate import Acquisition, FieldOfView, Plate, Well
from aqz_core.settings.s3 import S3Settings
from aqz_core.settings.stream import StreamSettings

if TYPE_CHECKING:
    import enum
    from collections.abc import Mapping

    from aqz_core.settings.base import SettingsBase

__all__ = ["READABLE_VERSIONS", "SCHEMAS", "VERSION", "Schema", "attributes_of", "spelling"]

VERSION = 2
"""The schema version that is written."""

READABLE_VERSIONS = (1, 2)
"""Version 1 has ``multiscale`` where version 2 has ``is_ngff``."""


@dataclass(frozen=True)
class Schema:
    """Spelling of one settings class.

    Attributes
    ----------
    cls
        The class.
    keys
        Key of each attribute that is not called as in Python.
    enums
        Enumeration of each attribute that has one.
    records
        Class of each attribute that holds settings, or a list of them.
    required
        Attributes that a file must have.
    always
        Attributes that are written even where they have their default value.
    secret
        Attributes that are never written.
    absent
        What stands for None.
    texts
        Attributes that hold text though their default value does not show it.
    """

    cls: type[SettingsBase]
    keys: Mapping[str, str] = field(default_factory=dict)
    enums: Mapping[str, type[enum.IntEnum]] = field(default_factory=dict)
    records: Mapping[str, type[SettingsBase]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    always: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    absent: Mapping[str, str] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()

    def key(self, attribute: str) -> str:
        """Return the key of an attribute."""
        return self.keys.get(attribute, attribute)


def attributes_of(cls: type[SettingsBase]) -> dict[str, object]:
    """Return the settings of a class by attribute name, with their default values."""
    fresh = cls()
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)  # type: ignore[arg-type]
    names = [one.alias or one.name for one in fields]
    return {name: getattr(fresh, name) for name in names}


def spelling(member: enum.IntEnum) -> str:
    """Return how a member of an enumeration is written."""
    return member.name.lower().replace("_", "-")


SCHEMAS: Mapping[type[SettingsBase], Schema] = {
    schema.cls: schema
    for schema in (
        Schema(
            StreamSettings,
            keys={"hcs_plates": "plates", "version": "zarr_version"},
            records={"s3": S3Settings, "arrays": ArraySettings, "hcs_plates": Plate},
            required=frozenset({"store_path"}),
            always=frozenset({"store_path", "max_threads", "overwrite"}),
            texts=frozenset({"spill"}),
        ),
        Schema(
            S3Settings,
            required=frozenset({"endpoint", "bucket_name"}),
            always=frozenset({"endpoint", "bucket_name"}),
            secret=frozenset({"key", "secret", "token"}),
            texts=frozenset({"region", "key", "secret", "token", "profile"}),
        ),
        Schema(
            ArraySettings,
            enums={"data_type": DataType, "downsampling_method": DownsamplingMethod},
            records={
                "compression": CompressionSettings,
                "dimensions": Dimension,
                "channels": Channel,
            },
            required=frozenset({"data_type", "dimensions"}),
            always=frozenset({"data_type", "dimensions", "downsampling_method", "is_ngff"}),
            absent={"downsampling_method": "none"},
        ),
        Schema(
            CompressionSettings,
            enums={"compressor": Compressor, "codec": CompressionCodec},
            required=frozenset({"compressor", "codec"}),
            always=frozenset({"compressor", "codec", "level", "shuffle"}),
        ),
        Schema(
            Dimension,
            keys={"kind": "type"},
            enums={"kind": DimensionType},
            required=frozenset({"name", "kind", "array_size_px", "chunk_size_px"}),
            always=frozenset(
                {
                    "name",
                    "kind",
                    "unit",
                    "scale",
                    "array_size_px",
                    "chunk_size_px",
                    "shard_size_chunks",
                }
            ),
            absent={"unit": "", "shard_size_chunks": "none"},
            texts=frozenset({"unit"}),
        ),
        Schema(Channel, always=frozenset({"name"}), texts=frozenset({"color"})),
        Schema(
            Plate,
            records={"wells": Well, "acquisitions": Acquisition},
            required=frozenset({"path", "row_names", "column_names", "wells"}),
            always=frozenset({"path", "name", "row_names", "column_names", "wells"}),
            texts=frozenset({"row_names", "column_names"}),
        ),
        Schema(
            Well,
            records={"images": FieldOfView},
            required=frozenset({"row_name", "column_name", "images"}),
            always=frozenset({"row_name", "column_name", "images"}),
        ),
        Schema(
            FieldOfView,
            keys={"array_settings": "array"},
            records={"array_settings": ArraySettings},
            required=frozenset({"path", "array_settings"}),
            always=frozenset({"path", "array_settings"}),
        ),
        Schema(
            Acquisition,
            required=frozenset({"id"}),
            always=frozenset({"id"}),
            texts=frozenset({"name", "description"}),
        ),
    )
}
"""Spelling of every settings class."""
