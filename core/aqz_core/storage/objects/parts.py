"""Memory for parts on their way to an object store, under one bound.

A part is filled by one thread and sent by the event loop. `PartPool.take` waits while the bound is
reached and parts are on their way, each of which has a deadline. When none is, nothing can come
free and the memory is given all the same: the layout, not the network, needs that much.

What was sent is kept until its memory is needed: a service may ask for it again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aqz_core.storage.objects.request_body import PartBody

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["PartPool"]


class PartPool:
    """Buffers for parts.

    Parameters
    ----------
    capacity
        Bytes that parts, being filled or sent, may take.
    check
        Called while waiting; raises when there is nothing to wait for any more.
    """

    def __init__(self, capacity: int, check: Callable[[], None]) -> None:
        self.capacity = capacity
        self._check = check
        self._in_use = 0
        self._peak = 0
        self._sending = 0
        self._kept = 0
        self._spare: list[PartBody] = []
        self._changed = threading.Condition()

    @property
    def in_use(self) -> int:
        """Bytes being filled or sent now."""
        return self._in_use

    @property
    def peak(self) -> int:
        """Most bytes that were in use at once."""
        return self._peak

    def take(self, nbytes: int) -> PartBody:
        """Return a buffer of `nbytes`, its content undefined; wait until it fits.

        Raises
        ------
        AqzError
            What `check` raises.
        """
        with self._changed:
            while self._in_use + nbytes > self.capacity and self._sending:
                self._check()
                self._changed.wait(1.0)
            self._check()
            self._in_use += nbytes
            self._peak = max(self._peak, self._in_use)
            if self._in_use + self._kept > self.capacity and (body := self._oldest(nbytes)):
                body.renew()
                return body
            while self._spare and self._in_use + self._kept > self.capacity:
                self._kept -= self._spare.pop(0).capacity
        return PartBody(nbytes)

    def _oldest(self, nbytes: int) -> PartBody | None:
        """Take the spare buffer of a size that was given back first, if there is one."""
        for position, body in enumerate(self._spare):
            if body.capacity == nbytes:
                self._kept -= nbytes
                return self._spare.pop(position)
        return None

    def reclaim(self, leases: Sequence[tuple[PartBody, int]]) -> bool:
        """Take buffers back as they were given back, to send them again: all of them, or none.

        Returns
        -------
        bool
            Whether the content of each is still what it was under that lease.
        """
        with self._changed:
            kept = {id(body) for body in self._spare}
            if any(id(body) not in kept or body.lease != lease for body, lease in leases):
                return False
            for body, _ in leases:
                position = next(n for n, spare in enumerate(self._spare) if spare is body)
                del self._spare[position]
                self._kept -= body.capacity
                self._in_use += body.capacity
                self._sending += 1
        return True

    def send(self) -> None:
        """Say that a buffer is full and will be given back whatever happens."""
        with self._changed:
            self._sending += 1

    def give_back(self, body: PartBody, *, sent: bool, clean: bool) -> None:
        """Return a buffer that was taken.

        Parameters
        ----------
        body
            The buffer.
        sent
            Whether `send` was called for it.
        clean
            Whether it may be used again: an attempt that was given up may still read it.
        """
        nbytes = body.capacity
        with self._changed:
            self._in_use -= nbytes
            self._sending -= sent
            total = self._in_use + self._kept + nbytes
            if clean and total <= self.capacity:
                self._kept += nbytes
                self._spare.append(body)
            self._changed.notify_all()

    def drop(self) -> None:
        """Free what is kept for reuse."""
        with self._changed:
            self._spare.clear()
            self._kept = 0
