"""Structures of C, read with suspicion: pointers may be missing, counts and numbers anything."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any, TypeVar

from aqz_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Structure"]

Member = TypeVar("Member", bound=enum.IntEnum)

MOST_ELEMENTS = 1_000_000
"""More than any list in settings has; a larger count was never filled in."""


class Structure:
    """A structure of a program, and how messages call it.

    Parameters
    ----------
    ffi
        That of the library.
    fields
        The structure, or a pointer to it, as cffi shows it.
    where
        For example ``"arrays[0]."``.
    """

    __slots__ = ("_ffi", "_where", "fields")

    def __init__(self, ffi: Any, fields: Any, where: str = "") -> None:
        self._ffi = ffi
        self.fields = fields
        self._where = where

    def says(self, message: str) -> str:
        """Return a message about a field, with the place of the structure in front."""
        return self._where + message

    def text(self, name: str) -> str | None:
        """Return a text; None for NULL."""
        return self._decoded(getattr(self.fields, name), name)

    def path(self, name: str) -> str:
        """Return a path of this machine, whose bytes may be any; empty for NULL."""
        pointer = getattr(self.fields, name)
        return os.fsdecode(self._ffi.string(pointer)) if pointer else ""

    def texts(self, name: str, count: str) -> list[str]:
        """Return a list of texts, none of which may be NULL."""
        pointers = self._pointers(name, getattr(self.fields, count))
        found = [self._decoded(one, f"{name}[{n}]") for n, one in enumerate(pointers)]
        for position, text in enumerate(found):
            if text is None:
                raise SettingsError(f"{self._where}{name}[{position}] is NULL; give it a text")
        return [text for text in found if text is not None]

    def numbers(self, name: str, count: int) -> list[int]:
        """Return a list of numbers; empty for NULL."""
        return self._pointers(name, count) if getattr(self.fields, name) else []

    def member(self, name: str, members: Iterable[Member]) -> Member:
        """Return the member of an enumeration that a field names by its number."""
        value = int(getattr(self.fields, name))
        known = list(members)
        for one in known:
            if one == value:
                return one
        raise SettingsError(
            f"{self._where}{name} is {value}, which names nothing; it is one of "
            + ", ".join(f"{one.value} ({one.name.lower()})" for one in known)
        )

    def inner(self, name: str) -> Structure | None:
        """Return the structure that a pointer leads to; None for NULL."""
        pointer = getattr(self.fields, name)
        return Structure(self._ffi, pointer, f"{self._where}{name}.") if pointer else None

    def elements(self, name: str, count: str, size: int | None = None) -> list[Structure]:
        """Return the structures of an array, of which each takes `size` bytes if not the usual."""
        found = self._pointers(name, getattr(self.fields, count))
        if found and size is not None:
            first = getattr(self.fields, name)
            kind, start = self._ffi.typeof(first), self._ffi.cast("char *", first)
            found = [self._ffi.cast(kind, start + n * size) for n in range(len(found))]
        return [
            Structure(self._ffi, one, f"{self._where}{name}[{n}].") for n, one in enumerate(found)
        ]

    def _pointers(self, name: str, count: int) -> list[Any]:
        """Return the elements of an array; `count` must be one that was meant."""
        array = getattr(self.fields, name)
        if not count:
            return []
        if not array:
            raise SettingsError(f"{self._where}{name} is NULL, but there are {count} of them")
        if count > MOST_ELEMENTS:
            raise SettingsError(
                f"{self._where}{name}: {count:,} of them cannot be meant; fill structures with "
                "zeros before use"
            )
        return list(self._ffi.unpack(array, count))

    def _decoded(self, pointer: Any, name: str) -> str | None:
        """Return the text at a pointer."""
        if not pointer:
            return None
        try:
            return str(self._ffi.string(pointer).decode())
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self._where}{name} is not UTF-8: {error.object!r}") from None
