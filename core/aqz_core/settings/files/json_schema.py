"""A JSON schema of settings files, read from the settings classes.

Editors offer fields by it and mark mistakes while one writes. It says what may stand in a file;
whether the values fit together is checked when they are read (``aqz config check``).
"""

from __future__ import annotations

import enum
import inspect
import re
from typing import Any

from aqz_core.codecs import PluginCompression
from aqz_core.enums import ZarrVersion
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.files.schema import READABLE_VERSIONS, FileField, file_fields, spelling
from aqz_core.settings.stream import StreamSettings

__all__ = ["json_schema"]

Schema = dict[str, Any]

_NOT_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}
_PLUGIN: Schema = {
    "type": "object",
    "description": (inspect.getdoc(PluginCompression) or "").splitlines()[0],
    "properties": {"plugin": {"type": "string"}, "configuration": {"type": "object"}},
    "required": ["plugin"],
}


def json_schema() -> Schema:
    """Return the schema (draft 2020-12) of what `StreamSettings.from_file` reads."""
    classes: dict[str, Schema] = {}
    root = _record(StreamSettings, classes)
    root["properties"]["version"] = {"enum": list(READABLE_VERSIONS)}
    root["anyOf"] = [{"required": ["arrays"]}, {"required": ["plates"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of an aqz recording",
        **root,
        "$defs": classes,
    }


def _record(cls: type[SettingsBase], classes: dict[str, Schema]) -> Schema:
    """Return the schema of a settings class; nested ones are added to `classes`."""
    described = _descriptions(cls)
    fields = file_fields(cls)
    schema: Schema = {
        "type": "object",
        "properties": {
            field.key: {**_or_null(_value(field, classes)), **_described(described.get(field.name))}
            for field in fields
        },
        "additionalProperties": False,
    }
    if required := [field.key for field in fields if field.spelling.required]:
        schema["required"] = required
    return schema


def _value(field: FileField, classes: dict[str, Schema]) -> Schema:
    """Return the schema of one field."""
    kind, many = field.check.kind, field.check.many
    if kind is not None and issubclass(kind, SettingsBase):
        item: Schema = _reference(kind, classes)
        if kind.__name__ == "CompressionSettings":
            item = {"anyOf": [item, _PLUGIN]}
    else:
        item = _scalar(kind, field)
    absent = field.spelling.absent
    if absent is not None and item.get("type") != "string":
        item = {"anyOf": [item, {"const": absent}]}
    return {"type": "array", "items": item} if many else item


def _scalar(kind: type | None, field: FileField) -> Schema:
    """Return the schema of a value that is not settings itself."""
    if kind is ZarrVersion:
        return {"enum": [int(member) for member in ZarrVersion]}
    if kind is not None and issubclass(kind, enum.IntEnum):
        return {"enum": [spelling(member) for member in kind]}
    if kind is str:
        return {"type": ["string", "number", "boolean"]}  # YAML reads `1` where a name is meant
    if kind is int:
        return {"type": "integer", **_limits(field.check.expected)}
    if kind is float:
        return {"anyOf": [{"type": ["number", "boolean"]}, _NOT_FINITE]}
    return {"type": "boolean"} if isinstance(field.default, bool) else {}


def _limits(expected: str) -> Schema:
    """Return the bounds that the description of a check names."""
    found = re.search(r"from (\d+) to (\d+)", expected)
    return {"minimum": int(found[1]), "maximum": int(found[2])} if found else {}


def _reference(kind: type[SettingsBase], classes: dict[str, Schema]) -> Schema:
    """Return a reference to the schema of a nested class."""
    if kind.__name__ not in classes:
        classes[kind.__name__] = {}  # so that a class that holds itself comes to an end
        classes[kind.__name__] = _record(kind, classes)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _or_null(schema: Schema) -> Schema:
    """Allow null, which counts as left out."""
    return {"anyOf": [schema, {"type": "null"}]}


def _described(text: str | None) -> Schema:
    """Return the member that editors show beside a field."""
    return {"description": text} if text else {}


def _descriptions(cls: type) -> dict[str, str]:
    """Return what the docstring of a class says of each of its parameters."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in (inspect.getdoc(cls) or "").splitlines():
        if heading := re.fullmatch(r"(\w+(?:, \w+)*) : .*", line):
            names = heading[1].split(", ")
        elif line.startswith("    ") and names:
            for name in names:
                found.setdefault(name, []).append(line.strip())
        elif line.strip():
            names = []
    return {name: " ".join(lines) for name, lines in found.items()}
