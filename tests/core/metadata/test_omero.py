"""Display settings of channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from aqz_core.errors import SettingsError
from aqz_core.metadata.omero import omero_attributes
from aqz_core.settings import stream as settings


@dataclass(frozen=True)
class Channel:
    """A channel as a plug-in could describe one: windows of four values are taken too."""

    name: str
    color: str | None = None
    window: tuple[float, ...] | None = None


def window_of(window: tuple[float, ...] | None, dtype: str) -> dict[str, float]:
    """Return the window written for one channel."""
    made = omero_attributes([Channel("c", None, window)], np.dtype(dtype))
    found: dict[str, float] = made["channels"][0]["window"]
    return found


@pytest.mark.parametrize(
    ("window", "dtype", "expected"),
    [
        (None, "uint16", (0, 65535, 0, 65535)),
        (None, "int8", (-128, 127, -128, 127)),
        (None, "float32", (0, 1, 0, 1)),
        (None, "bool", (0, 1, 0, 1)),
        ((100, 4095), "uint16", (0, 65535, 100, 4095)),
        ((-2.5, 7.5), "float32", (-2.5, 7.5, -2.5, 7.5)),
        ((0, 4095, 100, 900), "uint16", (0, 4095, 100, 900)),
    ],
)
def test_windows_are_written_whole(
    window: tuple[float, ...] | None, dtype: str, expected: tuple[float, ...]
) -> None:
    made = window_of(window, dtype)
    assert (made["min"], made["max"], made["start"], made["end"]) == expected


@pytest.mark.parametrize("window", [(1,), (1, 2, 3), (9, 1), (0, 10, 5, 11), (float("nan"), 1)])
def test_windows_that_mean_nothing_are_refused(window: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="window"):
        window_of(window, "uint16")


def test_names_and_colours_are_kept_in_order() -> None:
    channels = [Channel("DAPI", "#0000ff"), Channel("GFP", "00FF00")]
    made = omero_attributes(channels, np.dtype("uint16"))
    assert [one["label"] for one in made["channels"]] == ["DAPI", "GFP"]
    assert [one["color"] for one in made["channels"]] == ["0000FF", "00FF00"]
    assert made["rdefs"] == {"defaultT": 0, "defaultZ": 0, "model": "color"}


def test_the_channels_of_the_settings_are_taken_as_they_are() -> None:
    made = omero_attributes([settings.Channel(window=(1, 9))], np.dtype("uint8"))
    assert made["channels"] == [
        {"active": True, "color": "FFFFFF", "window": {"min": 0, "max": 255, "start": 1, "end": 9}}
    ]


def test_a_channel_has_the_colour_of_its_name_and_no_other_takes_it() -> None:
    channels = [Channel("first"), Channel("FITC"), Channel("DAPI"), Channel("Cy5", "FFFFFF")]
    made = omero_attributes(channels, np.dtype("uint8"))
    first, fitc, dapi, cy5 = (one["color"] for one in made["channels"])
    assert (fitc, dapi, cy5) == ("00FF00", "0000FF", "FFFFFF")
    assert first not in (fitc, dapi, cy5)
    alone = omero_attributes([Channel("DAPI")], np.dtype("uint8"))
    assert alone["channels"][0]["color"] == "0000FF"
    assert alone["rdefs"]["model"] == "color"


def test_channels_without_colour_are_told_apart_and_one_alone_is_grey() -> None:
    made = omero_attributes([Channel("a"), Channel("b"), Channel("c")], np.dtype("uint8"))
    assert len({one["color"] for one in made["channels"]}) == 3
    alone = omero_attributes([Channel("a")], np.dtype("uint8"))
    assert alone["channels"][0]["color"] == "FFFFFF"
    assert alone["rdefs"] == {"defaultT": 0, "defaultZ": 0, "model": "greyscale"}


@pytest.mark.parametrize("color", ["green", "FFF", "00FF00AA", "GG0000"])
def test_colours_that_are_not_rrggbb_are_refused(color: str) -> None:
    with pytest.raises(SettingsError, match="RRGGBB"):
        omero_attributes([Channel("c", color)], np.dtype("uint8"))
