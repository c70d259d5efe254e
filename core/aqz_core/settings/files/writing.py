"""From settings to config text. Secrets are left out: they belong into the environment.

So is the password of a URL: whoever reads the file gives it again.
"""

from __future__ import annotations

import enum
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aqz_core.codecs import PluginCompression
from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError, StorageError
from aqz_core.settings.array import ArraySettings
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import argument, path_text
from aqz_core.settings.files.schema import VERSION, FileField, file_fields, spelling

if TYPE_CHECKING:
    import os

__all__ = ["to_dict", "to_file", "to_json", "to_yaml"]

Document = dict[str, Any]


def to_dict(settings: SettingsBase) -> Document:
    """Return settings as plain JSON values."""
    return {**_record(settings), "version": VERSION}


def to_json(settings: SettingsBase) -> str:
    """Return settings as JSON text."""
    return json.dumps(to_dict(settings), indent=2, sort_keys=True, ensure_ascii=False)


def to_yaml(settings: SettingsBase) -> str:
    """Return settings as YAML text."""
    import yaml

    return yaml.safe_dump(to_dict(settings), sort_keys=True, allow_unicode=True)


def to_file(settings: SettingsBase, path: str | os.PathLike[str]) -> None:
    """Write settings to a file: JSON if its name ends with ``.json``, YAML otherwise.

    Raises
    ------
    StorageError
        The file cannot be written.
    SettingsError
        `path` is not a path, or the settings hold text that UTF-8 cannot.
    """
    file = Path(argument("path", path_text(), path, 'for example "settings.yaml"'))
    is_json = file.suffix.lower() == ".json"
    text = to_json(settings) + "\n" if is_json else to_yaml(settings)
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise StorageError(
            error.errno,
            f"{file}: the settings cannot be written: {error.strerror or error}; choose a "
            "directory that is there and can be written",
        ) from error
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{file}: the settings hold {error.object[error.start]!r}, which UTF-8 cannot; is it "
            "in store_path?"
        ) from error


def _record(record: SettingsBase) -> Document:
    """Return one settings object, its fields by their keys."""
    document: Document = {}
    for field in file_fields(type(record)):
        value, own = getattr(record, field.name), field.spelling
        always = own.always or own.required
        if own.secret or (not always and _same(value, field.default)):
            continue
        document[field.key] = _value(record, field, value)
    return document


def _value(record: SettingsBase, field: FileField, value: Any) -> Any:
    """Return the value of one field as a JSON value."""
    if value is None:
        return field.spelling.absent
    if isinstance(record, ArraySettings) and field.name == "storage_dimension_order":
        names = [dimension.name for dimension in record.dimensions]
        return [names.index(item) if item in names else item for item in value]
    return _plain(value if field.spelling.written is None else field.spelling.written(value))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, SettingsBase):
        return _record(value)
    if isinstance(value, PluginCompression):
        return {"plugin": value.codec_name, "configuration": dict(value.configuration)}
    if isinstance(value, ZarrVersion):
        return int(value)
    if isinstance(value, enum.IntEnum):
        return spelling(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value


def _same(value: Any, default: Any) -> bool:
    """Compare with a default; 0 and 0.0 are the same, 0 and False are not."""
    return bool(value == default) and isinstance(value, bool) == isinstance(default, bool)
