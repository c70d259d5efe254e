"""What the user says about a recording: notes, and metadata as lines of name and value."""

from __future__ import annotations

import json
from typing import Any

import aqz_core as aqz

__all__ = ["UserMetadata", "parse_metadata"]


def parse_metadata(text: str) -> dict[str, Any]:
    """Return names and values of lines such as ``sample: HeLa``.

    Numbers, lists and the like are values as JSON has them; everything else is text.

    Raises
    ------
    ValueError
        A line has no name, or a name is there twice.
    """
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not (name and colon):
            raise ValueError(f"line {number} of the metadata, {line!r}, is not like sample: HeLa")
        if name in found:
            raise ValueError(f"line {number} of the metadata: {name!r} is there already")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """Return a value as JSON has it, or as text."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # a word such as NaN is text
    except ValueError:
        return text
    return value


class UserMetadata:
    """Adds notes and metadata to the attributes of a store.

    Parameters
    ----------
    notes : str
        The attribute ``notes``; empty for none.
    metadata : str
        Lines for `parse_metadata`, the attribute ``metadata``; empty for none.
    """

    def __init__(self, notes: str, metadata: str) -> None:
        said = {"notes": notes, "metadata": parse_metadata(metadata)}
        self._attributes = {name: value for name, value in said.items() if value}

    @aqz.hookimpl
    def aqz_metadata(self, settings: aqz.StreamSettings) -> dict[str, Any]:
        """Return the attributes."""
        return self._attributes
