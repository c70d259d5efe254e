"""What settings mean where the versions of acquire-zarr contradict each other.

Recordings in Zarr V3 follow 0.10.0. Those in V2 follow 0.5.1, as nothing newer ever wrote V2, and
so does everything recorded through `aqz_core.compat.v0_5`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NEWEST", "V0_5", "AcquireZarrRules"]


@dataclass(frozen=True, slots=True)
class AcquireZarrRules:
    """One set of meanings.

    Attributes
    ----------
    root_is_image
        Whether an array with an empty key is an NGFF image, and not a plain array at the root.
    clamps_chunks
        Whether chunks of a pyramid level are no larger than the level.
    """

    root_is_image: bool
    clamps_chunks: bool


NEWEST = AcquireZarrRules(root_is_image=False, clamps_chunks=False)
"""As acquire-zarr 0.10.0 has it."""

V0_5 = AcquireZarrRules(root_is_image=True, clamps_chunks=True)
"""As acquire-zarr 0.5.1 had it."""
