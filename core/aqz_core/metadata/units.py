"""Unit names as OME-NGFF wants them.

NGFF lists the names a space or time axis should use (0.4 and 0.5, section
"axes"; they are UDUNITS-2 names). People write ``um`` or ``µm`` or ``microns``:
those are turned into the listed name. A unit that is in no table is kept as it
was given, because the list is a recommendation and a wrong guess would be
worse than an unusual name.
"""

from __future__ import annotations

import difflib

from aqz_core.enums import DimensionType

__all__ = ["SPACE_UNITS", "TIME_UNITS", "normalise_unit", "size_in", "unit_advice"]

# NGFF takes every SI prefix but deka.
_PREFIXES = {
    "yotta": "Y",
    "zetta": "Z",
    "exa": "E",
    "peta": "P",
    "tera": "T",
    "giga": "G",
    "mega": "M",
    "kilo": "k",
    "hecto": "h",
    "deci": "d",
    "centi": "c",
    "milli": "m",
    "micro": "u",
    "nano": "n",
    "pico": "p",
    "femto": "f",
    "atto": "a",
    "zepto": "z",
    "yocto": "y",
}

_EXPONENTS = dict(
    zip(
        ["", *_PREFIXES],
        [0, 24, 21, 18, 15, 12, 9, 6, 3, 2, -1, -2, -3, -6, -9, -12, -15, -18, -21, -24],
        strict=True,
    )
)
"""Power of ten of each prefix."""

SPACE_UNITS: frozenset[str] = frozenset(
    {"meter", "angstrom", "foot", "inch", "mile", "parsec", "yard"}
    | {f"{prefix}meter" for prefix in _PREFIXES}
)
"""Units that NGFF lists for space axes."""

TIME_UNITS: frozenset[str] = frozenset(
    {"second", "minute", "hour", "day"} | {f"{prefix}second" for prefix in _PREFIXES}
)
"""Units that NGFF lists for time axes."""

# Symbols differ by case alone (mm, Mm), so these are looked up as written.
_SPACE_SYMBOLS = {
    "m": "meter",
    "\u00c5": "angstrom",  # letter A with ring; the angstrom sign is folded into it
    "ft": "foot",
    "in": "inch",
    "mi": "mile",
    "pc": "parsec",
    "yd": "yard",
} | {f"{symbol}m": f"{prefix}meter" for prefix, symbol in _PREFIXES.items()}

_TIME_SYMBOLS = {
    "s": "second",
    "min": "minute",
    "h": "hour",
    "d": "day",
} | {f"{symbol}s": f"{prefix}second" for prefix, symbol in _PREFIXES.items()}

# Names are looked up in lower case.
_SPACE_WORDS = {"micron": "micrometer", "feet": "foot", "inches": "inch"}
_TIME_WORDS = {
    "sec": "second",
    "msec": "millisecond",
    "usec": "microsecond",
    "nsec": "nanosecond",
    "mins": "minute",
    "hr": "hour",
}


def normalise_unit(unit: str | None, kind: DimensionType) -> str | None:
    """Return the NGFF name of a unit.

    Parameters
    ----------
    unit
        As the user wrote it; blanks around it are dropped.
    kind
        What the axis measures. Only space and time units are translated.

    Returns
    -------
    str or None
        A name from `SPACE_UNITS` or `TIME_UNITS` where one is meant, otherwise
        the trimmed text; None if there is no unit.
    """
    text = (unit or "").strip()
    if not text:
        return None
    if kind is DimensionType.SPACE:
        return _listed_name(text, SPACE_UNITS, _SPACE_SYMBOLS, _SPACE_WORDS) or text
    if kind is DimensionType.TIME:
        return _listed_name(text, TIME_UNITS, _TIME_SYMBOLS, _TIME_WORDS) or text
    return text


def size_in(unit: str | None, size: float) -> tuple[str | None, float]:
    """Return a length with the unit that it can be compared in: meters where NGFF has a prefix.

    Parameters
    ----------
    unit
        As the user wrote it, or None.
    size
        In that unit.
    """
    name = normalise_unit(unit, DimensionType.SPACE)
    prefix = (name or "").removesuffix("meter")
    if name in SPACE_UNITS and prefix != name and prefix in _EXPONENTS:
        return "meter", size * 10.0 ** _EXPONENTS[prefix]
    return name, size


def unit_advice(unit: str | None, kind: DimensionType) -> str | None:
    """Say that a unit is none of NGFF's, and which is nearest; None if there is nothing to say.

    Parameters
    ----------
    unit
        As the user wrote it.
    kind
        What the axis measures.
    """
    listed = {DimensionType.SPACE: SPACE_UNITS, DimensionType.TIME: TIME_UNITS}.get(kind)
    name = normalise_unit(unit, kind)
    if name is None or listed is None or name in listed:
        return None
    nearest = difflib.get_close_matches(name.lower(), sorted(listed), n=1, cutoff=0.6)
    if not nearest:
        usual = "'micrometer'" if kind is DimensionType.SPACE else "'second'"
        return f"unit {name!r} is none that NGFF has for such an axis, like {usual}"
    return f"unit {name!r} is none that NGFF has; did you mean {nearest[0]!r}?"


def _listed_name(
    text: str, listed: frozenset[str], symbols: dict[str, str], words: dict[str, str]
) -> str | None:
    """Return the listed name that a symbol or word stands for, None if unknown."""
    # Both micro signs (U+00B5, U+03BC) and the angstrom sign (U+212B) are in use.
    symbol = text.replace("\u00b5", "u").replace("\u03bc", "u").replace("\u212b", "\u00c5")
    if symbol in symbols:
        return symbols[symbol]
    word = symbol.lower()
    for form in (word, word.removesuffix("s")):
        if form in words:
            return words[form]
        american = form.replace("metre", "meter").replace("\u00e5ngstr\u00f6m", "angstrom")
        if american in listed:
            return american
    return None
