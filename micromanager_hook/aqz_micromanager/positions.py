"""From places on the stage to images in a store: their keys and names, and the wells of a plate.

Pure functions. Images are named as their positions were labelled; their keys have only characters
that every storage system takes. If every label names a well, as in ``A1-Site_0``, the images become
the fields of a plate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aqz_micromanager.errors import LayoutUnknownError
from aqz_micromanager.tags import typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aqz_micromanager.run_plan import ImageKey, ImagePlan, Site

__all__ = [
    "PlateChoice",
    "WellField",
    "arrange_plate",
    "image_keys",
    "image_name",
    "is_plate",
    "well_of_label",
]

PlateChoice = Literal["auto"] | bool

_MAX_KEY = 100  # characters: file systems take 255 bytes, and some paths have an end, too

# A row of up to 1536 wells, a column, and which site of the well: "A1-Site_0", "AB12_0003".
_LABEL = re.compile(
    r"(?P<row>[A-P]|A[A-F])[ _-]?0*(?P<column>[1-9]\d?)(?P<site>[ _-]+(?:[A-Za-z]*[ _-]*)\d+)?"
)
# Names that groups or files of the store itself have.
_TAKEN = ("ome", "zarr.json", "c", "acquire.json")


@dataclass(frozen=True, slots=True)
class WellField:
    """One image's place on a plate.

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

    @property
    def key(self) -> str:
        """Where the image is in the store: the plate is its root."""
        return f"{self.row}/{self.column}/{self.path}"


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
    """Return whether sites become a plate.

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


def arrange_plate(images: Iterable[ImagePlan]) -> dict[ImageKey, WellField]:
    """Give each image in a well the name of its field: 0, 1, ... in each well."""
    counts: dict[tuple[str, str], int] = {}
    fields = {}
    for image in images:
        well = _well(image.site)
        if well is not None:
            number = counts.get(well, 0)
            counts[well] = number + 1
            fields[image.key] = WellField(*well, str(number))
    return fields


def image_keys(
    images: Sequence[ImagePlan], known: Mapping[ImageKey, str] | None = None
) -> dict[ImageKey, str]:
    """Give each image a key in the store: its label where that can be a name, or its number.

    A single image that has no position is the root of the store.

    Parameters
    ----------
    images
        All of them.
    known
        Keys that images have already.
    """
    keys: dict[ImageKey, str] = dict(known or {})
    if not keys and len(images) == 1 and not images[0].site.key:
        return {images[0].key: ""}
    taken = {*_TAKEN, *(key.lower() for key in keys.values())}
    below_image = "" in keys.values()  # whose levels have numbers for names
    sites_before = [key[0] for key in keys]
    for number, image in enumerate(images):
        if image.key in keys:
            sites_before.append(image.key[0])
            continue
        several = sum(other.site.key == image.site.key for other in images) > 1
        parts = _label(image.site)
        if several and (image.site.key in sites_before or not image.site.key):
            parts = [*parts, "by", *sorted(image.family)]
        wanted = _file_name("_".join(parts))
        if not wanted or wanted.lower() in taken or (below_image and wanted.isdecimal()):
            wanted = _numbered(wanted or "image", number, taken)
        taken.add(wanted.lower())
        keys[image.key] = wanted
        sites_before.append(image.key[0])
    return keys


def _numbered(name: str, number: int, taken: set[str]) -> str:
    """Return a name with the first number, from one on, that nothing else has."""
    while f"{name}_{number}".lower() in taken:
        number += 1
    return f"{name}_{number}"


def image_name(image: ImagePlan) -> str:
    """Return the name of an image for people: the label as it was typed, whatever its key."""
    return typed("_".join(_label(image.site)))


def _label(site: Site) -> list[str]:
    """Return what tells a site from others: its label, its place in the grid, or its number."""
    parts = [str(value) for value in site.key]
    if site.grid is not None and site.tile_at is not None:
        parts[site.tile_at] = f"{site.grid[0]}_{site.grid[1]}"
    if site.name:
        parts[:1] = [site.name] if site.tile_at != 0 else [site.name, parts[0]]
    return [part for part in parts if part]


def _well(site: Site) -> tuple[str, str] | None:
    """Return the well of a site, bare names included."""
    return site.well or (well_of_label(site.name, bare=True) if site.name else None)


def _file_name(label: str) -> str:
    """Return a label with only those characters that every storage system takes in a name."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", label).strip("._")
    return re.sub(r"^_+", "", name)[:_MAX_KEY].rstrip("._")
