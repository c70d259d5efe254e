"""What a frame says of the acquisition that nobody told before: coordinates, places, planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aqz_micromanager.positions import well_of_label
from aqz_micromanager.run_plan import Site, split_axes
from aqz_micromanager.tags import number, text

if TYPE_CHECKING:
    from aqz_micromanager.frame_hold import ArrivedFrame
    from aqz_micromanager.run_plan import PlanBuilder

__all__ = ["learn_frame", "learn_site"]


def learn_frame(frame: ArrivedFrame, builder: PlanBuilder) -> None:
    """Add a frame to a plan, unless that is complete: events that said it win."""
    if not builder.complete:
        builder.add_frame(frame.axes)
        learn_site(frame, builder)


def learn_site(frame: ArrivedFrame, builder: PlanBuilder) -> None:
    """Add where a frame was taken to a plan."""
    key, values = split_axes(frame.axes)
    tags = frame.tags
    label = text(tags, "PositionName") or (key[0] if key and isinstance(key[0], str) else None)
    builder.add_site(
        Site(
            key,
            name=label if key else None,
            x_um=number(tags, "XPosition_um_Intended", "XPositionUm"),
            y_um=number(tags, "YPosition_um_Intended", "YPositionUm"),
            well=well_of_label(label) if label and key else None,
        )
    )
    z_um = number(tags, "ZPosition_um_Intended", "ZPositionUm")
    if z_um is not None and "z" in values:
        builder.add_plane(key, values["z"], z_um)
