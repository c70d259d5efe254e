"""Several images of one kind: what `open_stream` makes of ``positions`` and ``plate``.

Each image has settings of its own, copied from one pattern; its name, or its well and field, is
where it is in the store.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, TypeAlias

from aqz_core.errors import SettingsError, SettingsTypeError
from aqz_core.settings.checks import argument, describe, list_of, text
from aqz_core.settings.plate import FieldOfView, Plate, Well

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.settings.array import ArraySettings

__all__ = ["PLATE_PATH", "Positions", "Wells", "images_at", "plate_of"]

Positions: TypeAlias = "int | Sequence[str]"
"""How many positions, or their names."""

Wells: TypeAlias = "Sequence[str] | Mapping[str, Positions] | Plate"
"""Names of wells; wells and the fields in each; or a whole plate."""

PLATE_PATH = "plate"
"""Key of a plate that has no other."""

MOST = 1_000_000

_WELL = re.compile(r"([A-Za-z]+)/?(\d+)|([A-Za-z0-9]+)/([A-Za-z0-9]+)")
_NAMES = list_of("names", text())


def images_at(positions: Positions, pattern: ArraySettings) -> list[ArraySettings]:
    """Return the settings of an image for each position, its name being the key.

    Raises
    ------
    SettingsError
        `positions` are neither a number nor names.
    """
    images = []
    for name in _names("positions", positions):
        image = copy.copy(pattern)
        image.output_key = name
        images.append(image)
    return images


def plate_of(wells: Wells, positions: Positions | None, pattern: ArraySettings) -> Plate:
    """Return a plate with an image for each field of each well.

    Parameters
    ----------
    wells
        As for `open_stream`.
    positions
        Fields in each well, where `wells` do not say it; one if None.
    pattern
        Settings of each image.

    Raises
    ------
    SettingsError
        They do not describe a plate.
    """
    if isinstance(wells, Plate):
        if positions is not None:
            raise SettingsError("plate has the fields of its wells already; leave positions out")
        return _filled(wells, pattern)
    fields = _fields(wells, 1 if positions is None else positions)
    if not fields:
        raise SettingsError("plate is empty; name its wells, for example plate=['A1', 'A2']")
    made: dict[tuple[str, str], Well] = {}
    said: dict[tuple[str, str], str] = {}
    for name, names in fields.items():
        row, column = _place(name)
        if (other := said.setdefault((row, column.lstrip("0")), name)) != name:
            raise SettingsError(f"plate names a well twice: {other!r} and {name!r}")
        well = made.setdefault((row, column), Well(row_name=row, column_name=column))
        well.images += [
            FieldOfView(path=field, array_settings=copy.copy(pattern)) for field in names
        ]
    return Plate(
        path=PLATE_PATH,
        row_names=sorted({row for row, _ in made}, key=_in_order),
        column_names=sorted({column for _, column in made}, key=_in_order),
        wells=list(made.values()),
    )


def _filled(plate: Plate, pattern: ArraySettings) -> Plate:
    """Return a copy of a plate whose fields are recorded like the pattern."""
    filled = copy.deepcopy(plate)
    filled.path = plate.path or PLATE_PATH
    for well in filled.wells:
        for field in well.images:
            field.array_settings = copy.copy(pattern)
    return filled


def _fields(wells: object, positions: object) -> dict[str, list[str]]:
    """Return the names of the fields in each well."""
    hint = "for example plate=['A1', 'A2'] or plate={'A1': 4, 'A2': 4}"
    if hasattr(wells, "items"):
        return {
            argument("a well in plate", text(), name, hint): _names(f"plate[{name!r}]", fields)
            for name, fields in wells.items()
        }
    names = argument("plate", _NAMES, wells, hint)
    if len(set(names)) < len(names):
        raise SettingsError(f"plate names a well twice: {names}; give the fields as a mapping")
    return {name: _names("positions", positions) for name in names}


def _names(what: str, given: object) -> list[str]:
    """Return names that were given, or as many numbers."""
    if isinstance(given, int) and not isinstance(given, bool):
        if not 1 <= given <= MOST:
            raise SettingsError(f"{what} is {given}; give a number from 1 to {MOST}")
        return [str(number) for number in range(given)]
    hint = f"for example {what}=3 or {what}=['left', 'right']"
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise SettingsTypeError(f"{what} must be a number or names, got {describe(given)}; {hint}")
    names: list[str] = argument(what, _NAMES, given, hint)
    if not names:
        raise SettingsError(f"{what} is empty; {hint}")
    return names


def _place(well: str) -> tuple[str, str]:
    """Return the row and the column of a well: of ``"B03"``, ``"B/03"``."""
    match = _WELL.fullmatch(well)
    if match is None:
        raise SettingsError(f"{well!r} is not the name of a well; write 'A1', or 'A/1'")
    return (match[1] or match[3], match[2] or match[4])


def _in_order(name: str) -> tuple[int, int, str]:
    """Sort rows A to Z before AA, and columns by number."""
    return (int(name), 0, name) if name.isdecimal() else (0, len(name), name)
