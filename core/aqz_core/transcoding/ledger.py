"""What is known to be done: for each task the files that it stored, with their checksums.

The ledger is an object of the destination. It names the job, so that what another one left is never
taken for this one's; and a file counts only if its bytes have the checksum that is noted of it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from aqz_core.errors import StoreExistsError
from aqz_core.reading.json_documents import parse_json
from aqz_core.transcoding.job import StoredFile, Task, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aqz_core.storage.sink import Sink

__all__ = ["Ledger", "job_of"]

_NAME = "aqz.transcoding.json"
_SAVE_SECONDS = 5.0
"""Tasks of the last seconds are done again after a sudden end."""


class Ledger:
    """The ledger of one job.

    Parameters
    ----------
    sink
        The destination.
    identity
        Of the job.

    Raises
    ------
    StoreExistsError
        The destination holds something else, or the beginning of another job.
    """

    def __init__(self, sink: Sink, identity: str) -> None:
        self._sink = sink
        self._identity = identity
        self.done: dict[Task, list[StoredFile]] = {}
        content = sink.read(_NAME)
        if content is None:
            if next(iter(sink.names("")), None) is not None:
                raise StoreExistsError(
                    f"there is something at {sink.url} already; choose another place, or replace "
                    "it with overwrite=True (--overwrite)"
                )
            self.save()
            return
        found = _parsed(content)
        if found.get("job") != identity:
            raise StoreExistsError(
                f"{sink.url} holds the beginning of another transcoding: of another source, of one "
                "that has changed since, or with other options. Give the same ones to finish it, "
                "or replace it with overwrite=True (--overwrite)"
            )
        self.done = _done(found.get("done"))
        self._due = time.monotonic() + _SAVE_SECONDS

    def note(self, task: Task, files: list[StoredFile]) -> None:
        """Note that a task is done."""
        self.done[task] = files
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Store the ledger."""
        began = time.monotonic()
        done = [
            [task.image, task.level, task.block, [[f.name, f.nbytes, f.checksum] for f in files]]
            for task, files in self.done.items()
        ]
        content = json.dumps({"job": self._identity, "done": done}).encode()
        write_whole(self._sink, _NAME, content)
        ended = time.monotonic()
        self._due = ended + max(_SAVE_SECONDS, 20 * (ended - began))  # a long one takes its time

    def remove(self) -> None:
        """Remove it: the store is complete."""
        self._sink.remove(_NAME)


def job_of(sink: Sink) -> str | None:
    """Return the identity of the job that a destination holds the beginning of, or None."""
    content = sink.read(_NAME)
    return None if content is None else str(_parsed(content).get("job"))


def _done(entries: Any) -> dict[Task, list[StoredFile]]:
    """Return the tasks that a ledger has as done; none, to be done again, if it is malformed."""
    try:
        return {
            Task(image, level, tuple(block)): [
                StoredFile(str(name), int(nbytes), int(checksum))
                for name, nbytes, checksum in files
            ]
            for image, level, block, files in entries
        }
    except (TypeError, ValueError, OverflowError):
        return {}


def _parsed(content: bytes) -> Mapping[str, Any]:
    """Return what a ledger says; nothing if it cannot be read."""
    try:
        found = parse_json(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
