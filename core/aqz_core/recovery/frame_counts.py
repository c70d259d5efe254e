"""What a program says of its recording in an attribute of its own, brought in line after a crash.

A program may keep an object with ``state``, ``frames`` and ``planned_frames`` beside the attribute
``aqz``. When it was killed, the state is still ``recording`` and the counts are those of some time
before: the frames that are stored give the right ones.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from aqz_core.errors import AqzError
from aqz_core.metadata import to_json
from aqz_core.reading.extent import levels_of
from aqz_core.reading.survey import survey
from aqz_core.recovery.frame_listing import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_core.plugins import CodecProvider
    from aqz_core.reading.files import StoredFiles
    from aqz_core.recovery.changes import StoreChanges

__all__ = ["count_frames"]


def count_frames(
    files: StoredFiles,
    ended: Sequence[tuple[str, str]],
    providers: Mapping[str, CodecProvider],
    changes: StoreChanges,
) -> None:
    """Store how many frames there are where programs said how many there were.

    Parameters
    ----------
    files
        The store, repaired.
    ended
        Nodes, and attributes of theirs, that a recording which ended early kept.
    providers
        Codecs by name.
    changes
        Makes the changes.
    """
    if not ended:
        return
    by_name = {node.name: node for node in survey(files)}
    for name, attribute in ended:
        owner = by_name[name]
        try:
            base = levels_of(owner, by_name)[0]
            frames = len(listed(files, owner, base, providers, idle=True).written)
        except (AqzError, IndexError):
            continue  # what cannot be counted was found fault with already
        documents = copy.deepcopy(owner.documents)
        _count(owner.format.attributes_in(documents, name)[attribute], frames)
        for file, document in documents.items():
            if document != owner.documents[file]:
                changes.replace(file, to_json(document))


def _count(said: dict[str, Any], frames: int) -> None:
    """Correct the counts that an attribute has."""
    frames //= said.get("planes_per_frame", 1)
    if "frames" in said:
        said["frames"] = frames
    if isinstance(said.get("planned_frames"), int):
        said["missing_frames"] = max(0, said["planned_frames"] - frames)
