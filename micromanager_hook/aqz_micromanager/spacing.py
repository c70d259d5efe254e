"""How far planes, or time points, lie apart."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Spacing", "spacing_of", "tidy"]

_TOLERANCE = 1e-3  # of a step: stages and clocks are no better


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distances along an axis.

    Attributes
    ----------
    step
        The usual one; None if there is none.
    first
        Where index 0 lies; None if nothing is known.
    even
        Whether all steps are the same.
    """

    step: float | None = None
    first: float | None = None
    even: bool = True


def spacing_of(places: Mapping[int, float]) -> Spacing:
    """Return the spacing of places by index, of which some may not be known.

    Parameters
    ----------
    places
        Rising with the index, or all but rising.
    """
    order = sorted(places)
    steps = [
        (places[after] - places[before]) / (after - before)
        for before, after in itertools.pairwise(order)
    ]
    usual = median(steps) if steps else 0.0
    if not (math.isfinite(usual) and usual > 0):
        first = places[order[0]] if order else None
        return Spacing(None, None if first is None else tidy(first), even=not any(steps))
    even = all(abs(step - usual) <= _TOLERANCE * usual for step in steps)
    first = places[order[0]] - order[0] * usual
    return Spacing(tidy(usual), tidy(first), even)


def tidy(number: float) -> float:
    """Return a number without the noise that sums of decimal fractions end in."""
    return float(f"{number:.9g}")
