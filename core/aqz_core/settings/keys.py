"""Names of arrays inside a store: how they are written, and which exclude each other.

A key is a path of segments, ``"plate/A/1/fov1"``; the empty key is the root of the store.
Allowed characters are those that the Zarr v3 specification (node names) recommends for use
on every storage system. This module knows keys and kinds of nodes, not settings.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aqz_core.errors import SettingsError
from aqz_core.settings.file_names import windows_objection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


__all__ = [
    "Node",
    "ancestors",
    "check_clashes",
    "check_key",
    "check_segment",
    "join",
    "normalise_key",
]

_ENDS = re.compile(r"^[\s/]+|[\s/]+$")


_SEGMENT = re.compile(r"[A-Za-z0-9_.-]+")


# Files that hold metadata: as a directory name they would make the store unreadable.
_RESERVED = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the store that the stream owns.

    Attributes
    ----------
    key : str
        Normalised key.
    kind : {"array", "multiscales", "plate"}
        A plain array, an NGFF image, or one of the groups of a plate.
    where : str
        Where in the settings it comes from, for messages.
    """

    key: str
    kind: Literal["array", "multiscales", "plate"]
    where: str


def normalise_key(key: str) -> str:
    """Write a key in its one canonical form.

    Blanks and slashes at both ends go, and repeated slashes become one. The result may still
    be an invalid key: see `check_key`.

    Parameters
    ----------
    key : str
        For example ``" /images//left/ "``.

    Returns
    -------
    str
        For example ``"images/left"``; ``""`` is the root.
    """
    return re.sub("/+", "/", _ENDS.sub("", key))


def check_key(key: str, where: str) -> None:
    """Raise `SettingsError` if a normalised key has a segment that no store should hold.

    Parameters
    ----------
    key : str
        Normalised key; the root is always good.
    where : str
        Start of the message.
    """
    for segment in key.split("/") if key else ():
        check_segment(segment, f"{where}: key {key!r}")


def check_segment(segment: str, where: str) -> None:
    """Raise `SettingsError` if `segment` is not a good name for one node.

    Parameters
    ----------
    segment : str
        Name between two slashes.
    where : str
        Start of the message.
    """
    if not _SEGMENT.fullmatch(segment):
        raise SettingsError(
            f"{where}: {segment!r} has other characters than letters A-Z a-z, digits, "
            "'_', '-' and '.'; rename it"
        )
    if not segment.strip("."):
        raise SettingsError(f"{where}: {segment!r} consists of dots only; rename it")
    if segment.startswith("__"):
        raise SettingsError(
            f"{where}: {segment!r} starts with '__', which Zarr reserves; rename it"
        )
    if segment.lower() in _RESERVED:
        raise SettingsError(f"{where}: {segment!r} is the name of a metadata file; rename it")
    if objection := windows_objection(segment):
        raise SettingsError(
            f"{where}: {segment!r} {objection}: the store could not be copied there; rename it"
        )


def check_clashes(nodes: Iterable[Node]) -> None:
    """Check that all nodes can be in one store.

    A plain array has no children; an NGFF image has, but none with a number for a name, since
    its levels are stored as ``0``, ``1`` and so on.

    Parameters
    ----------
    nodes : iterable of Node
        With normalised keys.

    Raises
    ------
    SettingsError
        Naming both nodes.
    """
    owners: dict[str, Node] = {}
    for node in nodes:
        other = owners.setdefault(node.key, node)
        if other is not node:
            raise SettingsError(
                f"{other.where} and {node.where} have the same key {node.key!r}; give each its "
                "own (an object put into a list twice is still one object: copy it first)"
            )
    _check_case(owners.values())
    for node in owners.values():
        for ancestor, child in _ancestors(node.key):
            if ancestor in owners:
                _check_child(owners[ancestor], node, child)


def _check_case(nodes: Iterable[Node]) -> None:
    """Check that no two groups or arrays are the same where file names have no case."""
    seen: dict[str, tuple[str, Node]] = {}
    for node in nodes:
        for name in [*(above for above, _ in _ancestors(node.key)), node.key]:
            other, owner = seen.setdefault(name.lower(), (name, node))
            if other != name:
                raise SettingsError(
                    f"{owner.where} and {node.where}: {other!r} and {name!r} are the same "
                    "directory on Windows and macOS; rename one"
                )


def _ancestors(key: str) -> Iterator[tuple[str, str]]:
    """Yield each key above `key`, with the segment that leads from it towards `key`."""
    segments = key.split("/") if key else []
    for depth, segment in enumerate(segments):
        yield "/".join(segments[:depth]), segment


def _check_child(owner: Node, node: Node, child: str) -> None:
    """Check that `node` may lie below `owner`, in its child named `child`."""
    place = repr(owner.key) if owner.key else "the root of the store"
    if owner.kind == "array":
        raise SettingsError(
            f"{node.where}: key {node.key!r} lies inside the plain array at {place} "
            f"({owner.where}); give one of them another key"
        )
    if owner.kind == "multiscales" and child.isdecimal():
        raise SettingsError(
            f"{node.where}: key {node.key!r} takes the place of pyramid level {child} of the "
            f"image at {place} ({owner.where}); give it a name that is not a number"
        )


def join(*parts: str) -> str:
    """Join names, leaving out empty ones."""
    return "/".join(part for part in parts if part)


def ancestors(key: str) -> list[str]:
    """Return the groups above a key, the root first: ``"a/b"`` has ``""`` and ``"a"``."""
    parts = key.split("/") if key else []
    return list(itertools.accumulate(["", *parts[:-1]], join)) if parts else []
