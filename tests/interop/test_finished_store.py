"""After close: nothing differs from what a reader expects that knows only end indexes."""

from __future__ import annotations

import pytest

import aqz_core as aqz
from tests.support.finished import array_nodes, assert_finished_array, read_json, stored_files
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, record, settings_for
from tests.support.published import level_keys

SHARDED = ArrayPlan(
    axes=axes("tczyx", (0, 2, 3, 20, 18), (2, 1, 2, 6, 5), (3, 1, 1, 2, 2)),
    key="deep/image",
    method="MAX",
    codec="blosc-lz4",
    frames=30,
)
PLAIN = ArrayPlan(axes=axes("tyx", (0, 9, 9), (1, 4, 4), (5, 2, 2)), key="flat", frames=7)
FEW = ArrayPlan(axes=axes("tyx", (40, 9, 9), (4, 4, 4), (5, 2, 2)), key="declared", frames=3)
NONE = ArrayPlan(axes=axes("tyx", (0, 9, 9), (4, 4, 4), (5, 2, 2)), key="never", frames=0)


@pytest.mark.parametrize("live", [True, False])
def test_every_shard_ends_in_its_index(tmp_path, live):
    plan = StreamPlan((SHARDED, PLAIN, FEW, NONE), {"live": live})
    record(aqz, plan, tmp_path / "s")
    nodes = array_nodes(tmp_path / "s")
    assert len(nodes) == len(expected_levels(SHARDED)) + 3
    for folder, document in nodes.items():
        assert_finished_array(folder, document)


@pytest.mark.parametrize("plan", [SHARDED, PLAIN, FEW, NONE], ids=lambda plan: plan.key)
def test_zarrita_opens_what_was_closed(tmp_path, zarrita, plan):
    record(aqz, StreamPlan((plan,)), tmp_path / "s")
    if plan.frames == 0:
        assert read_json(tmp_path / "s" / plan.key / "zarr.json")["shape"][0] == 0
        return
    levels = zarrita(tmp_path / "s", level_keys(plan))
    for actual, expected in zip(levels, expected_levels(plan), strict=True):
        assert (actual == expected).all()


def test_the_index_location_changes_from_start_to_end_at_close(tmp_path):
    stream = aqz.ZarrStream(settings_for(aqz, StreamPlan((PLAIN,)), tmp_path / "s"))
    document = tmp_path / "s" / "flat" / "zarr.json"

    def location():
        return read_json(document)["codecs"][0]["configuration"]["index_location"]

    assert location() == "start"
    stream.append(frames_of(PLAIN))
    assert location() == "start"
    stream.close()
    assert location() == "end"


def test_a_stream_that_is_not_live_says_end_from_the_first_moment(tmp_path):
    settings = settings_for(aqz, StreamPlan((PLAIN,), {"live": False}), tmp_path / "s")
    with aqz.ZarrStream(settings):
        document = read_json(tmp_path / "s" / "flat" / "zarr.json")
    assert document["codecs"][0]["configuration"]["index_location"] == "end"


def test_no_temporary_file_is_left(tmp_path):
    record(aqz, StreamPlan((SHARDED, PLAIN)), tmp_path / "s")
    odd = {
        name
        for name in stored_files(tmp_path / "s")
        if not name.endswith("zarr.json") and not name.rsplit("/", 1)[-1].isdigit()
    }
    assert odd == set()
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
