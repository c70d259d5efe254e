"""From config text to settings, with errors that say where in the file the fault is."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aqz_core.codecs import PluginCompression
from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError, SettingsTypeError, StorageError
from aqz_core.settings.array import ArraySettings
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import argument, path_text
from aqz_core.settings.files.located import Located, located, parsed
from aqz_core.settings.files.schema import READABLE_VERSIONS, FileField, file_fields, spelling

if TYPE_CHECKING:
    import os

__all__ = ["from_dict", "from_file", "from_string"]

SettingsT = TypeVar("SettingsT", bound=SettingsBase)


def from_file(cls: type[SettingsT], path: str | os.PathLike[str]) -> SettingsT:
    """Read the settings of a stream, of class `cls`, from a YAML or JSON file.

    Raises
    ------
    StorageError
        The file cannot be read.
    SettingsError
        It holds no settings; the message names the file, the line, the field and the value.
    """
    path = argument("path", path_text(), path, 'for example "settings.yaml"')
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: this is not text in UTF-8: {error}") from error
    return _Reader(str(path)).settings(cls, parsed(text, str(path)))


def from_string(cls: type[SettingsT], text: str) -> SettingsT:
    """Read settings from YAML or JSON text; errors as for `from_file`."""
    if not isinstance(text, str):
        raise SettingsTypeError(f"from_string takes text, not {type(text).__name__}")
    return _Reader("config text").settings(cls, parsed(text, "config text"))


def from_dict(cls: type[SettingsT], document: Mapping[str, Any]) -> SettingsT:
    """Read settings from plain JSON values; errors as for `from_file`, without a line."""
    if not isinstance(document, Mapping):
        raise SettingsTypeError(f"from_dict takes a mapping, not {type(document).__name__}")
    return _Reader("config").settings(cls, located(document))


class _Reader:
    """Reads one document.

    Parameters
    ----------
    source
        Name of the document, for messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def settings(self, cls: type[SettingsT], document: Located) -> SettingsT:
        """Return the stream that a document describes."""
        members = self._members(document, "the settings of a stream")
        members.pop("version", None)
        version = document.value.get("version")
        if version is not None and version.value not in READABLE_VERSIONS:
            known = " and ".join(map(str, READABLE_VERSIONS))
            raise self._error(
                version,
                f"config version {version.value!r} is not known, only {known}; "
                f"zarr_version is the version of the format",
            )
        if not _records(members, "arrays") and not _records(members, "plates"):
            raise self._error(document, "there are neither arrays nor plates; give some")
        return self._record(cls, Located(members, "", document.line))

    def _record(self, cls: type[SettingsT], node: Located) -> SettingsT:
        """Return a settings object."""
        members = self._members(node, f"the fields of {cls.__name__}")
        if cls is ArraySettings and "multiscale" in members:  # schema version 1
            members.setdefault("is_ngff", members.pop("multiscale"))
        fields = {field.key: field for field in file_fields(cls)}
        for key, member in members.items():
            if key not in fields:
                raise self._error(
                    member, f"there is no field {key!r}; {_closest(key, fields)}", about=node
                )
        required = {key for key, field in fields.items() if field.spelling.required}
        if missing := sorted(required - set(members)):
            raise self._error(node, f"{missing[0]!r} is missing; {cls.__name__} needs it")
        values = {
            fields[key].name: self._value(fields[key], member) for key, member in members.items()
        }
        if cls is ArraySettings:
            _name_axes(values)
        record = cls()
        for member, (name, value) in zip(members.values(), values.items(), strict=True):
            try:
                setattr(record, name, value)
            except (TypeError, SettingsError) as error:
                raise self._error(member, str(error)) from error
        return record

    def _value(self, field: FileField, node: Located) -> Any:
        """Return the value of one field."""
        kind, absent = field.check.kind, field.spelling.absent
        if absent is not None and node.value == absent:
            return None
        if kind is not None and issubclass(kind, SettingsBase):
            return self._nested(kind, node, many=field.check.many)
        if kind is not None and issubclass(kind, enum.IntEnum) and kind is not ZarrVersion:
            return self._member(kind, node, absent)
        if kind is str:
            return _as_text(node)
        return _as_number(node) if kind in (int, float, ZarrVersion) else _plain(node)

    def _nested(self, cls: type[SettingsBase], node: Located, *, many: bool) -> Any:
        """Return nested settings, or a list of them."""
        if not many:
            if isinstance(node.value, dict) and "plugin" in node.value:
                return self._plugin(node)
            return self._record(cls, node)
        if not isinstance(node.value, list):
            raise self._error(node, f"got {node.value!r}, but a list is needed")
        return [self._record(cls, item) for item in node.value]

    def _plugin(self, node: Located) -> PluginCompression:
        """Return compression by a codec of a plug-in."""
        plain = _plain(node)
        try:
            return PluginCompression(plain["plugin"], plain.get("configuration") or {})
        except SettingsError as error:
            raise self._error(node, str(error)) from error

    def _member(self, kind: type[enum.IntEnum], node: Located, absent: str | None) -> enum.IntEnum:
        """Return a member of an enumeration by its spelling."""
        known = {spelling(member): member for member in kind}
        found = known.get(node.value) if isinstance(node.value, str) else None
        if found is None:
            names = [*known, absent] if absent is not None else list(known)
            raise self._error(
                node, f"{node.value!r} is no {kind.__name__}; {_closest(str(node.value), names)}"
            )
        return found

    def _members(self, node: Located, what: str) -> dict[str, Located]:
        """Return the members of a mapping; null counts as left out."""
        if not isinstance(node.value, dict):
            # The value is not shown: it may be a secret.
            kind = "a list" if isinstance(node.value, list) else type(node.value).__name__
            raise self._error(node, f"got {kind}, but {what} are needed, as a mapping")
        return {key: item for key, item in node.value.items() if item.value is not None}

    def _error(self, node: Located, problem: str, about: Located | None = None) -> SettingsError:
        """Return an error that says where in which document the fault is."""
        line = f", line {node.line}" if node.line is not None else ""
        place = (about or node).place
        return SettingsError(f"{self._source}{line}: {place + ': ' if place else ''}{problem}")


def _plain(node: Located) -> Any:
    """Return the plain Python value of a node."""
    if isinstance(node.value, dict):
        return {key: _plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(item) for item in node.value]
    return node.value


def _as_text(node: Located) -> Any:
    """Return a value, or a list of them, unquoted numbers as they were written."""
    if isinstance(node.value, list):
        return [_as_text(item) for item in node.value]
    return _plain(node) if node.text is None or isinstance(node.value, str) else node.text


def _as_number(node: Located) -> Any:
    """Return a value; text counts as a number where YAML and JSON know no other way to write it."""
    if not isinstance(node.value, str):
        return _plain(node)
    special = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    text = special.get(node.value, node.value if node.text is not None else "")  # 1e-3
    try:
        return float(text)
    except ValueError:
        return node.value


def _closest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that is most like `name`, or list them all."""
    known = sorted(known)
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"


def _name_axes(values: dict[str, Any]) -> None:
    """Replace positions in the storage order by names, as acquire-zarr reads them."""
    order, dimensions = values.get("storage_dimension_order"), values["dimensions"]
    if isinstance(order, list):
        values["storage_dimension_order"] = [
            dimensions[item].name if isinstance(item, int) and 0 <= item < len(dimensions) else item
            for item in order
        ]


def _records(members: Mapping[str, Located], key: str) -> bool:
    """Return whether a document lists something under `key`."""
    return key in members and members[key].value not in ([], {})
