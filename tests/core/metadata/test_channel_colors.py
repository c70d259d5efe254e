"""Colours by the names of channels."""

from __future__ import annotations

import pytest

from aqz_core.metadata.channel_colors import customary_color


@pytest.mark.parametrize(
    ("name", "color"),
    [
        ("DAPI", "0000FF"),
        ("Alexa Fluor 488", "00FF00"),
        ("AF-647", "FF00FF"),
        ("BF", "FFFFFF"),
        ("Brightfield", "FFFFFF"),
        ("mCherry", "FF0000"),
        ("Cy5.5", "FF00FF"),
        ("561 nm", "FF8000"),
        ("eGFP (Spectra)", "00FF00"),
        ("pinhole", None),
        ("Channel 3", None),
    ],
)
def test_colours_that_people_expect(name: str, color: str | None) -> None:
    assert customary_color(name) == color
