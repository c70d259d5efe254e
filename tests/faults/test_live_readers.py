"""Three readers in processes of their own look at a store while it is recorded."""

from __future__ import annotations

import pytest

from tests.faults.live_readers import READERS, soak


@pytest.mark.timeout(300)
def test_readers_meet_no_wrong_pixel_while_chunks_are_published(tmp_path):
    met = soak(tmp_path / "s.zarr", chunks=16_000, seed=0)
    assert set(met) == set(READERS)
    for reader in met.values():
        assert reader.chunks >= 16_000
        assert reader.turns > 1
        assert reader.frames >= 1000  # all of them, in the last turn
