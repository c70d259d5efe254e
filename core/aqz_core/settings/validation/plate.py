"""Rules for plates (NGFF 0.5, "plate" and "well" metadata), and the nodes a plate owns.

Pure: nothing outside of the given settings is looked at.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, TypeVar

from aqz_core.errors import SettingsError
from aqz_core.settings.keys import Node, check_key, check_segment, normalise_key
from aqz_core.settings.plate import ROOT, fields_of
from aqz_core.settings.validation.array import check_array

if TYPE_CHECKING:
    from aqz_core.settings.plate import Plate, Well

__all__ = ["check_plate", "plate_nodes"]

_log = logging.getLogger("aqz")

_NAME = re.compile("[A-Za-z0-9]+")
_T = TypeVar("_T", int, str)


def check_plate(plate: Plate, where: str, *, sharded: bool = True) -> None:
    """Check a plate with all its wells and fields.

    Parameters
    ----------
    plate : Plate
        With elements of the right types in its lists.
    where : str
        Start of the message, for example ``"hcs_plates[0] 'plate'"``.
    sharded : bool
        As for `check_array`.

    Raises
    ------
    SettingsError
        For the first rule that is broken.
    """
    path = normalise_key(plate.path)
    if not path and plate.path != ROOT:
        raise SettingsError(
            f"{where}: path is empty; give the plate a key in the store, or '/' to make it the root"
        )
    check_key(path, where)
    _check_names(plate.row_names, f"{where}: row_names")
    _check_names(plate.column_names, f"{where}: column_names")
    if not plate.wells:
        raise SettingsError(f"{where}: wells is empty; add at least one Well")
    identifiers = [acquisition.id for acquisition in plate.acquisitions]
    repeated = _first_repeated(identifiers)
    if repeated is not None:
        raise SettingsError(f"{where}: two acquisitions have the id {repeated}; change one")
    taken: set[tuple[str, str]] = set()
    for well in plate.wells:
        place = (well.row_name, well.column_name)
        inside = f"{where}: well {'/'.join(place)!r}"
        if place in taken:
            raise SettingsError(f"{inside} is listed twice; put all its images into one Well")
        taken.add(place)
        _check_well(well, plate, set(identifiers), inside, sharded=sharded)


def plate_nodes(plate: Plate, where: str) -> list[Node]:
    """List every group and image that a plate puts into the store.

    Parameters
    ----------
    plate : Plate
        A plate that `check_plate` accepts.
    where : str
        Start of messages about it.

    Returns
    -------
    list of Node
        The plate, its rows and wells once each, and its fields.
    """
    path = normalise_key(plate.path)
    groups = {path: None}  # a set that keeps its order
    for well in plate.wells:
        groups[normalise_key(f"{path}/{well.row_name}")] = None
        groups[normalise_key(f"{path}/{well.row_name}/{well.column_name}")] = None
    nodes = [Node(key, "plate", where) for key in groups]
    for key, _, _ in fields_of(plate):
        nodes.append(Node(key, "multiscales", f"{where}: field {key!r}"))
    return nodes


def _check_names(names: list[str], where: str) -> None:
    """Check the names of rows or columns; they become directories on any file system."""
    if not names:
        raise SettingsError(f"{where} is empty; give all names, as a list of strings")
    for name in names:
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{where}: {name!r} may have letters and digits only; rename it")
    repeated = _first_repeated([name.lower() for name in names])
    if repeated is not None:
        same = [name for name in names if name.lower() == repeated]
        raise SettingsError(f"{where}: {same} are the same but for case; rename one")


def _check_well(
    well: Well, plate: Plate, acquisitions: set[int], where: str, *, sharded: bool
) -> None:
    """Check one well and its fields."""
    if well.row_name not in plate.row_names:
        raise SettingsError(
            f"{where}: row {well.row_name!r} is not in row_names {plate.row_names}; add it"
        )
    if well.column_name not in plate.column_names:
        raise SettingsError(
            f"{where}: column {well.column_name!r} is not in column_names "
            f"{plate.column_names}; add it"
        )
    if not well.images:
        raise SettingsError(f"{where}: images is empty; add at least one FieldOfView")
    repeated = _first_repeated([field.path for field in well.images])
    if repeated is not None:
        raise SettingsError(f"{where}: two images have the path {repeated!r}; change one")
    for field in well.images:
        inside = f"{where}: field {field.path!r}"
        check_segment(field.path, inside)
        if not _NAME.fullmatch(field.path):
            _log.warning(
                "%s: NGFF wants letters and digits only in the path of a field; some readers may "
                "refuse it",
                inside,
            )
        if field.acquisition_id is not None and field.acquisition_id not in acquisitions:
            raise SettingsError(
                f"{inside}: acquisition_id {field.acquisition_id} is not among the plate's "
                f"acquisitions {sorted(acquisitions)}; add it, or use None"
            )
        key = f"{normalise_key(plate.path)}/{well.row_name}/{well.column_name}/{field.path}"
        # Earlier versions of acquire-zarr wanted the path here once more.
        if normalise_key(field.array_settings.output_key) not in ("", field.path, key):
            raise SettingsError(
                f"{inside}: output_key is {field.array_settings.output_key!r}, but the key of a "
                f"field follows from its well and is {key!r}; leave it empty"
            )
        check_array(field.array_settings, inside, in_plate=True, sharded=sharded)


def _first_repeated(items: list[_T]) -> _T | None:
    """Return the first item that is there a second time."""
    seen: set[_T] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None
