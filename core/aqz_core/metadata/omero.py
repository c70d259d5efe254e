"""``omero`` display settings of NGFF images: channel names, colours, windows.

The block is marked transitional in NGFF 0.4 and 0.5, yet it is what viewers
read. Both versions ask for a colour and a complete window in every channel, so
what the user left open is filled in here.
"""

from __future__ import annotations

import re
from itertools import cycle
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from aqz_core.errors import SettingsError
from aqz_core.metadata.channel_colors import customary_color

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aqz_core.metadata.json_text import Document

__all__ = ["ChannelLike", "omero_attributes"]

_GREY = "FFFFFF"
# Colours of channels whose names tell none; they stay apart when blended.
_PALETTE = ("00FF00", "FF00FF", "00FFFF", "FFFF00", "FF0000", "0000FF")


class ChannelLike(Protocol):
    """What is read of a channel; `aqz_core.settings.Channel` is one."""

    @property
    def name(self) -> str:
        """Name of the channel, for people; empty if it has none."""

    @property
    def color(self) -> str | None:
        """Six hexadecimal digits RRGGBB, ``#`` in front allowed; None: that of its name."""

    @property
    def window(self) -> Sequence[float] | None:
        """``(start, end)`` or ``(min, max, start, end)`` in pixel values; None: all values."""


def omero_attributes(channels: Sequence[ChannelLike], dtype: np.dtype[Any]) -> Document:
    """Return the ``omero`` object of an image.

    Parameters
    ----------
    channels
        One for each index of the channel axis, in order.
    dtype
        The array's data type. Its range is the widest window; that of a
        floating-point type counts as 0 to 1, or as `start` to `end` if given.

    Raises
    ------
    SettingsError
        If a colour or window is not of the forms above.
    """
    colors = _colors(channels)
    return {
        "channels": [
            {
                "active": True,
                "color": color,
                "window": _window(channel, dtype),
                **({"label": channel.name} if channel.name else {}),
            }
            for channel, color in zip(channels, colors, strict=True)
        ],
        # "greyscale" makes viewers ignore the colour, so it must not hide a chosen one. iohub
        # refuses rdefs without the plane to show first, which the specification leaves open.
        "rdefs": {
            "defaultT": 0,
            "defaultZ": 0,
            "model": "greyscale" if colors == [_GREY] and channels[0].color is None else "color",
        },
    }


def _colors(channels: Sequence[ChannelLike]) -> list[str]:
    """Return the colour of each channel: the chosen one, that of its name, or one of its own."""
    found = [_chosen(channel) or customary_color(channel.name) for channel in channels]
    if found == [None]:
        return [_GREY]
    others = cycle([color for color in _PALETTE if color not in found] or _PALETTE)
    return [color or next(others) for color in found]


def _chosen(channel: ChannelLike) -> str | None:
    """Return the colour that a channel was given, as RRGGBB."""
    if not channel.color:
        return None
    digits = channel.color.strip().removeprefix("#").upper()
    if not re.fullmatch("[0-9A-F]{6}", digits):
        raise SettingsError(
            f"color {channel.color!r} of channel {channel.name!r} is not RRGGBB; "
            "give six hexadecimal digits such as '00FF00'"
        )
    return digits


def _window(channel: ChannelLike, dtype: np.dtype[Any]) -> Document:
    """Return the channel's display window, complete."""
    window = channel.window
    if window is None:
        lowest, highest = start, end = _value_range(dtype)
    elif len(window) == 2:
        start, end = window
        lowest, highest = window if dtype.kind == "f" else _value_range(dtype)
    elif len(window) == 4:
        lowest, highest, start, end = window
    else:
        raise SettingsError(
            f"window {tuple(window)} of channel {channel.name!r} has {len(window)} values; "
            "give (start, end) or (min, max, start, end)"
        )
    if not lowest <= start < end <= highest:
        raise SettingsError(
            f"window of channel {channel.name!r}: start {start} must be less than end {end}, and "
            f"both lie within {lowest} to {highest}"
        )
    return {"min": lowest, "max": highest, "start": start, "end": end}


def _value_range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the lowest and highest value of a data type; 0 and 1 for floats and bool."""
    if dtype.kind in "fb":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)
