"""How many shards are open at once, and how large their parts are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.planning.layout import plan_layout
from aqz_core.planning.memory import open_shards
from aqz_core.storage.objects.part_sizes import (
    MAX_OBJECT_NBYTES,
    MAX_PARTS,
    MIN_PART_NBYTES,
    PART_NBYTES,
    part_size,
)


@given(st.integers(1, MAX_OBJECT_NBYTES))
def test_parts_obey_the_rules_of_the_service(bound):
    size = part_size(bound)
    assert -(-bound // size) <= MAX_PARTS
    assert size == bound <= PART_NBYTES or size >= max(MIN_PART_NBYTES, PART_NBYTES)


@pytest.mark.parametrize(
    ("shape", "chunk", "shard", "expected"),
    [
        ((0, 64, 64), (1, 64, 64), (4, 1, 1), 1),
        ((0, 64, 64), (1, 16, 16), (4, 2, 2), 4),
        ((0, 3, 64, 64), (1, 1, 64, 64), (1, 1, 1, 1), 1),
        ((0, 3, 64, 64), (1, 1, 64, 64), (8, 1, 1, 1), 3),
        ((0, 3, 64, 64), (2, 1, 64, 64), (1, 3, 1, 1), 1),
        ((0, 4, 5, 64, 64), (1, 1, 1, 32, 32), (2, 2, 5, 1, 2), 4),
    ],
)
def test_shards_open_at_once(shape, chunk, shard, expected):
    assert open_shards(plan_layout(shape, chunk, shard, np.dtype("uint16"))) == expected


def test_chunks_without_shards_leave_none_open():
    assert open_shards(plan_layout((0, 64, 64), (1, 64, 64), None, np.dtype("uint16"))) == 0


@pytest.mark.parametrize("codec", [None, "lz4"])
@pytest.mark.parametrize("planes", [1, 16])
def test_a_recording_of_five_megabytes_asks_for_little_more(codec, planes):
    frame, frames = 512 * 512 * 2, 10
    axes = zip("tyx", (frames, 512, 512), (planes, 256, 256), (1, 2, 2), strict=True)
    settings = aqz.StreamSettings(
        store_path="never.zarr",
        arrays=[
            aqz.ArraySettings(
                dimensions=[
                    aqz.Dimension(
                        name=name,
                        kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
                        array_size_px=size,
                        chunk_size_px=chunk,
                        shard_size_chunks=shard,
                    )
                    for name, size, chunk, shard in axes
                ],
                data_type="uint16",
                compression=codec and aqz.PluginCompression("blosc", {"cname": codec}),
            )
        ],
        max_threads=2,
    )
    stored = -(-frames // planes) * planes * frame
    encoded = 0 if codec is None else 1.125 * stored  # buffers come in a few sizes
    assert settings.get_maximum_memory_usage() <= 1.02 * (stored + encoded)
