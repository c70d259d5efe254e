"""What an array's chunks are written for: readers meanwhile, and a loss of power."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WritePolicy"]


@dataclass(frozen=True)
class WritePolicy:
    """How the chunks and documents of an array are written.

    Attributes
    ----------
    live
        Whether readers can follow the recording: shards can be read while they grow.
    sync_shards
        Whether complete shards are flushed to the device.
    keep_durable
        Whether what was flushed to the device once stays durable.
    """

    live: bool
    sync_shards: bool
    keep_durable: bool = True
