"""Every plane has one place, tiles keep their pixels, and the edges are padded."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aqz_core.pipeline.tiling import ColumnTiling
from aqz_core.planning import layout
from aqz_core.planning.layout import ArrayLayout, plan_layout

UNLIMITED = 7
"""Indices that are looked at on an unlimited axis."""


@st.composite
def layouts(draw: st.DrawFn) -> ArrayLayout:
    axes = draw(st.integers(2, 5))
    sizes = st.lists(st.integers(1, 9), min_size=axes, max_size=axes)
    shape = draw(sizes)
    if axes > 2 and draw(st.booleans()):
        shape[0] = 0
    chunk = [min(size, 5) for size in draw(sizes)]
    shard = [min(size, 4) for size in draw(sizes)] if draw(st.booleans()) else None
    limits = {
        "MAX_SLAB_NBYTES": draw(st.sampled_from([64, 16 << 20])),
        "MIN_SLAB_NBYTES": draw(st.sampled_from([1, 4096])),
        "MAX_PIECE_LAYER_NBYTES": draw(st.sampled_from([64, 128 << 20])),
        "MIN_PIECE_NBYTES": 0,
        "PAGE": 2,  # so that chunks of these sizes can be written in pieces
    }
    with mock.patch.multiple(layout, **limits):
        return plan_layout(
            tuple(shape),
            tuple(chunk),
            None if shard is None else tuple(shard),
            np.dtype("<u2"),
            pieces=draw(st.booleans()),
        )


def leading_indices(array: ArrayLayout) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(size or UNLIMITED) for size in array.lead_shape)))


@given(layouts())
def test_a_place_leads_back_to_its_plane(array):
    places = [array.place(lead) for lead in leading_indices(array)]
    assert len({(place.layer, place.slot) for place in places}) == len(places)
    for lead, place in zip(leading_indices(array), places, strict=True):
        assert array.lead_of(place.layer, place.slot) == lead
        assert 0 <= place.slot < array.slots


@given(layouts())
def test_a_run_is_as_long_as_it_says(array):
    expected: list[tuple[tuple[int, ...], int]] = []
    for lead in leading_indices(array):
        layer, slot, run = array.place(lead)
        if expected:
            assert (layer, slot) == expected.pop(0)
        else:
            expected = [(layer, slot + step) for step in range(1, run)]


@given(layouts())
def test_what_is_expected_of_layers_is_what_comes(array):
    slots: dict[tuple[int, ...], int] = {}
    for lead in leading_indices(array):
        layer = array.place(lead).layer
        slots[layer] = slots.get(layer, 0) + 1
    if 0 in array.lead_shape:
        return  # the last layers are cut off by where this test stops
    assert slots == {layer: array.expected_slots(layer) for layer in slots}
    if array.lead_shape:
        for unit in {layer[0] for layer in slots}:
            layers = sum(layer[0] == unit for layer in slots)
            assert array.buffers_per_unit(unit) == layers * len(array.columns)


@given(layouts())
def test_columns_cover_every_chunk_once_and_stay_in_their_shard(array):
    covered = [(row, col) for column in array.columns for row in column.rows for col in column.cols]
    assert sorted(covered) == list(itertools.product(*map(range, array.grid[-2:])))
    for column in array.columns:
        per_shard = array.shard_chunks[-2:] if array.shard_chunks else array.grid[-2:]
        shards = {
            (row // per_shard[0], col // per_shard[1]) for row in column.rows for col in column.cols
        }
        assert shards == {column.shard}


@given(layouts(), st.data())
def test_a_frame_is_gathered_as_it_was_scattered_and_edges_are_padded(array, data):
    frame = np.arange(1, array.frame_nbytes // 2 + 1, dtype="<u2").reshape(array.frame_shape)
    slot = data.draw(st.integers(0, array.slots - 1))
    gathered = np.zeros_like(frame)
    height, width = array.chunk_shape[-2:]
    member, plane = divmod(slot, array.buffer_planes)
    for column in array.columns:
        tiling = ColumnTiling(array, column)
        tiles = tiling.tiles(np.full(tiling.nbytes, 255, np.uint8))  # buffers come with old pixels
        tiles.scatter(frame, slot)
        tiles.gather(gathered, slot)
        for place in itertools.product(range(len(column.rows)), range(len(column.cols))):
            row, col = column.rows[place[0]], column.cols[place[1]]
            inside = frame[row * height : (row + 1) * height, col * width : (col + 1) * width]
            expected = np.zeros((height, width), "<u2")
            expected[: inside.shape[0], : inside.shape[1]] = inside
            np.testing.assert_array_equal(tiles.chunk(member, *place)[plane], expected)
    np.testing.assert_array_equal(gathered, frame)
