"""How large the parts of an upload are: pure arithmetic.

S3 takes up to 10,000 parts, each of 5 MiB at least except the last; an object has up to 5 TiB
[1]_.

.. [1] https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from aqz_core.errors import SettingsError

__all__ = [
    "COPY_NBYTES",
    "MAX_OBJECT_NBYTES",
    "MAX_PARTS",
    "MIN_PART_NBYTES",
    "PART_NBYTES",
    "part_size",
]

MAX_OBJECT_NBYTES = 5 << 40
MIN_PART_NBYTES = 5 << 20
MAX_PARTS = 10_000
PART_NBYTES = 8 << 20
"""Of the sizes tried, the one at which a request costs little beside its bytes and memory is
still small."""

COPY_NBYTES = 256 << 20
"""Bytes of a part that the service copies by itself; it may take up to 5 GiB."""


def part_size(bound: int, wanted: int = PART_NBYTES) -> int:
    """Return the size of the parts of an object.

    Parameters
    ----------
    bound
        The most bytes that the object can have.
    wanted
        Size of a part unless the object has too many of them then.

    Raises
    ------
    SettingsError
        No service takes such an object.
    """
    if bound > MAX_OBJECT_NBYTES:
        raise SettingsError(
            f"a shard can have {bound:,} bytes, and an object {MAX_OBJECT_NBYTES:,} (5 TiB) at "
            "most; use shards of fewer chunks"
        )
    if bound <= wanted:
        return bound
    needed = -(-bound // (MAX_PARTS - 1))
    return max(wanted, MIN_PART_NBYTES, -(-needed >> 20) << 20)
