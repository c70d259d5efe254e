"""``acquire.json``: where acquire-zarr 0.5.1 kept the custom metadata of a store.

Recordings in Zarr V2 have one, because the programs that read V2 look for it there, besides the
attributes that every recording has. The two-argument form of ``write_custom_metadata`` writes
nothing else.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from aqz_core.errors import MetadataError
from aqz_core.metadata import parse_custom_metadata, to_json
from aqz_core.storage.names import ACQUIRE_JSON

if TYPE_CHECKING:
    from aqz_core.metadata import Document
    from aqz_core.storage.sink import Sink

__all__ = ["AcquireJson"]


class AcquireJson:
    """The file of one store.

    Parameters
    ----------
    sink
        The store.
    several
        Whether the store has several arrays: metadata of each then go under its key.
    """

    def __init__(self, sink: Sink, *, several: bool) -> None:
        self._sink = sink
        self._several = several
        self._lock = threading.Lock()
        self._gathered: Document = {}

    def write(self, metadata: object, *, overwrite: bool) -> None:
        """Store metadata as a whole.

        Raises
        ------
        MetadataError
            They are not JSON, or there are some already and `overwrite` is not set.
        """
        found = parse_custom_metadata(metadata, "value", reserved=())["value"]
        with self._lock:
            if not overwrite and self._sink.read(ACQUIRE_JSON) is not None:
                raise MetadataError(
                    f"{self._sink.url} has custom metadata in {ACQUIRE_JSON} already; "
                    "set overwrite=True to replace them"
                )
            self._gathered = dict(found) if isinstance(found, dict) else {}
            self._store(found)

    def merge(self, key: str, metadata: object, metadata_key: str | None) -> None:
        """Add what became attributes of the array `key`; it has been checked."""
        with self._lock:
            found = parse_custom_metadata(metadata, metadata_key, reserved=())
            if not self._gathered:
                self._gathered = self._stored()  # of an earlier recording that is resumed
            place = self._gathered.setdefault(key, {}) if self._several else self._gathered
            place.update(found)
            self._store(self._gathered)

    def _stored(self) -> Document:
        """Return what the file holds; nothing where that is no object."""
        try:
            found = json.loads(self._sink.read(ACQUIRE_JSON) or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _store(self, document: Any) -> None:
        """Write the file."""
        self._sink.write(ACQUIRE_JSON, to_json(document), sync=False)
