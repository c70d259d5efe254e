"""Plates and wells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from aqz_core.enums import DimensionType
from aqz_core.errors import SettingsError
from aqz_core.metadata import Axis, ngff, zarr_v2, zarr_v3
from aqz_core.metadata.plate import plate_attributes, well_attributes
from aqz_core.settings.plate import Acquisition, FieldOfView, Well

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BYTES = {"configuration": {"endian": "little"}, "name": "bytes"}


def well(row: str, column: str, **fields: int | None) -> Well:
    """Return a well with fields of view, each with the acquisition it belongs to."""
    images = [FieldOfView(path=path, acquisition_id=run) for path, run in fields.items()]
    return Well(row_name=row, column_name=column, images=images)


WELLS = [
    well("A", "1", fov1=0, fov2=0, fov3=1),
    well("B", "2", fov1=1),
]
ACQUISITIONS = [
    Acquisition(id=0, name="M1", description="d", start_time=1, end_time=2),
    Acquisition(id=1, name="M2"),
    Acquisition(id=7, name="unused"),
]


def plate_block(version: ngff.NgffVersion = "0.5") -> dict[str, Any]:
    """Return the plate object of the example plate."""
    made = plate_attributes(
        ["A", "B"], ["1", "2"], WELLS, ACQUISITIONS, name="My Plate", version=version
    )
    block: dict[str, Any] = (made["ome"] if version == "0.5" else made)["plate"]
    return block


def test_the_document_of_a_plate() -> None:
    assert plate_block() == {
        "acquisitions": [
            {
                "description": "d",
                "endtime": 2,
                "id": 0,
                "maximumfieldcount": 2,
                "name": "M1",
                "starttime": 1,
            },
            {"id": 1, "maximumfieldcount": 1, "name": "M2"},
            {"id": 7, "name": "unused"},
        ],
        "columns": [{"name": "1"}, {"name": "2"}],
        "field_count": 3,
        "name": "My Plate",
        "rows": [{"name": "A"}, {"name": "B"}],
        "version": "0.5",
        "wells": [
            {"columnIndex": 0, "path": "A/1", "rowIndex": 0},
            {"columnIndex": 1, "path": "B/2", "rowIndex": 1},
        ],
    }


def test_the_version_is_where_readers_of_each_ngff_version_look() -> None:
    assert plate_attributes(["A"], ["1"], WELLS[:1])["ome"]["version"] == "0.5"
    assert plate_block("0.4")["version"] == "0.4"
    assert well_attributes([FieldOfView(path="a")])["ome"]["version"] == "0.5"
    assert well_attributes([FieldOfView(path="a")], version="0.4")["well"]["version"] == "0.4"


def test_a_field_without_acquisition_names_none() -> None:
    made = well_attributes(well("A", "1", fov1=None, fov2=0).images)
    assert made["ome"]["well"]["images"] == [
        {"path": "fov1"},
        {"path": "fov2", "acquisition": 0},
    ]


def test_a_plate_without_name_or_acquisitions_leaves_them_out() -> None:
    plate = plate_attributes(["A"], ["1"], WELLS[:1])["ome"]["plate"]
    assert not {"name", "acquisitions"} & set(plate)


def test_a_well_outside_the_plate_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"row 'C'.*A, B"):
        plate_attributes(["A", "B"], ["1"], [well("C", "1", f=None)])
    with pytest.raises(SettingsError, match="column '9'"):
        plate_attributes(["A", "B"], ["1"], [well("A", "9", f=None)])


def plate_store(store: Callable[..., Path], version: ngff.NgffVersion) -> Path:
    """Write the example plate with an image in each field; return its folder."""
    wells = plate_attributes(
        ["A", "B"], ["1", "2"], WELLS, ACQUISITIONS[:2], name="My Plate", version=version
    )
    groups: dict[str, dict[str, Any]] = {"": wells, "A/": {}, "B/": {}}
    axes = [Axis(name, DimensionType.SPACE) for name in "yx"]
    image = ngff.attributes(ngff.multiscales(axes, [[1, 1]], name="f", version=version), version)
    documents: dict[str, Any] = {}
    for place in WELLS:
        folder = f"{place.row_name}/{place.column_name}/"
        groups[folder] = well_attributes(place.images, version=version)
        for one in place.images:
            groups[f"{folder}{one.path}/"] = image
            at = f"{folder}{one.path}/0/"
            shape, dtype = (4, 4), np.dtype("uint8")
            if version == "0.4":
                documents[f"{at}.zarray"] = zarr_v2.array_document(shape, shape, dtype, None)
            else:
                documents[f"{at}zarr.json"] = zarr_v3.array_document(
                    shape, shape, None, dtype, [BYTES], dimension_names=["y", "x"]
                )
    for key, attributes in groups.items():
        if version == "0.4":
            documents[f"{key}.zgroup"] = zarr_v2.group_document()
            documents[f"{key}.zattrs"] = zarr_v2.attributes_document(attributes)
        else:
            documents[f"{key}zarr.json"] = zarr_v3.group_document(attributes)
    return store(documents)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("node", [".", "A/1", "A/1/fov1"])
def test_validators_accept_plates_wells_and_fields(
    version: ngff.NgffVersion,
    node: str,
    store: Callable[..., Path],
    judge: Callable[[Path], None],
) -> None:
    judge(plate_store(store, version) / node)
