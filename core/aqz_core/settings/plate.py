"""Settings of high-content screening: plates, wells, fields of view, acquisitions.

Names follow acquire-zarr 0.10.0 and the ``plate`` and ``well`` metadata of NGFF. Whether a
plate is consistent is checked by `validation.plate` when the stream opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from aqz_core.settings import checks as check
from aqz_core.settings.array import ArraySettings
from aqz_core.settings.base import SettingsBase
from aqz_core.settings.checks import UINT64_MAX, checked
from aqz_core.settings.keys import normalise_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ROOT", "Acquisition", "FieldOfView", "Plate", "Well", "field_arrays", "fields_of"]

ROOT = "/"
"""Path of a plate that is the store itself."""

# What these take is what the constructors take, for type checkers; the checks make lists of it.


def _given_names(names: Iterable[str]) -> list[str]:
    """Take any collection."""
    return cast("list[str]", names)


def _given_fields(fields: Iterable[FieldOfView]) -> list[FieldOfView]:
    """Take any collection."""
    return cast("list[FieldOfView]", fields)


def _given_wells(wells: Iterable[Well]) -> list[Well]:
    """Take any collection."""
    return cast("list[Well]", wells)


def _given_acquisitions(acquisitions: Iterable[Acquisition]) -> list[Acquisition]:
    """Take any collection."""
    return cast("list[Acquisition]", acquisitions)


_COUNT = check.whole_number(0, UINT64_MAX)  # milliseconds since 1970 do not fit 32 bits


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Acquisition(SettingsBase):
    """One run over a plate.

    Parameters
    ----------
    id : int, default 0
        Number of the run, unique in its plate.
    name, description : str, optional
        For people.
    start_time, end_time : int, optional
        Unix time of begin and end (NGFF: an integer epoch timestamp).
    """

    id: int = attrs.field(default=0, metadata=checked(_COUNT, required=True))
    name: str | None = attrs.field(default=None, metadata=checked(check.optional(check.text())))
    description: str | None = attrs.field(
        default=None, metadata=checked(check.optional(check.text()))
    )
    start_time: int | None = attrs.field(default=None, metadata=checked(check.optional(_COUNT)))
    end_time: int | None = attrs.field(default=None, metadata=checked(check.optional(_COUNT)))


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class FieldOfView(SettingsBase):
    """One image in a well.

    Parameters
    ----------
    path : str
        Name of the image, unique in its well.
    acquisition_id : int, optional
        The acquisition that it belongs to.
    array_settings : ArraySettings
        The image; its ``output_key`` is empty or the path, and it is always an NGFF image.
    """

    path: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    acquisition_id: int | None = attrs.field(default=None, metadata=checked(check.optional(_COUNT)))
    array_settings: ArraySettings = attrs.field(
        factory=ArraySettings,
        metadata=checked(check.instance(ArraySettings), key="array", required=True),
    )


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Well(SettingsBase):
    """One well of a plate.

    Parameters
    ----------
    row_name, column_name : str
        Names that the plate lists.
    images : list of FieldOfView
        At least one.
    """

    row_name: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    column_name: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    images: list[FieldOfView] = attrs.field(
        factory=list,
        converter=_given_fields,
        metadata=checked(check.list_of("FieldOfView", check.instance(FieldOfView)), required=True),
    )


@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Plate(SettingsBase):
    """A multi-well plate.

    Parameters
    ----------
    path : str
        Key of the plate in the store; ``"/"`` makes the plate the store itself, which is where
        most readers look for one.
    name : str
        For people.
    row_names, column_names : list of str
        All rows and columns of the plate, letters and digits only.
    wells : list of Well
        The wells that are recorded.
    acquisitions : list of Acquisition
        May be empty.
    """

    path: str = attrs.field(default="", metadata=checked(check.text(), required=True))
    name: str = attrs.field(default="", metadata=checked(check.text(), always=True))
    row_names: list[str] = attrs.field(
        factory=list,
        converter=_given_names,
        metadata=checked(check.list_of("strings", check.text()), required=True),
    )
    column_names: list[str] = attrs.field(
        factory=list,
        converter=_given_names,
        metadata=checked(check.list_of("strings", check.text()), required=True),
    )
    wells: list[Well] = attrs.field(
        factory=list,
        converter=_given_wells,
        metadata=checked(check.list_of("Well", check.instance(Well)), required=True),
    )
    acquisitions: list[Acquisition] = attrs.field(
        factory=list,
        converter=_given_acquisitions,
        metadata=checked(check.list_of("Acquisition", check.instance(Acquisition))),
    )


def fields_of(plate: Plate) -> Iterator[tuple[str, Well, FieldOfView]]:
    """Walk over the fields of view of a plate.

    Parameters
    ----------
    plate : Plate
        With wells in any order.

    Yields
    ------
    key : str
        Key of the field in the store, ``plate/row/column/field``, or ``row/column/field``.
    well : Well
        The well it lies in.
    field : FieldOfView
        The field itself.
    """
    for well in plate.wells:
        for field in well.images:
            path = f"{plate.path}/{well.row_name}/{well.column_name}/{field.path}"
            yield normalise_key(path), well, field


def field_arrays(plates: Iterable[Plate]) -> Iterator[tuple[str, ArraySettings]]:
    """Yield the key in the store and the settings of every field of some plates."""
    for plate in plates:
        for key, _, field in fields_of(plate):
            yield key, field.array_settings
