"""Judging a store that is not finished: every chunk is right, or not there yet.

While a stream records, and after its process died, an array may miss chunks (they read as the
fill value), but no chunk may hold anything else than what belongs there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np

from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan

__all__ = ["ChunkIndex", "judge_chunks", "level_keys", "right_chunks", "tally"]

ChunkIndex = tuple[int, ...]


def level_keys(plan: ArrayPlan) -> list[str]:
    """Return the key of every array that the plan makes: itself, or its levels."""
    if not plan.multiscale:
        return [plan.key]
    prefix = f"{plan.key}/" if plan.key else ""
    return [f"{prefix}{level}" for level in range(len(expected_levels(plan)))]


def judge_chunks(
    actual: np.ndarray, expected: np.ndarray, plan: ArrayPlan
) -> dict[ChunkIndex, str]:
    """Call each chunk of a read array "right", "missing" or "wrong".

    ``expected`` is the array in the end; ``actual`` may be shorter along the first axis.
    """
    assert actual.shape[1:] == expected.shape[1:], f"{actual.shape}, in the end {expected.shape}"
    assert actual.shape[0] <= expected.shape[0], f"{actual.shape}, in the end {expected.shape}"
    verdicts = {}
    for index, region in _chunks(actual.shape, tuple(axis.chunk for axis in plan.axes)):
        if np.array_equal(actual[region], expected[: actual.shape[0]][region]):
            verdicts[index] = "right"
        elif np.all(actual[region] == np.asarray(plan.fill_value, dtype=actual.dtype)):
            verdicts[index] = "missing"
        else:
            verdicts[index] = "wrong"
    return verdicts


def right_chunks(verdicts: dict[ChunkIndex, str]) -> set[ChunkIndex]:
    """Return the chunks that hold what belongs there."""
    return {index for index, verdict in verdicts.items() if verdict == "right"}


def tally(verdicts: dict[ChunkIndex, str]) -> Counter[str]:
    """Count verdicts."""
    return Counter(verdicts.values())


def _chunks(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...]
) -> Iterator[tuple[ChunkIndex, tuple[slice, ...]]]:
    """List the chunks of an array with the region each one covers."""
    counts = [-(-size // chunk) for size, chunk in zip(shape, chunk_shape, strict=True)]
    for index in product(*map(range, counts)):
        yield (
            index,
            tuple(
                slice(number * chunk, (number + 1) * chunk)
                for number, chunk in zip(index, chunk_shape, strict=True)
            ),
        )
