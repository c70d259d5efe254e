"""Which levels a recording gets: sizes, chunks, shards and pixel scales."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.enums import DimensionType
from aqz_core.planning.pyramid import level_geometry

SPACE, CHANNEL, TIME = DimensionType.SPACE, DimensionType.CHANNEL, DimensionType.TIME
TYX = (TIME, SPACE, SPACE)
ZYX = (SPACE, SPACE, SPACE)
TZYX = (TIME, SPACE, SPACE, SPACE)


def shapes(shape, chunk_shape, kinds, max_levels=0, shard_chunks=None):
    levels = level_geometry(shape, chunk_shape, shard_chunks, kinds, max_levels)
    return [level.shape for level in levels]


@pytest.mark.parametrize(
    ("edge", "levels_below"),
    [(16, 0), (17, 1), (32, 1), (33, 2), (64, 2), (65, 3), (2048, 7)],
)
def test_planes_are_halved_until_one_chunk_holds_them(edge, levels_below):
    levels = shapes((0, edge, edge), (1, 16, 16), TYX)
    assert len(levels) == 1 + levels_below
    assert levels[-1][1] <= 16
    assert {size[0] for size in levels} == {0}


def test_odd_sizes_round_up():
    assert shapes((3, 65, 131), (1, 16, 16), TYX) == [
        (3, 65, 131),
        (3, 33, 66),
        (3, 17, 33),
        (3, 9, 17),
    ]


def test_axis_with_fewest_chunks_decides_for_the_plane():
    assert shapes((3, 100, 20), (1, 10, 10), TYX) == [(3, 100, 20), (3, 50, 10)]
    assert shapes((3, 100, 10), (1, 10, 10), TYX) == [(3, 100, 10)]


def test_two_dimensional_image_has_two_dimensional_levels():
    levels = level_geometry((64, 48), (16, 16), (1, 1), (SPACE, SPACE), 0)
    assert [level.shape for level in levels] == [(64, 48), (32, 24), (16, 12)]
    assert [level.scale_factors for level in levels] == [(1, 1), (2, 2), (4, 4)]


def test_deep_stack_goes_on_in_z_when_the_plane_is_done():
    levels = level_geometry((0, 32, 32, 32), (1, 2, 16, 16), (1, 4, 2, 2), TZYX, 0)
    assert [level.shape[1:] for level in levels] == [
        (32, 32, 32),
        (16, 16, 16),
        (8, 16, 16),
        (4, 16, 16),
        (2, 16, 16),
    ]
    assert [(level.halves_plane, level.halves_z) for level in levels] == [
        (False, False),
        (True, True),
        (False, True),
        (False, True),
        (False, True),
    ]
    assert levels[-1].scale_factors == (1, 16, 2, 2)


def test_shallow_stack_stops_in_z_before_the_plane():
    assert shapes((8, 64, 64), (4, 8, 8), ZYX) == [
        (8, 64, 64),
        (4, 32, 32),
        (4, 16, 16),
        (4, 8, 8),
    ]


def test_only_the_third_axis_from_the_end_counts_as_z():
    channel_inside = (SPACE, CHANNEL, SPACE, SPACE)
    assert shapes((8, 4, 64, 64), (1, 1, 32, 32), channel_inside) == [
        (8, 4, 64, 64),
        (8, 4, 32, 32),
    ]


def test_stack_of_unlimited_depth_halves_z_with_every_level():
    levels = level_geometry((0, 64, 64), (4, 16, 16), (8, 4, 4), ZYX, 0)
    assert [level.shape for level in levels] == [(0, 64, 64), (0, 32, 32), (0, 16, 16)]
    assert [level.scale_factors for level in levels] == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
    assert [level.shard_chunks for level in levels] == [(8, 4, 4), (8, 2, 2), (8, 1, 1)]
    assert all(level.halves_z and level.halves_plane for level in levels[1:])
    assert [level.append_size(9) for level in levels] == [9, 5, 3]


@pytest.mark.parametrize(("max_levels", "made"), [(0, 4), (1, 2), (2, 3), (3, 4), (9, 4)])
def test_max_levels_counts_the_levels_below_full_resolution(max_levels, made):
    assert len(shapes((0, 64, 64), (1, 8, 8), TYX, max_levels)) == made


def test_very_unequal_chunk_edges_repeat_a_level_as_acquire_zarr_does():
    levels = level_geometry((0, 20, 100), (1, 10, 50), None, TYX, 0)
    assert [level.shape for level in levels] == [(0, 20, 100), (0, 20, 100)]
    assert not levels[1].halves_plane
    assert levels[1].scale_factors == (1, 1, 1)


def test_shards_shrink_with_halved_axes_only():
    levels = level_geometry((0, 100, 100), (1, 16, 16), (50, 8, 3), TYX, 0)
    assert [level.shard_chunks for level in levels] == [
        (50, 8, 3),  # as given, also where it is more than the 7 chunks there are
        (50, 4, 3),
        (50, 2, 2),
        (50, 1, 1),
    ]


def test_unsharded_recording_has_unsharded_levels():
    levels = level_geometry((0, 64, 64), (1, 16, 16), None, TYX, 0)
    assert {level.shard_chunks for level in levels} == {None}


@pytest.mark.parametrize(
    ("shape", "chunk_shape", "shard_chunks"),
    [
        ((64,), (16,), None),
        ((0, 64, 64), (16, 16), None),
        ((0, 64, 64), (1, 16, 16), (1, 1)),
    ],
)
def test_arguments_that_are_not_one_array_are_refused(shape, chunk_shape, shard_chunks):
    with pytest.raises(ValueError, match="do not describe one array"):
        level_geometry(shape, chunk_shape, shard_chunks, TYX[-len(shape) :], 0)


@st.composite
def recordings(draw):
    axes = draw(st.integers(2, 6))
    sizes = st.integers(1, 5000)
    shape = [draw(sizes) for _ in range(axes)]
    if axes > 2 and draw(st.booleans()):
        shape[0] = 0
    chunk_shape = [draw(st.integers(1, 300)) for _ in range(axes)]
    shard_chunks = draw(st.none() | st.lists(st.integers(1, 20), min_size=axes, max_size=axes))
    kinds = [draw(st.sampled_from(DimensionType)) for _ in range(axes - 2)] + [SPACE, SPACE]
    return shape, chunk_shape, shard_chunks, kinds, draw(st.integers(0, 5))


@given(recordings())
def test_every_level_follows_from_the_one_before(recording):
    shape, chunk_shape, shard_chunks, kinds, max_levels = recording
    levels = level_geometry(*recording)
    assert levels[0].shape == tuple(shape)
    assert levels[0].shard_chunks == (None if shard_chunks is None else tuple(shard_chunks))
    assert max_levels == 0 or len(levels) <= max_levels + 1
    for before, level in pairwise(levels):
        halved = [False] * (len(shape) - 2) + [level.halves_plane] * 2
        if len(shape) > 2:
            halved[-3] = level.halves_z
            assert kinds[-3] == SPACE or not level.halves_z
        assert level.chunk_shape == tuple(chunk_shape)
        for axis, half in enumerate(halved):
            if half:
                assert level.shape[axis] == (before.shape[axis] + 1) // 2
                assert level.scale_factors[axis] == 2 * before.scale_factors[axis]
            else:
                assert level.shape[axis] == before.shape[axis]
                assert level.scale_factors[axis] == before.scale_factors[axis]
        if level.shard_chunks is not None:
            pairs = zip(level.shard_chunks, before.shard_chunks, strict=True)
            assert all(1 <= count <= was for count, was in pairs)


@given(recordings())
def test_scales_are_those_acquire_zarr_derives_from_sizes(recording):
    levels = level_geometry(*recording)
    for level in levels:
        for base, size, factor in zip(
            levels[0].shape, level.shape, level.scale_factors, strict=True
        ):
            if base:
                ratio = -(-base // size)
                assert factor == 1 << (ratio - 1).bit_length()


@given(recordings())
def test_append_size_is_the_size_of_a_complete_recording(recording):
    for level in level_geometry(*recording):
        assert level.append_size(recording[0][0]) == level.shape[0]
