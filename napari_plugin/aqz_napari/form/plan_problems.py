"""What is wrong with a plan, beside which field, and how to repair it. No Qt.

The rules are the engine's own (`aqz_core.validate_settings`); what is added here is what only
the form can know: that nothing is chosen, that a template is wrong, that a store is there
already, that a unit means nothing to napari.
"""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import aqz_core as aqz
from aqz_napari.form.destination import (
    exists_locally,
    expand,
    free_bytes,
    is_remote,
    local_file,
    next_free,
)
from aqz_napari.form.estimates import readable_bytes
from aqz_napari.form.recording_plan import array_settings, suggested
from aqz_napari.form.user_metadata import parse_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from aqz_napari.form.recording_plan import ArrayPlan, RecordingPlan

__all__ = ["FIELDS", "Field", "Problem", "problems", "store_path_of"]

Field = Literal["source", "destination", "dimensions", "storage", "stop", "advanced"]
FIELDS: tuple[Field, ...] = get_args(Field)
"""Parts of the form that a message can stand beside."""

_LARGE_CHUNK = 256 << 20
_WORDS: tuple[tuple[Field, str], ...] = (
    ("destination", r"store_path|s3|bucket|object store"),
    ("storage", r"compression|pyramid|level is|shuffle|ZarrVersion|Zarr V2|downsampling"),
    ("dimensions", ""),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a plan.

    Attributes
    ----------
    field : str
        Part of the form it belongs to.
    message : str
        What is wrong and what to do.
    is_error : bool
        Whether it keeps the recording from starting.
    fix_label : str
        What mending it would do, for a button; empty where nothing is obvious.
    fix : callable or None
        Returns a plan in which it is repaired.
    """

    field: Field
    message: str
    is_error: bool = True
    fix_label: str = ""
    fix: Callable[[RecordingPlan], RecordingPlan] | None = None


def store_path_of(plan: RecordingPlan, exists: Callable[[str], bool] = exists_locally) -> str:
    """Return where a recording goes: templates filled in, and a number added to a taken name.

    Parameters
    ----------
    plan : RecordingPlan
        Says where to, and what the source is called.
    exists : callable
        Says whether a destination is taken.

    Raises
    ------
    ValueError
        A template is unknown.
    """
    title = plan.arrays[0].title if len(plan.arrays) == 1 else "recording"
    path = expand(plan.destination.strip(), title, exists=exists)
    if exists(path):
        path = next_free(path, exists)
    # Others that are given the path may not know what ~ means.
    return path if is_remote(path) else str(local_file(path))


def problems(plan: RecordingPlan, exists: Callable[[str], bool] = exists_locally) -> list[Problem]:
    """Return all that is wrong with a plan, at most one message of the engine's at a time.

    Parameters
    ----------
    plan : RecordingPlan
        What the form says.
    exists : callable
        Says whether a destination is taken.
    """
    if not plan.arrays:
        return [Problem("source", "choose at least one layer or camera to record")]
    found: list[Problem] = []
    for array in plan.arrays:
        found.extend(_array_problems(array))
    found.extend(_no_ngff(plan))
    path, destination = _destination_problems(plan, exists)
    found.extend(destination)
    try:
        parse_metadata(plan.metadata)
    except ValueError as error:
        found.append(Problem("advanced", str(error)))
    if not any(problem.is_error for problem in found):
        found.extend(_engine_problems(plan, path))
    return found


def _array_problems(array: ArrayPlan) -> list[Problem]:
    """Look at axes against what the source delivers, and at units."""
    found: list[Problem] = []
    name = f"{array.key}: " if array.key else ""
    if unknown := [axis.name for axis in array.axes if axis.size < 0]:
        return [Problem("dimensions", f"{name}the size of {unknown[0]} is not a number")]
    tail = tuple(axis.size for axis in array.axes[-len(array.update_shape) :])
    if tail != array.update_shape:
        found.append(
            Problem(
                "dimensions",
                f"{name}the last dimensions have sizes {tail}, but {array.title} delivers "
                f"{array.update_shape}",
                fix_label="Use its sizes",
                fix=lambda plan: plan.with_array(_with_sizes(array)),
            )
        )
    if any(axis.chunk < 1 for axis in array.axes):
        found.append(
            Problem(
                "dimensions",
                f"{name}chunks need at least 1 pixel on every axis",
                fix_label="Use the suggested layout",
                fix=lambda plan: plan.with_array(suggested(array)),
            )
        )
    found.extend(
        Problem(
            "dimensions",
            f"{name}{axis.name}: napari does not know the unit {axis.unit!r}; it is stored, but "
            "the layer will be shown in pixels",
            is_error=False,
            fix_label="No unit",
            fix=partial(_without_unit, key=array.key, name=axis.name),
        )
        for axis in array.axes
        if axis.unit and not _known_unit(axis.unit)
    )
    chunk = math.prod(axis.chunk for axis in array.axes) * _itemsize(array)
    if chunk > _LARGE_CHUNK:
        found.append(
            Problem(
                "dimensions",
                f"{name}a chunk has {readable_bytes(chunk)}; viewers read whole chunks, and "
                "recording needs memory for several",
                is_error=chunk > 2**31,
                fix_label="Use the suggested layout",
                fix=lambda plan: plan.with_array(suggested(array)),
            )
        )
    return found


def _no_ngff(plan: RecordingPlan) -> list[Problem]:
    """Warn of axes that make an array no OME-NGFF image."""
    found = []
    for array in plan.arrays:
        try:
            reasons = array_settings(array, plan.storage).ngff_problems()
        except (aqz.AqzError, TypeError, ValueError):
            continue  # the engine's own rules say it better
        if reasons:
            name = f"{array.key}: " if array.key else ""
            found.append(
                Problem(
                    "dimensions",
                    f"{name}no OME-Zarr image can have these axes ({reasons[0]}). They are "
                    "recorded as a plain Zarr array with their names: this plug-in opens it with "
                    "scale and units, other programs without",
                    is_error=False,
                )
            )
    return found


def _destination_problems(
    plan: RecordingPlan, exists: Callable[[str], bool]
) -> tuple[str, list[Problem]]:
    """Look at the path and the space behind it; return the path too."""
    if not plan.destination.strip():
        return "", [Problem("destination", "say where to record to")]
    exists = cache(exists)  # what is learned of a remote place meanwhile is for the next look
    try:
        path = store_path_of(plan, exists)
    except (ValueError, RuntimeError) as error:  # a template, or a home that nobody knows
        return "", [Problem("destination", str(error))]
    if is_remote(path):
        return path, []
    try:
        place = local_file(path)
        if not place.parent.exists():
            return path, [
                Problem(
                    "destination",
                    f"the folder {place.parent} does not exist",
                    fix_label="Make it",
                    fix=lambda plan: _with_folder(plan, place.parent),
                )
            ]
    except (OSError, RuntimeError) as error:
        return path, [Problem("destination", f"{path}: {error}")]
    found = []
    free_space, floor = free_bytes(path), plan.stop.disk_floor
    if free_space is not None and floor is not None and free_space < floor:
        found.append(
            Problem(
                "stop",
                f"only {readable_bytes(free_space)} are free, less than the "
                f"{readable_bytes(floor)} to keep",
            )
        )
    if Path(tempfile.gettempdir()) in place.parents:
        found.append(
            Problem(
                "destination",
                "this is a folder for temporary files, which the system may empty",
                is_error=False,
            )
        )
    return path, found


def _engine_problems(plan: RecordingPlan, path: str) -> list[Problem]:
    """Ask the engine."""
    try:
        aqz.validate_settings(plan.settings(path))
    except (aqz.SettingsError, TypeError, ValueError) as error:
        message = re.sub(r"^arrays\[\d+\]( '[^']*')?: ", "", str(error))
        field = next(field for field, words in _WORDS if re.search(words, message))
        label, fix = _engine_fix(message)
        return [Problem(field, message, fix_label=label, fix=fix)]
    return []


def _engine_fix(message: str) -> tuple[str, Callable[[RecordingPlan], RecordingPlan] | None]:
    """Return how to repair what the engine found, where that is obvious."""
    if re.search(r"level is \d+", message):
        return "Use level 1", lambda plan: replace(plan, storage=replace(plan.storage, level=1))
    if "shuffle is" in message:
        return "No shuffle", lambda plan: replace(plan, storage=replace(plan.storage, shuffle=0))
    if re.search(r"chunk|shard", message):
        return "Use the suggested layout", lambda plan: replace(
            plan, arrays=tuple(map(suggested, plan.arrays))
        )
    return "", None


def _with_sizes(array: ArrayPlan) -> ArrayPlan:
    """Return the array with the sizes that its source delivers."""
    count = len(array.update_shape)
    tail = tuple(
        replace(axis, size=size)
        for axis, size in zip(array.axes[-count:], array.update_shape, strict=False)
    )
    return replace(array, axes=(*array.axes[:-count], *tail))


def _without_unit(plan: RecordingPlan, key: str, name: str) -> RecordingPlan:
    """Return the plan with one axis that has no unit."""
    array = next(array for array in plan.arrays if array.key == key)
    axes = tuple(replace(a, unit="") if a.name == name else a for a in array.axes)
    return plan.with_array(replace(array, axes=axes))


def _with_folder(plan: RecordingPlan, folder: Path) -> RecordingPlan:
    """Make the folder of a destination."""
    folder.mkdir(parents=True, exist_ok=True)
    return plan


def _known_unit(unit: str) -> bool:
    """Return whether napari can show a unit; it uses pint."""
    try:
        import pint
    except ImportError:
        return True
    try:
        pint.application_registry.get().Unit(unit)
    except Exception:  # pint raises what its parser met
        return False
    return True


def _itemsize(array: ArrayPlan) -> int:
    """Return the bytes of a pixel."""
    return aqz.DataType.of(array.dtype).dtype.itemsize
