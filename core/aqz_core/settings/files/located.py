"""Parsed config text that remembers where every value stood."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aqz_core.errors import SettingsError

__all__ = ["Located", "located", "parsed"]

_MAX_DEPTH = 32
"""Settings nest about ten deep; a YAML alias can contain itself."""

_MAX_VALUES = 1_000_000
"""A plate of 3,456 fields, each with settings of its own, has some 250,000."""

_MAX_LETTERS = 32 << 20

_MAX_BITS = 512
"""No setting is a larger number; Python refuses to write one of 4,300 digits."""

_BRACKET = re.compile(r"[\[\]{}]")
_MAX_BRACKETS = 1000

_MERGE = "tag:yaml.org,2002:merge"


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


def located(value: Any, source: str = "config") -> Located:
    """Wrap plain Python values, which have no lines.

    Raises
    ------
    SettingsError
        They are nested too deep, or hold themselves.
    """
    return _Plain(source).located(value, "", 0)


def parsed(text: str, source: str) -> Located:
    """Parse YAML or JSON text.

    Raises
    ------
    SettingsError
        It is neither, or means more than settings can; the message says where.
    """
    import yaml

    if len(text) > _MAX_LETTERS:
        raise SettingsError(
            f"{source}: {len(text):,} letters are more than settings have; is it a config file?"
        )
    if _depth(text) > _MAX_BRACKETS:  # which the parser would look at for minutes
        raise SettingsError(f"{source}: nested too deep; settings nest about ten deep")
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise SettingsError(
            f"{source}: this is not text: it has the character {_shown(error)} at position "
            f"{error.position}, which YAML and JSON do not allow; remove it"
        ) from error
    try:
        node = loader.get_single_node()
        return _Nodes(loader, source).checked_document(node) if node is not None else Located(None)
    except yaml.YAMLError as error:
        if (document := _json(text, source)) is not None:  # YAML takes no tabs where JSON does
            return located(document, source)
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        problem = getattr(error, "problem", None) or str(error)
        raise SettingsError(f"{where}: this is neither YAML nor JSON: {problem}") from error
    except RecursionError as error:
        raise SettingsError(f"{source}: nested too deep; settings nest about ten deep") from error
    finally:
        loader.dispose()


def _depth(text: str) -> int:
    """Return how many brackets are open at once, those in quotes counted."""
    deepest = now = 0
    for bracket in _BRACKET.findall(text):
        now += 1 if bracket in "[{" else -1
        deepest = max(deepest, now)
    return deepest


def _shown(error: Any) -> str:
    """Return the character that a reader stopped at, as it can be printed."""
    found = error.character
    return repr(chr(found)) if isinstance(found, int) else repr(found)


def _json(text: str, source: str) -> Any:
    """Return the value of JSON text, or None if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None
    except RecursionError as error:
        raise SettingsError(f"{source}: nested too deep; settings nest about ten deep") from error


class _Budget:
    """How much a document may mean: few lines of aliases can mean more than memory holds."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._left = 2 * _MAX_VALUES

    def spend(self, depth: int, line: int | None) -> None:
        """Count a value; raise `SettingsError` if it is one too many, or too deep."""
        where = self.source if line is None else f"{self.source}, line {line}"
        if depth > _MAX_DEPTH:
            raise SettingsError(f"{where}: nested too deep; does an alias hold itself?")
        self._left -= 1
        if self._left < 0:
            raise SettingsError(
                f"{where}: the document means more than {_MAX_VALUES:,} values; does it have "
                "aliases of aliases?"
            )

    def checked(self, value: Any, line: int | None) -> Any:
        """Return a scalar, unless it is a number that nothing can show."""
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            where = self.source if line is None else f"{self.source}, line {line}"
            raise SettingsError(f"{where}: a number of {value.bit_length():,} bits is too large")
        return value


class _Plain(_Budget):
    """Turns plain Python values into located ones."""

    def located(self, value: Any, place: str, depth: int) -> Located:
        """Wrap a value at a place in the document."""
        self.spend(depth, None)
        if isinstance(value, Mapping):
            prefix = f"{place}." if place else ""
            members = {
                str(self.checked(key, None)): self.located(item, f"{prefix}{key}", depth + 1)
                for key, item in value.items()
            }
            return Located(members, place)
        if isinstance(value, list | tuple):
            items = [self.located(v, f"{place}[{n}]", depth + 1) for n, v in enumerate(value)]
            return Located(items, place)
        return Located(self.checked(value, None), place)


class _Nodes(_Budget):
    """Turns the nodes of a YAML document into values with lines."""

    def __init__(self, loader: Any, source: str) -> None:
        super().__init__(source)
        self._loader = loader
        self._members: dict[int, dict[str, tuple[Any, Any]]] = {}
        self._sizes: dict[int, int] = {}

    def checked_document(self, node: Any) -> Located:
        """Return a whole document, if it does not mean too much."""
        if self._size(node, 0) > _MAX_VALUES:
            raise SettingsError(
                f"{self.source}: the document means more than {_MAX_VALUES:,} values; does it "
                "have aliases of aliases?"
            )
        return self.located(node, "", 0)

    def _size(self, node: Any, depth: int) -> int:
        """Return how many values a node stands for, each alias counted."""
        if (known := self._sizes.get(id(node))) is not None:
            return known
        self.spend(depth, node.start_mark.line + 1)
        inside = node.value if node.id in ("mapping", "sequence") else ()
        parts = (part[1] if node.id == "mapping" else part for part in inside)
        size = self._sizes[id(node)] = 1 + sum(self._size(part, depth + 1) for part in parts)
        return size

    def located(self, node: Any, place: str, depth: int) -> Located:
        """Return a node's value."""
        line = node.start_mark.line + 1
        self.spend(depth, line)
        if node.id == "mapping":
            members = {
                key: self.located(value, f"{place}.{key}" if place else key, depth + 1)
                for key, (_, value) in self._members_of(node, depth).items()
            }
            return Located(members, place, line)
        if node.id == "sequence":
            items = [
                self.located(item, f"{place}[{n}]", depth + 1) for n, item in enumerate(node.value)
            ]
            return Located(items, place, line)
        text = node.value if node.style is None else None
        try:
            value = self._loader.construct_object(node)
        except (ValueError, OverflowError) as error:  # a date that is none, too many digits
            raise SettingsError(
                f"{self.source}, line {line}: {node.value[:40]!r} has no value ({error}); put "
                "text into quotes"
            ) from error
        return Located(self.checked(value, line), place, line, text)

    def _members_of(self, node: Any, depth: int) -> dict[str, tuple[Any, Any]]:
        """Return key and value nodes by key; those that ``<<`` merges give way to its own."""
        if (known := self._members.get(id(node))) is not None:
            return known
        own: dict[str, tuple[Any, Any]] = {}
        merged: dict[str, tuple[Any, Any]] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                self._merge(value_node, merged, depth + 1)
                continue
            key = str(key_node.value)
            if key in own:
                raise SettingsError(f"{self.source}, line {line}: {key!r} is given twice")
            own[key] = key_node, value_node
        found = self._members[id(node)] = {**merged, **own}
        return found

    def _merge(self, node: Any, into: dict[str, tuple[Any, Any]], depth: int) -> None:
        """Add the members of a mapping, or of a list of them, the first of which counts."""
        self.spend(depth, node.start_mark.line + 1)
        if node.id == "sequence":
            for item in node.value:
                self._merge(item, into, depth + 1)
        elif node.id == "mapping":
            for key, pair in self._members_of(node, depth).items():
                into.setdefault(key, pair)
        else:
            raise SettingsError(
                f"{self.source}, line {node.start_mark.line + 1}: only mappings can be merged"
            )
