"""Parsed config text that remembers where every value stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aqz_core.errors import SettingsError

__all__ = ["Located", "located", "parsed"]

_MAX_DEPTH = 32
"""Settings nest about ten deep; a YAML alias can contain itself."""


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a config file.

    Attributes
    ----------
    value
        A scalar, a list of `Located`, or a dict of `Located` by key.
    place
        Path inside the document, ``arrays[0].data_type``; empty for the document itself.
    line
        Line in the text, counted from 1, where that is known.
    text
        How an unquoted scalar was written, if it was one: ``1`` may mean the text "1".
    """

    value: Any
    place: str = ""
    line: int | None = None
    text: str | None = None

    def child(self, key: str) -> str:
        """Return the path of a member."""
        return f"{self.place}.{key}" if self.place else key


def located(value: Any, place: str = "") -> Located:
    """Wrap plain Python values, which have no lines."""
    if isinstance(value, Mapping):
        prefix = f"{place}." if place else ""
        return Located(
            {str(key): located(item, f"{prefix}{key}") for key, item in value.items()}, place
        )
    if isinstance(value, list | tuple):
        return Located([located(item, f"{place}[{n}]") for n, item in enumerate(value)], place)
    return Located(value, place)


def parsed(text: str, source: str) -> Located:
    """Parse YAML or JSON text.

    Raises
    ------
    SettingsError
        It is neither; the message says where.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise SettingsError(
            f"{source}: this is no text: it has the character {_shown(error)} at position "
            f"{error.position}, which YAML and JSON do not allow; remove it"
        ) from error
    try:
        node = loader.get_single_node()
        return _from_node(loader, node, "", source, 0) if node is not None else Located(None)
    except yaml.YAMLError as error:
        if (document := _json(text)) is not None:  # YAML takes no tabs where JSON does
            return located(document)
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{where}: this is neither YAML nor JSON: {problem}") from error
    finally:
        loader.dispose()


def _shown(error: Any) -> str:
    """Return the character that a reader stopped at, as it can be printed."""
    found = error.character
    return repr(chr(found)) if isinstance(found, int) else repr(found)


def _json(text: str) -> Any:
    """Return the value of JSON text, or None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _from_node(loader: Any, node: Any, place: str, source: str, depth: int) -> Located:
    """Turn a YAML node into values with lines."""
    line = node.start_mark.line + 1
    if depth > _MAX_DEPTH:
        raise SettingsError(f"{source}, line {line}: nested too deep; does an alias hold itself?")
    if node.id == "mapping":
        loader.flatten_mapping(node)
        members: dict[str, Located] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in members:
                raise SettingsError(
                    f"{source}, line {key_node.start_mark.line + 1}: {key!r} is given twice"
                )
            inside = f"{place}.{key}" if place else key
            members[key] = _from_node(loader, value_node, inside, source, depth + 1)
        return Located(members, place, line)
    if node.id == "sequence":
        items = [
            _from_node(loader, item, f"{place}[{n}]", source, depth + 1)
            for n, item in enumerate(node.value)
        ]
        return Located(items, place, line)
    text = node.value if node.style is None else None
    return Located(loader.construct_object(node), place, line, text)
