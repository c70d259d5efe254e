"""Whether settings can be recorded: every rule that is checked when a stream opens.

`validate` runs all of them; each rule group is a function of its own. Nothing is changed and
nothing is written; only the directory that the store goes into is looked at. A message says
where in the settings the fault is, the value, and what to do.

Rules follow acquire-zarr 0.10.0 where they make sense, Zarr v3 and NGFF 0.5. Rules for arrays
are in `array`, for plates in `plate`, for stores in `store`, for
keys in `keys`, for paths in `store_path`.
"""

from __future__ import annotations

import copy
import math
import threading
from typing import TYPE_CHECKING

from aqz_core.enums import ZarrVersion
from aqz_core.errors import SettingsError
from aqz_core.metadata.ngff import SERIES_GROUP
from aqz_core.settings.array import storage_permutation
from aqz_core.settings.base import recheck
from aqz_core.settings.keys import Node, check_clashes, check_key, normalise_key
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path
from aqz_core.settings.plate import field_arrays
from aqz_core.settings.validation.array import check_array
from aqz_core.settings.validation.plate import check_plate, plate_nodes
from aqz_core.settings.validation.store import check_s3, check_store

if TYPE_CHECKING:
    from aqz_core.settings.array import ArraySettings
    from aqz_core.settings.stream import StreamSettings

__all__ = [
    "check_array",
    "check_arrays",
    "check_extension",
    "check_plate",
    "check_resources",
    "check_s3",
    "check_series",
    "check_store",
    "local_path",
    "normalise_key",
    "storage_permutation",
    "validate",
]

LEAST_FLUSH_SECONDS = 0.1

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
    rules = settings.rules
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
    seconds = settings.flush_seconds
    if seconds is not None and not (seconds == 0 or LEAST_FLUSH_SECONDS <= seconds < math.inf):
        raise SettingsError(
            f"flush_seconds is {seconds} seconds; give {LEAST_FLUSH_SECONDS} at least, 0 to flush "
            "never, or None to leave it to the kind of store"
        )
    if seconds and not settings.live and is_local(settings.store_path, settings.s3):
        raise SettingsError(
            "flush_seconds needs live=True on a disk: shards that are hidden until they are "
            "complete cannot be flushed before"
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


def check_extension(now: StreamSettings, wanted: StreamSettings) -> None:
    """Check that settings are those of an open stream, with more arrays or fields.

    Parameters
    ----------
    now
        Of the open stream.
    wanted
        Of the same stream when it is extended. They are not changed.

    Raises
    ------
    SettingsError
        Something else differs, or the new arrays cannot be recorded.
    """
    check_arrays(wanted)
    if _without_arrays(now) != _without_arrays(wanted):
        raise SettingsError(
            "an open stream can only get more arrays or fields of plates; leave the other settings "
            "as they were when it was opened"
        )
    have, want = _arrays_by_key(now), _arrays_by_key(wanted)
    for key, array in have.items():
        if key not in want:
            raise SettingsError(
                f"array {key!r} is being recorded, but the new settings lack it; give all arrays, "
                "the old ones and the new ones"
            )
        if array != want[key]:
            raise SettingsError(
                f"array {key!r} is being recorded and cannot change; leave its settings as they "
                "are, and use another key for another array"
            )


def _without_arrays(settings: StreamSettings) -> StreamSettings:
    """Return a copy of everything but the arrays."""
    rest = copy.copy(settings)
    rest.arrays = []
    rest.hcs_plates = []
    return rest


def _arrays_by_key(settings: StreamSettings) -> dict[str, ArraySettings]:
    """Return the settings of all arrays, those of plates included."""
    flat = {normalise_key(array.output_key): array for array in settings.arrays}
    return flat | dict(field_arrays(settings.hcs_plates))


def check_series(settings: StreamSettings) -> None:
    """Check that the arrays of a stream can be listed as a series of images.

    Raises
    ------
    SettingsError
        An array is at the root or in the group that the list is in, or is not an NGFF image.
    """
    if not settings.bioformats2raw:
        return
    if not settings.arrays:
        raise SettingsError(
            "bioformats2raw lists the images of arrays, and there are none; add ArraySettings, "
            "or set bioformats2raw=False"
        )
    for array in settings.arrays:
        key = normalise_key(array.output_key)
        if not key or key.split("/")[0] == SERIES_GROUP:
            raise SettingsError(
                f"output_key {array.output_key!r}: with bioformats2raw=True the root and the group "
                f"{SERIES_GROUP!r} describe the images; give the array another key, such as '0'"
            )
        if not array.is_ngff:
            raise SettingsError(
                f"array {key!r} is a plain array, and bioformats2raw lists images; set "
                "is_ngff=True, or bioformats2raw=False"
            )
