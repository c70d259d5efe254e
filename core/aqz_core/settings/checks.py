"""What a settings field accepts: checks that convert a value or refuse it.

A `Check` looks at the type of one value and turns near misses that lose nothing (numpy
integers, tuples for lists, paths for strings) into what is stored. It knows neither the class
nor the other fields: the message around it is written by `base`, and rules that need
more than one field are in `validation`.
"""

from __future__ import annotations

import enum
import numbers
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aqz_core.enums import DataType
from aqz_core.errors import SettingsError, SettingsTypeError

__all__ = [
    "UINT8_MAX",
    "UINT32_MAX",
    "UINT64_MAX",
    "Check",
    "FileSpelling",
    "Refused",
    "argument",
    "check_key_text",
    "check_plugins",
    "checked",
    "data_type",
    "describe",
    "display_window",
    "flag",
    "instance",
    "list_of",
    "member",
    "name_or_index",
    "optional",
    "path_text",
    "pixel_value",
    "real_number",
    "second_name",
    "store_text",
    "text",
    "text_or_flag",
    "values_by_name",
    "whole_number",
]

# Widths of acquire-zarr's C fields: beyond them its constructors raise TypeError as well.
UINT8_MAX = 2**8 - 1


UINT32_MAX = 2**32 - 1


UINT64_MAX = 2**64 - 1


class Refused(Exception):
    """The value does not fit; the text, if any, describes what was got instead."""


@dataclass(frozen=True, slots=True)
class Check:
    """A named conversion.

    Attributes
    ----------
    expected : str
        What is accepted, to stand after "must be".
    convert : callable
        Returns the value to store; raises `Refused`.
    kind : type, optional
        Class of the values where there is one: an enumeration, settings, str, int or float.
    many : bool
        Whether they are in a list.
    """

    expected: str
    convert: Callable[[Any], Any]
    kind: type | None = None
    many: bool = False


@dataclass(frozen=True, slots=True)
class FileSpelling:
    """How a field stands in a config file.

    Attributes
    ----------
    key : str, optional
        Its key there, if that is not its name.
    required : bool
        Whether a file must have it; it is then written always.
    always : bool
        Whether it is written even where it has its default value.
    secret : bool
        Whether it is never written.
    absent : str, optional
        What stands for None.
    written : callable, optional
        Turns the value into what is written: a URL into one without its password.
    """

    key: str | None = None
    required: bool = False
    always: bool = False
    secret: bool = False
    absent: str | None = None
    written: Callable[[Any], Any] | None = None


def checked(check: Check, **spelling: Any) -> Mapping[str, Any]:
    """Return the ``metadata`` of an attrs field: its check, and the fields of `FileSpelling`."""
    return {"check": check, "file": FileSpelling(**spelling)}


def second_name(of: str) -> Mapping[str, Any]:
    """Return the ``metadata`` of an attrs field that is but another name of the field `of`."""
    return {"second_name_of": of}


def describe(value: object) -> str:
    """Show a value and its type in at most about 100 characters."""
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return f"{shown} ({type(value).__name__})"


def text() -> Check:
    """Accept a string."""

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused
        return _encodable(str.__str__(value))  # numpy strings become plain ones

    return Check("a string", convert, str)


def path_text() -> Check:
    """Accept a string or a path object, stored as a string."""

    def convert(value: Any) -> str:
        if not isinstance(value, (str, os.PathLike)):
            raise Refused
        path = os.fspath(value)
        if not isinstance(path, str):
            raise Refused
        return _encodable(str.__str__(path), os.fsencode)

    return Check("a string or a path", convert, str)


def flag() -> Check:
    """Accept True and False, and 1 and 0 as programs for acquire-zarr may have them."""

    def convert(value: Any) -> bool:
        if isinstance(value, (bool, np.bool_)) or (type(value) is int and value in (0, 1)):
            return bool(value)
        raise Refused

    return Check("True or False", convert)


def text_or_flag() -> Check:
    """Accept a string or a truth value."""
    as_flag, as_text = flag().convert, text().convert
    return Check(
        "True, False or a string",
        lambda value: as_text(value) if isinstance(value, str) else as_flag(value),
    )


def whole_number(low: int | None = None, high: int | None = None) -> Check:
    """Accept an integer (Python's or numpy's, never a bool) from `low` to `high` inclusive."""
    limits = "" if low is None or high is None else f" from {low} to {high}"

    def convert(value: Any) -> int:
        if isinstance(value, (bool, np.bool_)):
            raise Refused
        try:
            number = operator.index(value)
        except TypeError:
            raise Refused from None
        if (low is not None and number < low) or (high is not None and number > high):
            raise Refused
        return number

    return Check(f"an integer{limits}", convert, int)


def real_number() -> Check:
    """Accept an integer or a float (Python's or numpy's, never a bool), stored as float."""

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise Refused
        try:
            return float(value)
        except OverflowError:
            raise Refused("an integer too large for a float") from None

    return Check("a number", convert, float)


def display_window() -> Check:
    """Accept two or four numbers, stored as a tuple of floats."""
    as_float = real_number().convert

    def convert(value: Any) -> tuple[float, ...]:
        window = tuple(as_float(item) for item in _elements(value))
        if len(window) not in (2, 4):
            raise Refused
        return window

    return Check("(start, end) or (min, max, start, end)", convert)


def pixel_value() -> Check:
    """Accept an integer, a float or a bool, and keep which of them it is."""

    def convert(value: Any) -> bool | int | float:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        if isinstance(value, numbers.Integral):
            return int(value)
        if isinstance(value, numbers.Real):
            return float(value)
        raise Refused

    return Check("a number or a bool", convert, float)


def member(kind: type[enum.IntEnum]) -> Check:
    """Accept a member of `kind`, or the integer of one; members of other enums are refused."""

    def convert(value: Any) -> enum.IntEnum:
        if isinstance(value, kind):
            return value
        if isinstance(value, (enum.Enum, bool)) or not isinstance(value, numbers.Integral):
            raise Refused
        try:
            return kind(int(value))
        except ValueError:
            raise Refused from None

    return Check(f"a {kind.__name__} ({', '.join(kind.__members__)})", convert, kind)


def data_type() -> Check:
    """Accept everything that `DataType.of` takes."""

    def convert(value: Any) -> DataType:
        if value is None:
            raise Refused
        return DataType.of(value)

    return Check("a DataType or a numpy dtype", convert, DataType)


def instance(kind: type, *, or_having: str | None = None) -> Check:
    """Accept an instance of `kind`, or an object with an attribute, as it is, uncopied."""

    def convert(value: Any) -> Any:
        if isinstance(value, kind) or (or_having is not None and hasattr(value, or_having)):
            return value
        raise Refused

    alternative = f" or have a {or_having}" if or_having else ""
    return Check(f"of type {kind.__name__}{alternative}", convert, kind)


def name_or_index() -> Check:
    """Accept the name of a dimension or its position."""
    as_text, as_index = text().convert, whole_number().convert
    return Check(
        "a name or an integer",
        lambda value: as_text(value) if isinstance(value, str) else as_index(value),
    )


def optional(check: Check) -> Check:
    """Accept None besides what `check` accepts."""
    return Check(
        f"{check.expected} or None",
        lambda value: None if value is None else check.convert(value),
        check.kind,
        check.many,
    )


def list_of(noun: str, check: Check) -> Check:
    """Accept an iterable whose elements pass `check`; stored as a list of its own."""

    def convert(value: Any) -> list[Any]:
        converted = []
        for position, item in enumerate(_elements(value)):
            try:
                converted.append(check.convert(item))
            except Refused:
                raise Refused(f"{describe(item)} at position {position}") from None
        return converted

    return Check(f"a list of {noun}", convert, check.kind, many=True)


def _encodable(text: str, encode: Callable[[str], bytes] = str.encode) -> str:
    """Return the text if it can be stored: metadata in UTF-8, paths as the system writes them."""
    try:
        encode(text)
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{describe(text)} has {text[error.start]!r} at position {error.start}, which UTF-8 "
            "cannot hold; remove it"
        ) from None
    return text


def _elements(value: Any) -> Iterable[Any]:
    """Return an iterable of elements; text and mappings are no collections here."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise Refused
    return value


def argument(name: str, check: Check, value: object, advice: str = "") -> Any:
    """Return an argument as `check` converts it.

    Parameters
    ----------
    name
        Of the argument, for the message.
    check
        What it may be.
    value
        What was given.
    advice
        An example, or what to do, for the end of the message.

    Raises
    ------
    SettingsTypeError
        It is refused; the message has the name, the value, what is accepted and the advice.
    SettingsError
        It is of the right type and cannot be used.
    """
    hint = f"; {advice}" if advice else ""
    try:
        return check.convert(value)
    except Refused as refusal:
        got = str(refusal) or describe(value)
        raise SettingsTypeError(f"{name} must be {check.expected}, got {got}{hint}") from None
    except SettingsError as error:
        raise type(error)(f"{name}: {error}") from None


def values_by_name(name: str, check: Check, value: object, advice: str) -> dict[str, Any]:
    """Return a mapping of axis names to what `check` makes of its values; None is an empty one.

    Raises
    ------
    SettingsTypeError
        It is not a mapping, or one of its values is refused; the message names that one.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsTypeError(f"{name} must be a mapping, got {describe(value)}; {advice}")
    return {
        argument(f"a name in {name}", text(), key, advice): argument(
            f"{name}[{key!r}]", check, item, advice
        )
        for key, item in value.items()
    }


def store_text(store: object) -> str:
    """Return the path or URL that the argument `store` of a function names.

    Raises
    ------
    SettingsTypeError
        It is neither.
    """
    path: str = argument("store", path_text(), store, 'for example "out.zarr"')
    return path


def check_key_text(key: object) -> None:
    """Raise `SettingsTypeError` if the argument `key` can be no array's."""
    argument("key", text(), key, "give the array's output_key")


def check_plugins(plugins: object) -> None:
    """Raise `SettingsTypeError` if the argument `plugins` cannot be iterated over."""
    if not isinstance(plugins, Iterable) or isinstance(plugins, str):
        raise SettingsTypeError(
            f"plugins must be a list of modules or objects, got {describe(plugins)}; "
            "write plugins=[one]"
        )
