"""What the engine asks of a place that keeps bytes under names.

Names are relative, with "/" between their parts. A sink keeps two kinds of things: *objects*,
stored whole and replaced atomically (metadata, chunk files, shards that are ready at once), and
*shard files*, which grow. Every method may be called from any thread. Errors of the operating
system are let through: the engine adds what it was doing.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from aqz_core.settings.stream import StreamSettings
    from aqz_core.storage.lock import StoreLock

__all__ = ["Bytes", "ShardFile", "Sink", "SinkProvider", "as_view"]

Bytes = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
"""Contiguous bytes, in any of the forms that carry them without a copy."""


def as_view(data: Bytes) -> memoryview:
    """Return bytes as a view of single bytes."""
    return memoryview(data).cast("B")  # type: ignore[arg-type]  # Python 3.11 arrays are buffers


class ShardFile(Protocol):
    """A shard that is being written."""

    def write_at(self, offset: int, data: Bytes) -> None:
        """Write `data` at `offset`; different ranges may be written at the same time."""

    def read(self, offset: int, nbytes: int) -> bytes:
        """Read back what was written; only where the sink has random access."""

    def nbytes(self) -> int:
        """Return the size of the file; only where the sink has random access."""

    def add_tail(self, data: Bytes) -> None:
        """Add to the bytes that the next `show` shows behind those that were written.

        They are no part of the shard: the next `write_at` forgets them. Only where the sink has no
        random access, as `show`.
        """

    def show(self, tail: Bytes) -> Callable[[], None]:
        """Let readers see what was written and the tail, which `tail` ends; more will come.

        Only where the sink has no random access: there nothing else shows a part of a shard.

        Returns
        -------
        callable
            Waits until they see it. More can be written before.
        """

    def sync(self) -> None:
        """Return when everything written would survive a loss of power."""

    def finish(self, nbytes: int, *, sync: bool) -> None:
        """Give the shard its final size, flush it if asked, and name it if it was hidden."""

    def discard(self) -> None:
        """Give up the shard; what was visible of it stays."""


class Sink(abc.ABC):
    """A store that a recording goes to.

    What only some stores can do, or need, has a default here that does nothing.

    Attributes
    ----------
    url
        Where the store is, for messages.
    random_access
        Whether a shard file can be written at any offset, again and again. If not, it takes bytes
        in order only, and stays invisible until it is finished.
    reads_back
        Whether objects that were stored can be read again while the recording runs.
    failover
        Why another place has taken over, once it has.
    on_failover
        Called with that reason, and with the place, when it does.
    """

    url: str
    random_access: bool
    reads_back: bool = True
    failover: BaseException | None = None
    on_failover: Callable[[BaseException, str], None] | None = None

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the object `name`, or None when there is none."""

    @abc.abstractmethod
    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below `prefix`, objects and groups of objects alike."""

    @abc.abstractmethod
    def write(self, name: str, data: Bytes, *, sync: bool) -> None:
        """Store or replace the object `name`; a reader sees the old or the new one, whole."""

    @abc.abstractmethod
    def create_shard(self, name: str, nbytes: int | None, *, visible: bool) -> ShardFile:
        """Start the shard `name`.

        Parameters
        ----------
        name
            Its final name.
        nbytes
            Its size where that is known, so that room can be set aside.
        visible
            Whether readers shall see it from its first write on, which is one call alone.
        """

    @abc.abstractmethod
    def open_shard(self, name: str) -> ShardFile | None:
        """Return the shard `name` for more writing, or None when there is none or it cannot be."""

    @abc.abstractmethod
    def append(self, name: str, data: Bytes) -> None:
        """Add `data` to the end of the object `name`, which begins empty; for logs."""

    @abc.abstractmethod
    def commit(self, names: Iterable[str] = ()) -> None:
        """Return when objects stored without `sync`, given by name, would survive a power loss.

        The same then holds for the names of all objects that were stored before.
        """

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Delete the object `name`, or everything below it; nothing there is no error."""

    def free_nbytes(self) -> int | None:
        """Return how many bytes still fit, or None where nobody knows."""
        return None

    def claim(self) -> None:  # noqa: B027
        """Keep other machines from writing the store until `close`, where no file system does.

        Raises
        ------
        StoreBusyError
            Another one writes it.
        """

    def set_part_memory(self, nbytes: int) -> None:  # noqa: B027
        """Set how many bytes parts of shards may take on their way, where there are parts."""

    def abort_unfinished(self, ours: Callable[[str], bool]) -> None:  # noqa: B027
        """Abort uploads that never ended of the objects that are `ours` by name; never raises."""

    def give_up(self, error: BaseException) -> None:  # noqa: B027
        """Drop what is under way; every further call fails with this error."""

    def finished(self) -> None:  # noqa: B027
        """Note that the recording was finished."""

    def close(self) -> None:  # noqa: B027
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class SinkProvider:
    """A place that stores can be written to, chosen by the scheme of the URL.

    Parameters
    ----------
    schemes : tuple of str
        URL schemes in lower case, without ``://``.
    open : callable
        ``open(url, settings) -> Sink``: the root of the store at `url`.
    storage : {"random", "parts", "whole"}
        How it takes shards: bytes at any place and any time, or from start to end and invisible
        until they are complete, in parts of some mebibytes or each as a whole object. Says how
        much memory is needed, before anything is opened. The sink's ``random_access`` is true for
        the first alone; the others are told by ``set_part_memory`` how much they may take.
    lock : callable, optional
        ``lock(url, settings) -> StoreLock or None``: taken before anything of a store is read that
        is going to be written, and released after its sink was closed.
    """

    schemes: tuple[str, ...]
    open: Callable[[str, StreamSettings], Sink]
    storage: Literal["random", "parts", "whole"] = "random"
    lock: Callable[[str, StreamSettings], StoreLock | None] | None = None

    def __post_init__(self) -> None:
        """Check the types of the fields."""
        schemes: object = self.schemes
        if not isinstance(schemes, tuple) or not schemes:
            raise TypeError(f"schemes of a sink must be a tuple of strings, not {schemes!r}")
        for scheme in schemes:
            if not isinstance(scheme, str) or scheme != scheme.lower() or ":" in scheme:
                raise ValueError(
                    f"a sink's scheme must be in lower case and without '://', not {scheme!r}"
                )
        for field, value in (("open", self.open), ("lock", self.lock or self.open)):
            if not callable(value):
                raise TypeError(f"{field} of a sink must be callable, not {value!r}")
        if self.storage not in ("random", "parts", "whole"):
            raise ValueError(
                f"storage of a sink must be 'random', 'parts' or 'whole', not {self.storage!r}"
            )
