"""Whether settings can be recorded: every rule that is checked when a stream opens.

`validate` runs all of them; each rule group is a function of its own. Nothing is changed and
nothing is written; only the directory that the store goes into is looked at. A message says
where in the settings the fault is, the value, and what to do.

Rules follow acquire-zarr 0.10.0 where they make sense, Zarr v3 and NGFF 0.5. Rules for arrays
are in `validation_array`, for plates in `validation_plate`, for stores in `validation_store`, for
keys in `keys`, for paths in `store_path`.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError
from aqz_core.recording.image_series import check_series
from aqz_core.settings.acquire_zarr import rules_for
from aqz_core.settings.base import recheck
from aqz_core.settings.keys import Node, check_clashes, check_key, normalise_key
from aqz_core.settings.paths import local_path
from aqz_core.settings.validation.array import check_array, storage_permutation
from aqz_core.settings.validation.plate import check_plate, plate_nodes
from aqz_core.settings.validation.store import check_s3, check_store

if TYPE_CHECKING:
    from aqz_core.settings.array import ArraySettings
    from aqz_core.settings.stream import StreamSettings

__all__ = [
    "check_array",
    "check_arrays",
    "check_plate",
    "check_resources",
    "check_s3",
    "check_store",
    "local_path",
    "normalise_key",
    "storage_permutation",
    "validate",
]

_DURABILITIES = ("shard", "flush", "none")


def validate(settings: StreamSettings) -> None:
    """Check that a stream can be opened with these settings.

    Parameters
    ----------
    settings : StreamSettings
        They are not changed.

    Raises
    ------
    TypeError
        If something of the wrong type was put into a list.
    SettingsError
        For everything else, naming the place, the value and the remedy.
    """
    recheck(settings)
    check_resources(settings)
    check_arrays(settings)
    check_store(settings)


def check_arrays(settings: StreamSettings) -> None:
    """Check all arrays and plates, and that their keys can be in one store.

    Raises
    ------
    SettingsError
        For the first rule that is broken.
    """
    if not settings.arrays and not settings.hcs_plates:
        raise SettingsError("there is nothing to record; add ArraySettings to arrays")
    rules = rules_for(settings)
    sharded = settings.version is not ZarrVersion.V2
    nodes = []
    for position, array in enumerate(settings.arrays):
        where = _array_name(position, array)
        key = normalise_key(array.output_key)
        check_key(key, where)
        check_array(array, where, sharded=sharded)
        is_image = array.is_ngff or (rules.root_is_image and not key)
        nodes.append(Node(key, "multiscales" if is_image else "array", where))
    for position, plate in enumerate(settings.hcs_plates):
        where = f"hcs_plates[{position}] {plate.path!r}"
        check_plate(plate, where, sharded=sharded)
        nodes.extend(plate_nodes(plate, where))
    check_clashes(nodes)
    check_series(settings)


def check_resources(settings: StreamSettings) -> None:
    """Check what the stream may use of the machine.

    Raises
    ------
    SettingsError
        For a budget, a durability or a deadline that makes no sense.
    """
    if settings.max_memory is not None and settings.max_memory <= 0:
        raise SettingsError(
            f"max_memory is {settings.max_memory} bytes; give a positive number, or None to "
            "leave it to the machine"
        )
    if settings.durability not in _DURABILITIES:
        raise SettingsError(
            f"durability is {settings.durability!r}; use one of {', '.join(_DURABILITIES)}"
        )
    timeout = settings.stall_timeout
    if math.isnan(timeout) or not 0 < timeout <= threading.TIMEOUT_MAX:
        raise SettingsError(
            f"stall_timeout is {timeout} seconds; give a positive number of at most "
            f"{threading.TIMEOUT_MAX:.0f}"
        )


def _array_name(position: int, array: ArraySettings) -> str:
    """Say which array is meant."""
    return f"arrays[{position}] {array.output_key!r}" if array.output_key else f"arrays[{position}]"
