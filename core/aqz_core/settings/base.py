"""What all settings classes share: checked assignment, equality and a short repr.

A settings class is a mutable, slotted attrs class whose fields carry a `Check` in their
metadata. Every assignment passes through it, the ones that attrs writes into ``__init__``
included, so a settings object never holds a value of the wrong type (only what is later
appended to its lists has to be looked at again: `recheck`). A private field with the metadata
`second_name` is a keyword of the constructor and nothing else; the property of its name is for
everybody else.

It knows nothing about the meaning of a field.
"""

from __future__ import annotations

import difflib
import enum
import textwrap
from typing import TYPE_CHECKING, Any

import attrs

from aqz_core.display.html import html_table
from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.settings.checks import Check, Refused, describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SettingsBase", "recheck", "settings_fields"]


class SettingsBase:
    """Base of the settings classes.

    Two objects of one class are equal when all their settings are; they have no hash, being
    mutable. The repr names the settings that differ from their defaults, except secrets, which it
    never shows, nor the password of a URL.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # a type checker would take these as leave to set any name

        def __new__(cls, *_: object, **given: object) -> SettingsBase:
            """Refuse keywords that are no setting, with the one that was probably meant."""
            for name in given:
                if _field(cls, name) is None and name not in _known(cls):
                    raise TypeError(_unknown_setting(cls, name))
            _check_second_names(cls, given)
            return object.__new__(cls)

        def __setattr__(self, name: str, value: object) -> None:
            """Check `value` and assign it; refuse names that are no setting."""
            field = _field(type(self), name)
            if field is not None and "second_name_of" in field.metadata:
                if value is not None:
                    setattr(self, field.metadata["second_name_of"], value)
                value = None
            elif field is not None:
                value = _passed(self, field, value)
            elif not hasattr(type(self), name):
                raise AttributeError(_unknown_setting(type(self), name), name=name, obj=self)
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        if type(other) is not type(self):
            return NotImplemented
        names = map(_public_name, settings_fields(type(self)))
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    def _repr_html_(self) -> str:
        """Show what differs from the defaults as a table, without secrets."""
        return html_table(
            type(self).__name__,
            [
                (_public_name(field), text if callable(field.repr) else value)
                for field, value, text in _shown(self)
            ],
        )

    def __repr__(self) -> str:
        """Show what differs from the defaults, as a constructor call."""
        shown = ", ".join(f"{_public_name(field)}={text}" for field, _, text in _shown(self))
        return f"{type(self).__name__}({shown})"


def _shown(record: SettingsBase) -> Iterator[tuple[attrs.Attribute[Any], Any, str]]:
    """Yield the fields that are not secret and differ from their defaults, value and text."""
    for field in settings_fields(type(record)):
        value = getattr(record, field.name)
        if field.repr and not _same(value, _default(field)):
            yield field, value, field.repr(value) if callable(field.repr) else _literal(value)


def recheck(record: SettingsBase) -> None:
    """Check the types of all settings again, in nested settings too.

    Finds what was put into a list after the list was assigned.

    Parameters
    ----------
    record : SettingsBase
        It is not changed.

    Raises
    ------
    SettingsTypeError
        If a list has an element of the wrong type.
    """
    for field in settings_fields(type(record)):
        value = getattr(record, field.name)
        _passed(record, field, value)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, SettingsBase):
                recheck(item)


def settings_fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    """Return the fields of a settings class, in the order of its definition."""
    return tuple(one for one in attrs.fields(cls) if "second_name_of" not in one.metadata)


def _field(cls: type, name: str) -> attrs.Attribute[Any] | None:
    """Return the field of that attribute name, if there is one."""
    return next((field for field in attrs.fields(cls) if field.name == name), None)


def _check_second_names(cls: type, given: Mapping[str, object]) -> None:
    """Raise `TypeError` if a setting is given under both of its names, with different values."""
    for field in attrs.fields(cls):
        name, second = field.metadata.get("second_name_of"), _public_name(field)
        both = [_listed(given.get(key)) for key in (name, second)]
        if name is not None and None not in both and both[0] != both[1]:
            first, other = (textwrap.shorten(_literal(value), 60) for value in both)
            raise TypeError(
                f"{cls.__name__}: {name}={first} and its alias {second}={other} differ; give one "
                "of them"
            )


def _listed(value: object) -> object:
    """Return a collection as a list, and None for an empty one, which is as good as not given."""
    return (list(value) or None) if isinstance(value, list | tuple) else value


def _public_name(field: attrs.Attribute[Any]) -> str:
    """Return the name under which users know the field."""
    return field.alias or field.name


def _passed(record: SettingsBase, field: attrs.Attribute[Any], value: object) -> object:
    """Return `value` as the field stores it."""
    check: Check = field.metadata["check"]
    where = f"{type(record).__name__}.{_public_name(field)}"
    try:
        return check.convert(value)
    except Refused as refusal:
        got = type(value).__name__ if not field.repr else str(refusal) or describe(value)
        raise SettingsTypeError(f"{where} must be {check.expected}, got {got}") from None
    except SettingsError as error:
        shown = str(error) if field.repr else "it has characters that cannot be stored"
        raise SettingsError(f"{where}: {shown}") from None


def _known(cls: type) -> list[str]:
    """Return the names of all settings, those with two names under both."""
    properties = [key for key in dir(cls) if isinstance(getattr(cls, key), property)]
    return sorted({*map(_public_name, settings_fields(cls)), *properties})


def _unknown_setting(cls: type, name: str) -> str:
    """Message for a name that is no setting, with the one that was probably meant."""
    known = _known(cls)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    return f"{cls.__name__} has no setting {name!r}; {hint}"


def _default(field: attrs.Attribute[Any]) -> Any:
    """Return the default value of a field."""
    factory = getattr(field.default, "factory", None)
    return factory() if factory is not None else field.default


def _same(first: Any, second: Any) -> bool:
    """Compare two values, a NaN being equal to a NaN."""
    both_nan = isinstance(first, float) and first != first and second != second
    return both_nan or bool(first == second)


def _literal(value: Any) -> str:
    """Write a value as it would be typed."""
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value)
