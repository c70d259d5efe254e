"""OME-NGFF metadata of high-content screening: plates and wells, 0.4 and 0.5.

A plate group lists its rows, columns, wells and acquisitions; a well group
lists its fields of view. The records read here are described by what they must
offer, so that the settings classes can be passed as they are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from aqz_core.errors import SettingsError
from aqz_core.metadata import ngff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.metadata.json_text import Document

__all__ = ["AcquisitionLike", "FieldLike", "WellLike", "plate_attributes", "well_attributes"]


class FieldLike(Protocol):
    """What is read of a field of view."""

    @property
    def path(self) -> str:
        """Name of its group inside the well."""

    @property
    def acquisition_id(self) -> int | None:
        """Id of the acquisition that it belongs to, if any."""


class WellLike(Protocol):
    """What is read of a well."""

    @property
    def row_name(self) -> str:
        """One of the plate's rows."""

    @property
    def column_name(self) -> str:
        """One of the plate's columns."""

    @property
    def images(self) -> Sequence[FieldLike]:
        """Its fields of view."""


class AcquisitionLike(Protocol):
    """What is read of an acquisition, one pass over a plate."""

    @property
    def id(self) -> int:
        """Number, unique in the plate."""

    @property
    def name(self) -> str | None:
        """Name, for people."""

    @property
    def description(self) -> str | None:
        """What was done, for people."""

    @property
    def start_time(self) -> int | None:
        """Begin, in seconds since 1970-01-01 UTC."""

    @property
    def end_time(self) -> int | None:
        """End, in seconds since 1970-01-01 UTC."""


def plate_attributes(
    rows: Sequence[str],
    columns: Sequence[str],
    wells: Sequence[WellLike],
    acquisitions: Sequence[AcquisitionLike] = (),
    *,
    name: str = "",
    version: ngff.NgffVersion = "0.5",
) -> Document:
    """Return the attributes of a plate group (NGFF section "plate").

    Parameters
    ----------
    rows, columns
        Names, in the order of the plate.
    wells
        Wells that exist in the store.
    acquisitions
        Passes over the plate; none leaves the list out.
    name
        Name of the plate, left out if empty.
    version
        NGFF version.

    Raises
    ------
    SettingsError
        If a well names a row or column that the plate does not have.
    """
    plate: Document = {
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {
                "path": f"{well.row_name}/{well.column_name}",
                "rowIndex": _index(rows, well.row_name, "row"),
                "columnIndex": _index(columns, well.column_name, "column"),
            }
            for well in wells
        ],
        "field_count": max((len(well.images) for well in wells), default=0),
    }
    if acquisitions:
        plate["acquisitions"] = [_acquisition_document(one, wells) for one in acquisitions]
    if name:
        plate["name"] = name
    return ngff.attributes(_versioned("plate", plate, version), version)


def well_attributes(images: Sequence[FieldLike], *, version: ngff.NgffVersion = "0.5") -> Document:
    """Return the attributes of a well group (NGFF section "well").

    Parameters
    ----------
    images
        Fields of view, in order.
    version
        NGFF version.
    """
    listed = [
        {"path": field.path}
        if field.acquisition_id is None
        else {"path": field.path, "acquisition": field.acquisition_id}
        for field in images
    ]
    return ngff.attributes(_versioned("well", {"images": listed}, version), version)


def _index(names: Sequence[str], name: str, what: str) -> int:
    """Return the position of a row or column."""
    if name not in names:
        raise SettingsError(
            f"a well names {what} {name!r}, which the plate does not have; "
            f"its {what}s are {', '.join(names)}"
        )
    return names.index(name)


def _acquisition_document(acquisition: AcquisitionLike, wells: Sequence[WellLike]) -> Document:
    """Return one entry of ``acquisitions``; what is not known is left out."""
    fields_per_well = Counter(
        index
        for index, well in enumerate(wells)
        for field in well.images
        if field.acquisition_id == acquisition.id
    )
    optional = {
        "name": acquisition.name,
        "description": acquisition.description,
        "starttime": acquisition.start_time,
        "endtime": acquisition.end_time,
        # The schema wants a positive number, so an acquisition without fields has none.
        "maximumfieldcount": max(fields_per_well.values(), default=None),
    }
    known = {key: value for key, value in optional.items() if value is not None}
    return {"id": acquisition.id, **known}


def _versioned(key: str, document: Document, version: ngff.NgffVersion) -> Document:
    """Return the object under its key, with the version wherever a reader may look for it."""
    # 0.5 needs the version only once, beside the object; acquire-zarr writes it inside as
    # well, and ome-zarr-models warns when a plate lacks it.
    block: Document = {key: {**document, "version": version}}
    return block if version == "0.4" else {**block, "version": version}
