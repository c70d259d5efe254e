"""A store in memory that counts what the engine asks of it, and can make it wait.

It is offered as a plug-in for ``counted://`` URLs, so that a recording passes through the engine
as it is; counts are of calls, not of times, and so the same on every machine.
"""

from __future__ import annotations

import mmap
import threading
from collections import Counter

import numpy as np

import aqz_core as aqz
from aqz_core.storage.memory import MemorySink

__all__ = ["CountingSink", "is_mapped", "is_shard"]


class CountingSink(MemorySink):
    """Counts calls by what they do and the object's name.

    Attributes
    ----------
    calls
        ``(what, name)`` to number: "write" (a whole object), "create", "write at", "sync" and
        "finish" (a growing shard), "append", "commit".
    copied
        Bytes of pixels that came in other memory than the engine's own aligned buffers.
    gate
        Writes of pixels wait until it is set.
    waiting
        Writes of pixels that came so far; a semaphore to wait for them.
    """

    def __init__(self) -> None:
        super().__init__("counted://store")
        self.calls = Counter()
        self.copied = 0
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Semaphore(0)
        self._counting = threading.Lock()

    @aqz.hookimpl
    def aqz_sinks(self):
        """Offer this very sink."""
        return aqz.SinkProvider(schemes=("counted",), open=lambda url, settings: self)

    def count(self, what, name):
        with self._counting:
            self.calls[what, name] += 1

    def number(self, what, *, shards=True):
        """Count the calls of one kind, on shards or on everything else."""
        return sum(
            n for (kind, name), n in self.calls.items() if kind == what and is_shard(name) == shards
        )

    def pixels(self, name, data):
        """Note pixels, and let them wait for the gate."""
        if isinstance(data, np.ndarray) and not is_mapped(data):
            with self._counting:
                self.copied += data.nbytes
        self.waiting.release()
        if not self.gate.wait(60):
            raise TimeoutError(f"nobody opened the gate for {name}")

    def write(self, name, data, *, sync):
        self.count("write", name)
        if is_shard(name):
            self.pixels(name, data)
        super().write(name, data, sync=sync)

    def create_shard(self, name, nbytes, *, visible):
        self.count("create", name)
        return _CountedShard(self, name, super().create_shard(name, nbytes, visible=visible))

    def append(self, name, data):
        self.count("append", name)
        super().append(name, data)

    def commit(self, names=()):
        self.count("commit", "")
        for name in names:
            self.count("sync", name)


class _CountedShard:
    """A growing shard of a `CountingSink`."""

    def __init__(self, sink, name, shard):
        self._sink = sink
        self._name = name
        self._shard = shard

    def __getattr__(self, name):
        return getattr(self._shard, name)

    def write_at(self, offset, data):
        self._sink.count("write at", self._name)
        if isinstance(data, np.ndarray):
            self._sink.pixels(self._name, data)
        self._shard.write_at(offset, data)

    def sync(self):
        self._sink.count("sync", self._name)

    def finish(self, nbytes, *, sync):
        self._sink.count("finish", self._name)
        if sync:
            self._sink.count("sync", self._name)
        self._shard.finish(nbytes, sync=sync)


def is_shard(name):
    """Return whether a name is that of a shard or chunk file."""
    return "/c/" in f"/{name}"


def is_mapped(data):
    """Return whether an array lies in memory mapped page by page, as buffers do."""
    while data is not None and not isinstance(data, mmap.mmap):
        data = data.obj if isinstance(data, memoryview) else getattr(data, "base", None)
    return data is not None
