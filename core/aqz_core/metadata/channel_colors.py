"""Colours that people expect of channels, by the names of dyes and of ways to see."""

from __future__ import annotations

import re

__all__ = ["customary_color"]

# By the beginning of a channel's name, blanks and signs left out.
_BY_NAME = {
    "FFFFFF": "bf brightfield bright phase dic trans tl pol reflect grey gray darkfield",
    "0000FF": "dapi hoechst bfp ebfp tagbfp pacificblue coumarin amca cascadeblue uv draq0 nuclei",
    "00FFFF": "cfp ecfp cerulean turquoise mturquoise teal mtfp",
    "00FF00": "fitc gfp egfp mgfp sfgfp green calcein fluo4 gcamp bodipy sytox sybr mneongreen cy2 "
    "dio oregongreen",
    "FFFF00": "yfp eyfp venus citrine mcitrine yellow",
    "FF8000": "cy3 tritc tmr tmrm mko orange dsred tdtomato mscarlet sytoorange dii",
    "FF0000": "rfp mcherry texasred rhodamine red mruby mkate propidium pi mitotrackerred jrgeco",
    "FF00FF": "cy5 apc far irfp mirfp draq sir cy7 nir ir toto3 did",
}
_NAMES = {name: color for color, names in _BY_NAME.items() for name in names.split()}

# Upper ends of bands of light that excites a dye whose name has a wavelength, nanometres.
_BANDS = (
    (425, "0000FF"),
    (465, "00FFFF"),
    (505, "00FF00"),
    (540, "FFFF00"),
    (575, "FF8000"),
    (620, "FF0000"),
    (900, "FF00FF"),
)
_SHORTEST = 340


def customary_color(name: str) -> str | None:
    """Return the colour that people expect by a channel's name; None if they expect none."""
    word = re.sub(r"[^a-z0-9]", "", name.lower())
    starts = [start for start in _NAMES if word.startswith(start) and _ends(word, start)]
    if starts:
        return _NAMES[max(starts, key=len)]
    for wavelength in re.findall(r"(?<!\d)(\d{3})(?!\d)", name):
        if int(wavelength) >= _SHORTEST:
            return next((color for end, color in _BANDS if int(wavelength) <= end), None)
    return None


def _ends(word: str, start: str) -> bool:
    """Return whether a short beginning is the whole name, so that "pinhole" is not PI."""
    return len(start) > 2 or not word[len(start) :].isalpha()
