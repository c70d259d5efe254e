"""How settings classes are spelt in a config file, read from their fields.

The schema is that of acquire-zarr 0.10.0, ``version: 2``. A field goes by its own name, and its
value as it is, unless its metadata say otherwise (`FileSpelling`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aqz_core.settings.base import settings_fields

if TYPE_CHECKING:
    import enum

    from aqz_core.settings.base import SettingsBase
    from aqz_core.settings.checks import Check, FileSpelling

__all__ = ["READABLE_VERSIONS", "VERSION", "FileField", "file_fields", "spelling"]

VERSION = 2
"""The schema version that is written."""

READABLE_VERSIONS = (1, 2)
"""Version 1 has ``multiscale`` where version 2 has ``is_ngff``."""


class FileField(NamedTuple):
    """A field of a settings class, as files have it.

    Attributes
    ----------
    name
        Of the attribute.
    key
        Of the member of a file.
    default
        Value of the attribute if it is not given.
    check
        What it may be.
    spelling
        How it is written.
    """

    name: str
    key: str
    default: object
    check: Check
    spelling: FileSpelling


def file_fields(cls: type[SettingsBase]) -> list[FileField]:
    """Return the fields of a settings class, in the order of its definition."""
    fresh = cls()
    found = []
    for one in settings_fields(cls):
        name = one.alias or one.name
        own: FileSpelling = one.metadata["file"]
        check = one.metadata["check"]
        found.append(FileField(name, own.key or name, getattr(fresh, name), check, own))
    return found


def spelling(member: enum.IntEnum) -> str:
    """Return how a member of an enumeration is written."""
    return member.name.lower().replace("_", "-")


assert VERSION in READABLE_VERSIONS
