"""What the settings of a stream come to: its arrays, the groups of its plates, its memory.

Nothing is stored here, and nothing is known of the store but how it takes shards.
`RecordingSession` carries the plan out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.metadata.plate import plate_attributes, well_attributes
from aqz_core.metadata.zarr_format import zarr_format
from aqz_core.planning.array import ArrayPlan, plan_array
from aqz_core.planning.memory import ArrayMemory, MemoryPlan, PartNeeds, part_needs, plan_memory
from aqz_core.settings.keys import join, normalise_key
from aqz_core.settings.plate import field_arrays
from aqz_core.storage.opening import sink_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.metadata import Document
    from aqz_core.metadata.ngff import NgffVersion
    from aqz_core.planning.memory import MemoryPlan
    from aqz_core.plugins import Hooks
    from aqz_core.settings.plate import Plate
    from aqz_core.settings.stream import StreamSettings

__all__ = ["StreamPlan", "plan_stream", "processor_count", "worker_count"]


@dataclass(frozen=True)
class StreamPlan:
    """A stream as it will be recorded.

    Attributes
    ----------
    arrays
        In the order of ``StreamSettings.get_array_keys``.
    groups
        Attributes of the groups of plates, their rows and wells, by key.
    memory
        The budget, divided.
    workers
        Threads that compute.
    flat_keys
        Keys of the arrays outside of plates.
    """

    arrays: tuple[ArrayPlan, ...]
    groups: Mapping[str, Document]
    memory: MemoryPlan
    workers: int
    flat_keys: tuple[str, ...]

    @property
    def levels(self) -> int:
        """Levels of the deepest pyramid."""
        return max(len(plan.layouts) for plan in self.arrays)


def plan_stream(settings: StreamSettings, hooks: Hooks) -> StreamPlan:
    """Work out how a stream is recorded.

    Parameters
    ----------
    settings
        Valid.
    hooks
        Where codecs, downsamplers and sinks come from.

    Raises
    ------
    MemoryBudgetError
        ``max_memory``, or the machine, is too small for the layout.
    """
    codecs, downsamplers = hooks.codecs(), hooks.downsamplers()
    storage = sink_provider(settings, hooks.sinks()).storage
    flat_arrays = [(None, array) for array in settings.arrays]
    wanted = (*flat_arrays, *field_arrays(settings.hcs_plates))
    plans = tuple(
        plan_array(
            array,
            key=key,
            in_plate=key is not None,
            rules=settings.rules,
            version=settings.version,
            codec_providers=codecs,
            downsamplers=downsamplers,
            random_access=storage == "random",
        )
        for key, array in wanted
    )
    flat = len(settings.arrays)
    workers = worker_count(settings.max_threads)
    memory = plan_memory(
        [_memory(plan) for plan in plans[:flat]],
        workers,
        settings.max_memory,
        fields=[_memory(plan) for plan in plans[flat:]],
        parts=PartNeeds()
        if storage == "random"
        else part_needs(plans[:flat], plans[flat:], whole=storage == "whole"),
    )
    groups: dict[str, Document] = {}
    for plate in settings.hcs_plates:
        groups |= _plate_groups(plate, zarr_format(settings.version).ngff_version)
    flat_keys = tuple(plan.key for plan in plans[:flat])
    return StreamPlan(plans, groups, memory, workers, flat_keys)


def _memory(plan: ArrayPlan) -> ArrayMemory:
    """Return the needs of one array."""
    return ArrayMemory.of(plan.layouts, plan.codecs, plan.base.index_room, plan.lead_order)


def _plate_groups(plate: Plate, version: NgffVersion) -> dict[str, Document]:
    """Return the attributes of a plate's groups by key; those of rows are empty."""
    path = normalise_key(plate.path)
    attributes = plate_attributes(
        plate.row_names,
        plate.column_names,
        plate.wells,
        plate.acquisitions,
        name=plate.name,
        version=version,
    )
    groups = {path: attributes}
    for well in plate.wells:
        groups[join(path, well.row_name)] = {}
        groups[join(path, well.row_name, well.column_name)] = well_attributes(
            well.images, version=version
        )
    return groups


def worker_count(max_threads: int) -> int:
    """Return how many worker threads to use: as asked, by ``ZARR_MAX_THREADS``, or per core."""
    if max_threads > 0:
        return max_threads
    asked = os.environ.get("ZARR_MAX_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return processor_count()


def processor_count() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
