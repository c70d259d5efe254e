"""Arguments of functions, checked as settings are: a wrong one is named, shown, and told apart.

What an argument may be is a `Check` of `field_checks`; here its name and the advice are added. A
function checks all of its arguments before it does anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.settings.checks import Check, Refused, describe, path_text, text

__all__ = ["argument", "check_key_text", "check_plugins", "store_text", "values_by_name"]


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
        It is no mapping, or one of its values is refused; the message names that one.
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
