"""Loss of power at every moment of a recording: what `flush` and `close` promised is there.

Why this is sound, and what is not modelled: `tests.faults.traced_disk`.
"""

from __future__ import annotations

import pytest

from tests.faults.power_loss import Scenario, lose_power_everywhere

SCENARIOS = {
    "planes": Scenario(),
    "compressed planes": Scenario(compression="zstd"),
    "flush only": Scenario(durability="flush"),
    "half-full chunks": Scenario(chunks=(4, 16, 16), shards=(2, 2, 2), flushes=(2, 3, 5, 9)),
    "half-full compressed chunks": Scenario(
        chunks=(4, 16, 16), shards=(2, 2, 2), flushes=(2, 3, 5, 9), compression="zstd"
    ),
    "half-full compressed chunks, flush only": Scenario(
        chunks=(4, 16, 16),
        shards=(2, 2, 2),
        flushes=(2, 3, 5, 9),
        compression="zstd",
        durability="flush",
    ),
    "one chunk a shard": Scenario(
        chunks=(4, 32, 32), shards=(1, 1, 1), flushes=(2, 3, 5, 9), durability="flush"
    ),
    "indexes of many sectors": Scenario(
        frames=6, chunks=(1, 4, 4), shards=(4, 8, 8), flushes=(2, 5), durability="flush"
    ),
    "not live": Scenario(live=False, flushes=()),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_was_flushed_survives_a_loss_of_power(tmp_path, name):
    losses = lose_power_everywhere(SCENARIOS[name], tmp_path)
    assert losses.states >= 50
    assert losses.promised
    assert not losses.lost


def test_without_durability_a_loss_of_power_costs_frames(tmp_path):
    """The judge has teeth: where nothing is synced, promises are broken."""
    losses = lose_power_everywhere(Scenario(durability="none"), tmp_path)
    assert losses.lost
