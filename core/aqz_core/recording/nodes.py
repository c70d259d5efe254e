"""The nodes of a store that arrays need: what is there already, and the groups they stand in."""

from __future__ import annotations

import logging
import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from aqz_core.errors import SettingsError, StoreExistsError
from aqz_core.metadata import Document, to_json
from aqz_core.metadata.zarr_format import read_node
from aqz_core.planning.documents import node_names
from aqz_core.recording.overwriting import remove_recording
from aqz_core.settings.keys import ancestors
from aqz_core.storage.names import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.planning.array import ArrayPlan
    from aqz_core.storage.sink import Sink

__all__ = ["check_free_space", "claim_nodes", "stored_attributes", "write_groups"]

_log = logging.getLogger("aqz")

NOTHING: Mapping[str, Document] = MappingProxyType({})


def claim_nodes(
    sink: Sink,
    plans: Sequence[ArrayPlan],
    groups: Mapping[str, Document] = NOTHING,
    *,
    overwrite: bool,
) -> dict[str, Document]:
    """Make sure that nothing stored would be damaged.

    Parameters
    ----------
    sink
        The store.
    plans
        The arrays that will be recorded.
    groups
        Attributes of the groups of plates, by key.
    overwrite
        Whether to remove the recording that is there.

    Returns
    -------
    dict
        Attributes of groups that are there already and become images or parts of plates, by key:
        they are kept.

    Raises
    ------
    StoreExistsError
        An array is stored at one of the keys, or above it; or a plate at the key of one. What
        would be removed is more than a recording.
    """
    if overwrite:
        levels = ((plan, level) for plan in plans for level in range(len(plan.layouts)))
        names = [plan.level_name(level) for plan, level in levels]
        remove_recording(sink, [*names, *(plan.key for plan in plans)])
        return {}
    above = {group: plan.key for plan in reversed(plans) for group in ancestors(plan.key)}
    for group, key in above.items():
        if _node_kind(sink, group) == "array":
            raise StoreExistsError(_taken(sink, group, f"so {key!r} cannot be inside it"))
    attributes = {key: _claim_plate_group(sink, key) for key in groups}
    for plan in plans:
        attributes[plan.key] = _claim(sink, plan)
    return attributes


def _claim_plate_group(sink: Sink, key: str) -> Document:
    """Return the attributes of a group that becomes part of a plate and is no part of one yet."""
    attributes = stored_attributes(sink, key)
    inside = attributes.get("ome")
    for found in (attributes, inside if isinstance(inside, dict) else {}):
        if "plate" in found or "well" in found:
            raise StoreExistsError(
                f"{sink.url} has a plate or well at {key!r} already. Choose another path for the "
                "plate or another store_path, or set overwrite=True to remove the whole store "
                "first."
            )
    return attributes


def _claim(sink: Sink, plan: ArrayPlan) -> Document:
    """Check one array's place; return the attributes of the group that is there, if any."""
    kind = _node_kind(sink, plan.key)
    if kind == "array":
        raise StoreExistsError(_taken(sink, plan.key, "which would be damaged"))
    if plan.is_image:
        for level in range(len(plan.layouts)):
            if _occupied(sink, plan.level_name(level)):
                raise StoreExistsError(
                    _taken(sink, plan.level_name(level), "which would be damaged")
                )
        return stored_attributes(sink, plan.key) if kind == "group" else {}
    if kind == "group" and not (plan.key == "" and _is_empty_group(sink)):
        raise StoreExistsError(
            f"{sink.url} has a group at {plan.key!r}, where an array would go. Choose another "
            "output_key or store_path, or set overwrite=True to remove the whole store first."
        )
    if kind is None and _occupied(sink, plan.key):
        raise StoreExistsError(
            f"{sink.url} has files at {plan.key!r} that belong to no Zarr array. Choose another "
            "output_key or store_path, or set overwrite=True to remove the whole store first."
        )
    return {}


def _taken(sink: Sink, name: str, consequence: str) -> str:
    """Say that an array, or what is left of one, is in the way."""
    place = f"at {name!r}" if name else "at its root"
    return (
        f"{sink.url} has an array {place} already, {consequence}. Choose another output_key or "
        "store_path, or set overwrite=True to remove the whole store first."
    )


def _node_kind(sink: Sink, name: str) -> str | None:
    """Return "array" or "group" for what is stored at `name`, or None."""
    node = read_node(sink.read, name)
    return None if node is None else node.kind


def _occupied(sink: Sink, name: str) -> bool:
    """Return whether an array, or chunks of one without metadata, are stored at `name`."""
    if _node_kind(sink, name) == "array":
        return True
    if not name:
        return next(sink.names("c"), None) is not None
    return next(sink.names(name), None) is not None


def _is_empty_group(sink: Sink) -> bool:
    """Return whether the root is a group that has nothing in it."""
    return set(sink.names("")) <= set(METADATA)


def stored_attributes(sink: Sink, name: str) -> Document:
    """Return the attributes of a stored node; empty if there is none."""
    node = read_node(sink.read, name)
    return {} if node is None else node.attributes


def write_groups(
    sink: Sink, plans: Sequence[ArrayPlan], groups: Mapping[str, Document] = NOTHING
) -> None:
    """Write the groups of plates, and the others above every array where none is stored yet."""
    form = plans[0].format
    for name, attributes in groups.items():
        for document_name, document in form.group_documents(name, attributes).items():
            sink.write(document_name, to_json(document), sync=False)
    keys = [*groups, *(plan.key for plan in plans)]
    names = dict.fromkeys(group for key in keys for group in ancestors(key))
    own = {plan.key for plan in plans if plan.is_image} | set(groups)
    for name in names:
        if name in own or any(sink.read(node) is not None for node in node_names(name)):
            continue
        for document_name, document in form.group_documents(name, {}).items():
            sink.write(document_name, to_json(document), sync=False)


def check_free_space(sink: Sink, plans: Sequence[ArrayPlan], keep_free: int = 0) -> None:
    """Raise `SettingsError` if not even one layer of shards of every array fits the store.

    Parameters
    ----------
    sink
        The store.
    plans
        The arrays that will be recorded.
    keep_free
        Bytes that are to stay free.
    """
    free = sink.free_nbytes()
    if free is None:
        return
    needed = sum(_first_shards_nbytes(plan) for plan in plans if plan.codecs.is_identity)
    if free - keep_free < needed:
        kept = f" and keep_free is {keep_free:,}" if keep_free else ""
        raise SettingsError(
            f"{sink.url} has {free:,} bytes free, but one layer of shards takes {needed:,}{kept}. "
            "Free some space, choose another disk, or use smaller shards."
        )
    declared = sum(math.prod(plan.lead_shape) * plan.base.frame_nbytes for plan in plans)
    if free - keep_free < declared:
        _log.warning(
            "%s has %s bytes free, and arrays of %s bytes before compression are going to be "
            "recorded: the disk may get full",
            sink.url,
            f"{free:,}",
            f"{declared:,}",
        )


def _first_shards_nbytes(plan: ArrayPlan) -> int:
    """Return the bytes of the first layer of shards, as far as the array reaches."""
    base = plan.base
    planes = 1
    for axis, size in enumerate(base.lead_shape):
        shard = base.chunk_shape[axis] * (base.shard_chunks[axis] if base.shard_chunks else 1)
        planes *= min(shard, size) if size else shard
    return planes * base.frame_nbytes
