"""The metadata of one array while it is recorded: what they say, and when they are written."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from aqz_core.errors import MetadataError
from aqz_core.metadata import Document, merge_custom, to_json
from aqz_core.planning.documents import RecordingState, array_documents, node_names, state_attribute

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aqz_core.chunks.policy import WritePolicy
    from aqz_core.planning.array import ArrayPlan
    from aqz_core.planning.documents import IndexLocation
    from aqz_core.planning.resume_point import ResumePoint
    from aqz_core.storage.sink import Sink

__all__ = ["ArrayMetadata"]


class ArrayMetadata:
    """Documents of an array, or of an image and its levels; written when they change.

    Parameters
    ----------
    plan
        The array.
    sink
        The store.
    attributes
        Attributes that the array's node carries besides its own.
    policy
        Readers who follow the recording look for indexes at the start of shards.

    Attributes
    ----------
    lengths
        How far each level is said to reach on the append axis; None without such an axis.
    certain
        How many frames, in the order of arrival, are certainly stored; None if they come by index.
    gaps
        Whether frames may be missing among those that are counted.
    readable
        How far readers see level 0, by the document that was stored last.
    """

    def __init__(
        self, plan: ArrayPlan, sink: Sink, attributes: Document, policy: WritePolicy
    ) -> None:
        self.lengths = [0] * len(plan.layouts) if plan.base.lead_shape else None
        self.certain: int | None = 0
        self.gaps = False
        self.readable = 0
        self._base_names = node_names(plan.level_name(0))
        self._plan = plan
        self._sink = sink
        self._attributes = attributes
        self._location: IndexLocation = "start" if policy.live else "end"
        self._policy = policy
        self._state: RecordingState = "recording"
        self._image_attributes: Mapping[str, Any] | None = None
        self._stored: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def resume_from(self, progress: ResumePoint) -> None:
        """Resume the metadata of an earlier recording."""
        self.certain = progress.certain
        self._image_attributes = progress.image_attributes
        if self.lengths is not None:
            self.lengths = list(progress.lengths)
            self.readable = self.lengths[0]

    def begin(self, *, protect: bool) -> None:
        """Store them before the first frame; `protect` them from a loss of power one by one."""
        with self._lock:
            self._write(sync=False, protect=protect)

    def add(self, metadata: object, metadata_key: str | None) -> None:
        """Merge a user's metadata into the attributes and store them.

        Raises
        ------
        MetadataError
            They cannot be written; they are not kept, and the recording can go on.
        """
        reserved = self._plan.format.reserved
        with self._lock:
            before = self._attributes
            self._attributes = merge_custom(before, metadata, metadata_key, reserved=reserved)
            try:
                contents = self._contents()
            except MetadataError:
                self._attributes = before
                raise
            self._store(contents, sync=False)

    def would_grow(self, lengths: list[int], certain: int | None) -> bool:
        """Return whether `grow` would change what readers see."""
        return self.lengths is not None and (lengths, certain) != (self.lengths, self.certain)

    def grow(self, lengths: list[int], certain: int | None, *, sync: bool) -> None:
        """Say how far the array can be read now, which is never less far than before."""
        with self._lock:
            if self.lengths is None:
                return
            lengths = [max(pair) for pair in zip(lengths, self.lengths, strict=True)]
            if certain is not None:
                certain = max(certain, self.certain or 0)
            if sync or self.would_grow(lengths, certain):
                with self._undone_if_it_fails():
                    self.lengths, self.certain = lengths, certain
                    self._write(sync=sync)

    def interrupt(self) -> None:
        """Say that the recording ended early."""
        with self._lock:
            self._state = "interrupted"
            for name, said in self._attributes.items():  # of programs that keep a state as well
                if isinstance(said, dict) and said.get("state") == "recording":
                    self._attributes = {**self._attributes, name: {**said, "state": "failed"}}
            self._write(sync=False)

    def complete(self, lengths: list[int], certain: int | None, *, sync: bool) -> None:
        """Say that the recording is finished: indexes are at the end of shards now."""
        with self._lock, self._undone_if_it_fails():
            if self.lengths is not None:
                self.lengths = lengths
            self.certain = certain
            self._state, self._location = "complete", "end"
            self._write(sync=sync)

    @contextlib.contextmanager
    def _undone_if_it_fails(self) -> Iterator[None]:
        """Go on saying what was said before if something else could not be stored."""
        before = self.lengths, self.certain, self._state
        try:
            yield
        except BaseException:
            self.lengths, self.certain, self._state = before
            raise

    def _write(self, *, sync: bool, protect: bool = True) -> None:
        """Store the documents that have changed, with the lock held."""
        self._store(self._contents(), sync=sync, protect=protect)

    def _contents(self) -> dict[str, bytes]:
        """Return the text of every document, by name, in the order in which they are stored."""
        state = state_attribute(
            self._plan, self._state, self.certain, live=self._policy.live, gaps=self.gaps
        )
        attributes = {**self._attributes, "aqz": state}
        documents = array_documents(self._plan, self.lengths, attributes, self._location)
        if self._image_attributes is not None:  # others may have added to them
            attributes = self._plan.format.attributes_in(documents, self._plan.key)
            attributes.update(self._image_attributes)
        names = list(documents)
        if self._state == "complete":
            names.reverse()  # an image is complete when its levels are
        return {name: to_json(documents[name]) for name in names}

    def _store(self, contents: Mapping[str, bytes], *, sync: bool, protect: bool = True) -> None:
        """Store those documents that have changed."""
        for name, content in contents.items():
            if sync or self._stored.get(name) != content:
                # The old document must not give way to one whose bytes a loss of power can take.
                self._sink.write(
                    name, content, sync=sync or (protect and self._policy.keep_durable)
                )
                self._stored[name] = content
                if self.lengths is not None and name in self._base_names:
                    self.readable = self.lengths[0]
