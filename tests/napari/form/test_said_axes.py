"""What was typed of axes stays when the source changes; what was not follows it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aqz_napari.form.recording_plan import AxisPlan
from aqz_napari.form.said_axes import merge_axes

T, Y, X = (AxisPlan(n, "space", s, 1, 1) for n, s in (("t", 0), ("y", 64), ("x", 48)))
TYPED = {
    "kind": st.sampled_from(["time", "other"]),
    "size": st.integers(100, 199),
    "chunk": st.integers(2, 99),
    "shard": st.integers(2, 99),
    "scale": st.floats(1.5, 9),
    "unit": st.sampled_from(["second", "micrometer"]),
}
changes = st.fixed_dictionaries({}, optional=TYPED)


# A word that says what was there already cannot be told from none: typed ones are other ones.
@given(typed=st.tuples(changes, changes, changes), new=st.tuples(changes, changes, changes))
def test_each_word_of_the_user_stays_and_all_else_follows(typed, new):
    before = (T, Y, X)
    said = [replace(a, **words) for a, words in zip(before, typed, strict=True)]
    now = [replace(a, **words) for a, words in zip(before, new, strict=True)]
    wanted = [replace(a, **words) for a, words in zip(now, typed, strict=True)]
    assert merge_axes(said, before, now) == tuple(wanted)


@given(order=st.permutations("tzcyx"), typed=st.sampled_from("tzcyx"))
def test_axes_that_were_moved_stay_where_they_are(order, typed):
    before = [AxisPlan(name, "space", 4, 1, 1) for name in "tzcyx"]
    by_name = {axis.name: axis for axis in before}
    said = [replace(by_name[n], scale=7.0) if n == typed else by_name[n] for n in order]
    now = [replace(axis, chunk=2) for axis in before]
    merged = merge_axes(said, before, now)
    assert [axis.name for axis in merged] == list(order)
    assert {axis.name: axis.scale for axis in merged}[typed] == 7.0
    assert all(axis.chunk == 2 for axis in merged)


def test_axes_that_come_and_go():
    z = AxisPlan("z", "space", 5, 1, 1)
    own = AxisPlan("p", "other", 3, 1, 1)
    assert merge_axes([T, Y, X], [T, Y, X], [T, z, Y, X]) == (T, z, Y, X)
    assert merge_axes([T, z, Y, X], [T, z, Y, X], [T, Y, X]) == (T, Y, X)
    assert merge_axes([T, own, Y, X], [T, Y, X], [T, Y, X]) == (T, own, Y, X)
    assert merge_axes([Y, X], [T, Y, X], [T, Y, X]) == (Y, X)  # taken out by the user
    renamed = replace(T, name="time")
    assert merge_axes([renamed, Y, X], [T, Y, X], [T, Y, X]) == (renamed, Y, X)
