"""Unit names."""

from __future__ import annotations

from typing import get_args

import pytest
from yaozarrs import _axis as yaozarrs_axis

from aqz_core.enums import DimensionType
from aqz_core.metadata.units import SPACE_UNITS, TIME_UNITS, normalise_unit

SPACE, TIME = DimensionType.SPACE, DimensionType.TIME


def test_the_lists_are_those_of_the_specification() -> None:
    assert set(get_args(yaozarrs_axis.ValidSpaceUnit)) == SPACE_UNITS
    assert set(get_args(yaozarrs_axis.ValidTimeUnit)) == TIME_UNITS


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ("um", SPACE, "micrometer"),
        ("\u00b5m", SPACE, "micrometer"),
        ("\u03bcm", SPACE, "micrometer"),
        (" micron ", SPACE, "micrometer"),
        ("Microns", SPACE, "micrometer"),
        ("micrometres", SPACE, "micrometer"),
        ("Micrometer", SPACE, "micrometer"),
        ("nm", SPACE, "nanometer"),
        ("mm", SPACE, "millimeter"),
        ("Mm", SPACE, "megameter"),
        ("\u00c5", SPACE, "angstrom"),
        ("\u212b", SPACE, "angstrom"),
        ("inches", SPACE, "inch"),
        ("feet", SPACE, "foot"),
        ("m", SPACE, "meter"),
        ("s", TIME, "second"),
        ("sec", TIME, "second"),
        ("seconds", TIME, "second"),
        ("ms", TIME, "millisecond"),
        ("msec", TIME, "millisecond"),
        ("\u00b5s", TIME, "microsecond"),
        ("min", TIME, "minute"),
        ("Hours", TIME, "hour"),
        ("h", TIME, "hour"),
    ],
)
def test_usual_spellings_become_the_listed_name(given: str, kind: DimensionType, name: str) -> None:
    assert normalise_unit(given, kind) == name


@pytest.mark.parametrize("kind", list(DimensionType))
@pytest.mark.parametrize("unit", [None, "", "  "])
def test_no_unit_is_none(unit: str | None, kind: DimensionType) -> None:
    assert normalise_unit(unit, kind) is None


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("pixel", SPACE),
        ("furlong", SPACE),
        ("m", TIME),  # minute or month: not ours to guess
        ("ms", SPACE),
        ("um", DimensionType.CHANNEL),
        ("degree", DimensionType.OTHER),
    ],
)
def test_unknown_units_are_kept_but_trimmed(given: str, kind: DimensionType) -> None:
    assert normalise_unit(f" {given} ", kind) == given


@pytest.mark.parametrize("kind", [SPACE, TIME])
def test_listed_names_stay_as_they_are(kind: DimensionType) -> None:
    for name in SPACE_UNITS if kind is SPACE else TIME_UNITS:
        assert normalise_unit(name, kind) == name
