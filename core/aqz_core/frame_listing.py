"""Which frames of a recording are stored and which are missing, read from the store alone.

Three sources tell: the attribute ``aqz`` says how many frames came in order; the log of frames says
which came by index and which were skipped; and where a recording ended early, frames of the log
count only if their chunks are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StorageError
from aqz_core.frame_log import read_entries
from aqz_core.plans import join
from aqz_core.router import FrameRouter

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from aqz_core.recovery.stored_files import StoredFiles
    from aqz_core.recovery.survey import Node
    from aqz_core.settings import S3Settings

__all__ = ["FrameList", "list_frames", "missing_frames"]

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FrameList:
    """The frames of one array.

    Attributes
    ----------
    axes : tuple of str
        Names of the axes in front of the frame's own, in the order in which frames arrive.
    written : tuple of tuple of int
        Indices of the frames that are stored, in the order of arrival.
    missing : tuple of tuple of int
        Indices inside of the recorded extent that have no frame; they read as the fill value.
    """

    axes: tuple[str, ...]
    written: tuple[Index, ...]
    missing: tuple[Index, ...]


def missing_frames(
    store: str | os.PathLike[str], key: str = "", *, s3: S3Settings | None = None
) -> list[dict[str, int]]:
    """List the frames that a recording lacks: skipped, never written, or lost in a crash.

    Parameters
    ----------
    store : str or os.PathLike
        The store: a path or a URL. Its recording may go on or be finished.
    key : str
        The array's key.
    s3 : S3Settings, optional
        How to reach a bucket. With it, `store` may be a path in the bucket.

    Returns
    -------
    list of dict
        The index of each by axis name, in the order of arrival, as `ZarrStream.write` takes it.

    Raises
    ------
    StorageError
        There is no array of that key that aqz recorded, or the store cannot be read.
    SettingsError
        The store cannot be reached like that.

    Examples
    --------
    >>> with ZarrStream.resume("out.zarr") as stream:  # doctest: +SKIP
    ...     for index in missing_frames("out.zarr"):
    ...         stream.write(acquire(**index), index)
    """
    found = list_frames(store, key, s3=s3)
    return [dict(zip(found.axes, index, strict=True)) for index in found.missing]


def list_frames(
    store: str | os.PathLike[str], key: str = "", *, s3: S3Settings | None = None
) -> FrameList:
    """List the frames that a recording has, and those that it lacks.

    Parameters, errors: as `missing_frames`.

    Returns
    -------
    FrameList
        Both, as far as the array reaches by now. While a recording goes on, and after one that
        ended early, only frames count that are certainly stored.
    """
    from aqz_core.recovery.stored_files import open_files
    from aqz_core.recovery.survey import survey

    files = open_files(store, s3)
    try:
        nodes = {node.name: node for node in survey(files)}
        name = key.strip("/")
        owner = nodes.get(name)
        base = next((n for n in (nodes.get(join(name, "0")), owner) if n and n.array), None)
        if owner is None or base is None or "axes" not in owner.aqz:
            raise StorageError(f"{store} has no array at {key!r} that aqz recorded")
        return _listed(files, owner, base)
    finally:
        files.close()


def _listed(files: StoredFiles, owner: Node, base: Node) -> FrameList:
    """List the frames of an array."""
    assert base.array is not None
    axes = _leading_axes(owner)
    order = _storage_order(axes, base)
    stored_shape = base.array.shape[: len(axes)]
    shape = tuple(stored_shape[order.index(position)] for position in range(len(axes)))
    router = FrameRouter((0, *shape[1:]) if shape else (), order)
    certain = owner.aqz.get("frames")
    logged, skipped = _logged(files, base, router, order, shape)
    if type(certain) is int:
        numbers = set(range(certain)) - skipped
    elif owner.aqz.get("state") == "complete":
        numbers = logged
    else:
        numbers = _stored(files, base, router, logged)
    every = [(router.number(index), index) for index in product(*map(range, shape))]
    return FrameList(
        axes,
        tuple(index for number, index in every if number in numbers),
        tuple(index for number, index in every if number not in numbers),
    )


def _logged(
    files: StoredFiles, base: Node, router: FrameRouter, order: Index, shape: Index
) -> tuple[set[int], set[int]]:
    """Return the numbers of frames that came by index or before such, and of those left out."""
    logged: set[int] = set()
    skipped: set[int] = set()
    for entry in read_entries(files, base.log) if base.log is not None else ():
        if (index := _arrived(entry.get("index"), order, shape)) is not None:
            logged.add(router.number(index))
            skipped.discard(router.number(index))
        elif "appended" in entry:
            logged |= set(_numbers([0, entry["appended"]])) - skipped
        elif "skipped" in entry:
            left_out = set(_numbers(entry["skipped"]))
            skipped |= left_out
            logged -= left_out
    return logged, skipped


def _leading_axes(owner: Node) -> tuple[str, ...]:
    """Return the names of the axes in front of the frame's own, in the order of arrival."""
    try:
        return tuple(str(axis["name"]) for axis in owner.aqz["axes"][:-2])
    except (TypeError, KeyError) as error:
        raise StorageError(f"{owner.where}: the attribute aqz is malformed: {error!r}") from error


def _storage_order(axes: tuple[str, ...], base: Node) -> Index:
    """Return, for each leading axis as stored, its position in the order of arrival."""
    assert base.array is not None
    names = base.array.dimension_names[: len(axes)]
    if len(base.array.shape) < len(axes) + 2:
        raise StorageError(f"{base.where}: the attribute aqz names more axes than the array has")
    if sorted(map(str, names)) != sorted(axes):  # no names in Zarr V2, which keeps the order
        return tuple(range(len(axes)))
    return tuple(axes.index(str(name)) for name in names)


def _arrived(lead: Any, order: Index, shape: Index) -> Index | None:
    """Return a stored leading index in the order of arrival; None if it is none of this array."""
    if not isinstance(lead, list) or len(lead) != len(order):
        return None
    arrived = [0] * len(order)
    for position, value in zip(order, lead, strict=True):
        if type(value) is not int or not 0 <= value < shape[position]:
            return None
        arrived[position] = value
    return tuple(arrived)


def _numbers(pair: Any) -> Iterable[int]:
    """Return the frame numbers between the two of a log; none if those are no numbers."""
    if not isinstance(pair, list) or [type(number) for number in pair] != [int, int]:
        return ()
    return range(*pair)


def _stored(files: StoredFiles, base: Node, router: FrameRouter, numbers: set[int]) -> set[int]:
    """Return which frames have all their chunks, and are not all fill value in a shared chunk."""
    from aqz_core.hooks import create_plugin_manager
    from aqz_core.recovery.frames_on_disk import StoredPlanes

    assert base.array is not None
    planes = StoredPlanes(files, base, create_plugin_manager().codecs())
    shared = any(size > 1 for size in base.array.chunk_shape[:-2])
    kept = set()
    for number in sorted(numbers):
        lead = router.lead(number)
        if planes.has(lead) and (not shared or planes.in_use(lead)):
            kept.add(number)
    return kept
