"""From places on the stage to images in a store: their names, and the wells of a plate.

Pure functions over `Site`. Positions become images named after their labels; if every label names
a well, as in ``A1-Site_0``, they become the fields of a plate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aqz_micromanager.errors import LayoutUnknownError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_micromanager.run_plan import Site, SiteKey

__all__ = [
    "PLATE_KEY",
    "PlateChoice",
    "WellField",
    "arrange_plate",
    "image_keys",
    "is_plate",
    "well_of_label",
]

PlateChoice = Literal["auto"] | bool

PLATE_KEY = "plate"
"""Where in the store a plate is."""

# A row of up to 1536 wells, a column, and which site of the well: "A1-Site_0", "AB12_0003".
_LABEL = re.compile(
    r"(?P<row>[A-P]|A[A-F])[ _-]?0*(?P<column>[1-9]\d?)(?P<site>[ _-]+(?:[A-Za-z]*[ _-]*)\d+)?"
)


@dataclass(frozen=True, slots=True)
class WellField:
    """One site's place on a plate.

    Attributes
    ----------
    row, column
        Names of its well's row and column.
    path
        Name of the image in the well.
    """

    row: str
    column: str
    path: str


def well_of_label(label: str, *, bare: bool = False) -> tuple[str, str] | None:
    """Return row and column of the well that a position's label names, or None.

    Parameters
    ----------
    label
        ``"A1-Site_0"``, ``"B02_0001"``.
    bare
        Whether ``"A1"``, without a site, is a well as well; it may be a mere name.
    """
    match = _LABEL.fullmatch(label.strip())
    if match is None or (match["site"] is None and not bare):
        return None
    return match["row"], match["column"]


def is_plate(sites: Sequence[Site], choice: PlateChoice) -> bool:
    """Tell whether sites become a plate.

    Parameters
    ----------
    sites
        All of them.
    choice
        ``"auto"``: if every one is known to be in a well. True: they must be.

    Raises
    ------
    LayoutUnknownError
        They must be, and one has no well.
    """
    if choice is False:
        return False
    if choice == "auto":
        return bool(sites) and all(site.well is not None for site in sites)
    for site in sites:
        if _well(site) is None:
            raise LayoutUnknownError(
                f"plate=True, but position {site.name or site.key!r} names no well; label "
                "positions like 'A1-Site_0', or leave plate out"
            )
    return True


def arrange_plate(sites: Sequence[Site]) -> dict[SiteKey, WellField]:
    """Give each site of a plate its well and the name of its field: 0, 1, ... in each well."""
    counts: dict[tuple[str, str], int] = {}
    fields = {}
    for site in sites:
        well = _well(site)
        assert well is not None
        number = counts.get(well, 0)
        counts[well] = number + 1
        fields[site.key] = WellField(*well, str(number))
    return fields


def image_keys(sites: Sequence[Site]) -> dict[SiteKey, str]:
    """Give each site a key in the store: its label where that can be a name, or its number.

    A single image that has no position is the root of the store.
    """
    if len(sites) == 1 and not sites[0].key:
        return {(): ""}
    keys: dict[SiteKey, str] = {}
    taken = {"ome"}
    for number, site in enumerate(sites):
        first = site.name or "".join(map(str, site.key[:1]))
        wanted = _file_name("_".join([first, *map(str, site.key[1:])]))
        key = wanted if wanted and wanted.lower() not in taken else f"{wanted or 'image'}_{number}"
        taken.add(key.lower())
        keys[site.key] = key
    return keys


def _well(site: Site) -> tuple[str, str] | None:
    """Return the well of a site, bare names included."""
    return site.well or (well_of_label(site.name, bare=True) if site.name else None)


def _file_name(label: str) -> str:
    """Return a label with only those characters that every storage system takes in a name."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", label).strip("._")
    return re.sub(r"^_+", "", name)
