"""What the user chose of a recording, whatever the engine; words that mean nothing are refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import aqz_core as aqz
from aqz_micromanager.image_options import ImageOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aqz_micromanager.pixels import ColorOrder
    from aqz_micromanager.run_plan import Value
    from aqz_micromanager.store_recording import OnDuplicate
    from aqz_micromanager.tags import FrameMetadata

__all__ = ["LEARNING_NBYTES", "RecorderOptions"]

LEARNING_NBYTES = 256 << 20
"""Bound on the frames that wait until the sizes of the axes are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderOptions:
    """What the user chose, whatever the engine.

    Attributes
    ----------
    axes
        Coordinates of axes, see `PlanBuilder`.
    images
        How images are stored.
    on_duplicate
        ``"error"``, ``"keep"`` the first frame, or ``"replace"`` it.
    on_change
        What a frame of another shape or data type is: an ``"error"``, or the first of a
        ``"new_store"`` beside the store.
    on_unplanned
        What a frame from a place is that was not planned: an ``"error"``, or something to
        ``"add"`` to the store: an image, or coordinates on its axes. What nobody planned is always
        added.
    back_pressure
        Whether a frame that finds no memory shall wait (``"block"``) or end the acquisition
        (``"stop"``).
    frame_metadata
        ``"compact"``, ``"full"`` or None.
    cameras_as_channels
        Whether several cameras become channels, rather than an axis of their own.
    color_order
        Order of colour components in memory.
    learning_memory
        Bound in bytes on frames that wait for sizes of axes.
    flush_seconds
        After how long frames are safe at the latest; 0 leaves it to full shards.
    """

    axes: Mapping[str, int | Iterable[Value] | None] | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    on_duplicate: OnDuplicate = "error"
    on_change: Literal["error", "new_store"] = "error"
    on_unplanned: Literal["error", "add"] = "error"
    back_pressure: Literal["block", "stop"] = "block"
    frame_metadata: FrameMetadata = "compact"
    cameras_as_channels: bool = True
    color_order: ColorOrder = "bgr"
    learning_memory: int = LEARNING_NBYTES
    flush_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse words that mean nothing."""
        seconds = self.flush_seconds
        if seconds is not None and not 0 <= seconds < math.inf:
            raise aqz.SettingsError(f"flush_seconds is {seconds!r}; give seconds, or 0 for never")
        for name, allowed in (
            ("on_duplicate", ("error", "keep", "replace")),
            ("on_change", ("error", "new_store")),
            ("on_unplanned", ("error", "add")),
            ("back_pressure", ("block", "stop")),
            ("frame_metadata", ("compact", "full", None)),
            ("color_order", ("bgr", "rgb")),
        ):
            if getattr(self, name) not in allowed:
                raise aqz.SettingsError(
                    f"{name} is {getattr(self, name)!r}; use one of {', '.join(map(repr, allowed))}"
                )
