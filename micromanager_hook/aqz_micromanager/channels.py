"""Channels as viewers show them: names, chosen colours, display windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aqz_core as aqz
from aqz_micromanager.pixels import COMPONENT_COLORS, COMPONENT_NAMES
from aqz_micromanager.tags import typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aqz_micromanager.pixels import FrameSpec

__all__ = ["display_channels"]


def display_channels(
    names: Sequence[str], spec: FrameSpec, colors: Mapping[str, str], bit_depth: int | None
) -> list[aqz.Channel]:
    """Return the channels of an image; colour cameras have three for each name.

    Parameters
    ----------
    names
        Of the channel axis, or of the only channel; may be empty.
    spec
        Of the frames.
    colors
        That the user chose, by name.
    bit_depth
        Of the camera, which may not fill the data type.
    """
    window = None
    if bit_depth and spec.dtype.kind == "u" and bit_depth < 8 * spec.dtype.itemsize:
        window = (0.0, float(2**bit_depth - 1))
    if spec.components == 1:
        return [
            aqz.Channel(name=typed(name), color=colors.get(name), window=window) for name in names
        ]
    return [
        aqz.Channel(name=f"{typed(name)} {component}".strip(), color=color, window=window)
        for name in (names or [""])
        for component, color in zip(COMPONENT_NAMES, COMPONENT_COLORS, strict=True)
    ]
