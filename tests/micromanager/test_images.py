"""What the images of an acquisition are: their axes, names, places, and what counts as missing."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_micromanager import AcquisitionError, DuplicateFrameError, ZarrProcessor
from aqz_micromanager.coverage import Coverage
from aqz_micromanager.spacing import spacing_of
from aqz_micromanager.tags import plain, typed
from tests.micromanager.stored import attributes, image, image_keys
from tests.micromanager.test_routing import feed, frame_for, grid


def transforms(store, key=""):
    """Return scale and translation by axis name."""
    multiscales = attributes(store, key)["ome"]["multiscales"][0]
    names = [axis["name"] for axis in multiscales["axes"]]
    steps = multiscales["datasets"][0]["coordinateTransformations"]
    scale = dict(zip(names, steps[0]["scale"], strict=True))
    origin = steps[1]["translation"] if len(steps) > 1 else [0.0] * len(names)
    return scale, dict(zip(names, origin, strict=True))


def notes(store, key=""):
    return attributes(store, key)["micromanager"]


# ---- axes that come late, or not at all ---------------------------------------------------------


def test_an_axis_may_appear_later_in_one_store(tmp_path):
    store = tmp_path / "run.zarr"
    events = [
        event
        for loop in range(4)
        for event in (
            {"axes": {"loop_index": loop}},
            *({"axes": {"time": t, "loop_index": loop}} for t in range(3)),
        )
    ]
    with ZarrProcessor(store) as processor:
        numbers = feed(processor, events)

    assert (processor.state, processor.statistics().frames) == ("complete", 16)
    assert sorted(image_keys(store)) == ["", "by_loop_index_time"]
    assert list(tmp_path.iterdir()) == [store]
    stored = image(store, "by_loop_index_time")
    assert stored.shape == (3, 4, 8, 8)
    for time, loop in np.ndindex(3, 4):
        number = numbers[("loop_index", loop), ("time", time)]
        assert (stored[time, loop] == number + 1).all()
    assert image(store)[:, 0, 0].tolist() == [numbers[(("loop_index", n),)] + 1 for n in range(4)]


def test_a_projection_is_not_a_plane_of_its_stack(tmp_path):
    store = tmp_path / "run.zarr"
    events, planes = grid(time=range(2), z=range(3)), []

    def project(pixels, tags):
        planes.append(pixels)
        if tags["Axes"]["z"] < 2:
            return pixels, tags
        projection = np.max(planes[-3:], axis=0)
        without = {name: value for name, value in tags["Axes"].items() if name != "z"}
        return [(pixels, tags), (projection, {**tags, "Axes": without})]

    with ZarrProcessor(store, events, processor=project) as processor:
        feed(processor, events)

    assert processor.state == "complete"
    assert image(store)[:, :, 0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert image(store, "by_time")[:, 0, 0].tolist() == [3, 6]


@pytest.mark.parametrize("order", ["pctz", "zpct"])
def test_any_axis_grows_if_nobody_said_how_long_it_is(tmp_path, order):
    store = tmp_path / "run.zarr"
    sizes = {"t": ("time", range(3)), "c": ("channel", ["a", "b", "d"]), "z": ("z", range(5))}
    sizes["p"] = ("position", ["left", "right"])
    events = grid(**dict(sizes[letter] for letter in order))
    with ZarrProcessor(store, learning_memory=1 << 20) as processor:
        numbers = feed(processor, events)

    assert (processor.state, processor.statistics().frames) == ("complete", 90)
    for place in ["left", "right"]:
        stored = image(store, place)
        assert stored.shape == (3, 3, 5, 8, 8)
        for t, c, z in np.ndindex(3, 3, 5):
            axes = {"time": t, "channel": "abd"[c], "z": z, "position": place}
            assert (stored[t, c, z] == numbers[tuple(sorted(axes.items()))] + 1).all()


def test_times_in_seconds_since_1970_take_no_more_room_than_others(tmp_path):
    events = [{"axes": {"time": 1_790_000_000 + 5 * n}} for n in range(4)]
    with ZarrProcessor(tmp_path / "run.zarr") as processor:
        feed(processor, events)

    assert image(tmp_path / "run.zarr")[:, 0, 0].tolist() == [1, 2, 3, 4]
    (axis,) = notes(tmp_path / "run.zarr")["axes"]
    assert axis["values"] == [event["axes"]["time"] for event in events]


def test_two_axes_of_ones_own_are_images(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(time=range(2), angle=[0, 90], polarization=["s", "p"])
    with ZarrProcessor(store, events) as processor:
        numbers = feed(processor, events)

    assert image_keys(store) == ["angle_0", "angle_90"]
    for angle in (0, 90):
        stored = image(store, f"angle_{angle}")
        for t, p in np.ndindex(2, 2):
            axes = {"time": t, "angle": angle, "polarization": "sp"[p]}
            assert (stored[t, p] == numbers[tuple(sorted(axes.items()))] + 1).all()


def test_a_place_is_visited_again(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(row=range(2), col=range(2))
    with ZarrProcessor(store, on_duplicate="replace") as processor:
        feed(processor, events)
        feed(processor, events[:1])
        feed(processor, [events[3], events[1], events[3], events[0]])

    assert image_keys(store) == ["0_0", "0_1", "1_0", "1_1"]
    assert [int(image(store, key).flat[0]) for key in image_keys(store)] == [4, 2, 3, 3]
    assert processor.statistics().duplicate_frames == 5


# ---- geometry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heights", "order", "scale", "origin", "even"),
    [
        ([10, 5, 0], [2, 1, 0], 5, 0, True),
        ([0, -2, -4], [2, 1, 0], 2, -4, True),
        ([5, 1, 3], [1, 2, 0], 2, 1, True),
        ([0, 1, 5, 20], [0, 1, 2, 3], 4, 0, False),
        ([0.1, 0.2, 0.3], [0, 1, 2], 0.1, 0.1, True),
    ],
)
def test_planes_rise_whatever_the_stage_did(tmp_path, heights, order, scale, origin, even):
    store = tmp_path / "run.zarr"
    events = [{"axes": {"z": n}, "z": float(um)} for n, um in enumerate(heights)]
    with ZarrProcessor(store, events) as processor:
        feed(processor, events)

    assert (image(store)[:, 0, 0] - 1).tolist() == order
    assert transforms(store)[0]["z"] == scale
    assert transforms(store)[1]["z"] == origin
    (axis,) = notes(store)["axes"]
    assert (axis["even"], axis["z_um"]) == (even, sorted(heights))


def test_positions_without_a_stack_lie_at_their_height(tmp_path):
    events = [
        {"axes": {"position": n}, "x": 0.0, "y": 0.0, "z": um} for n, um in enumerate([0.0, 7.5])
    ]
    with ZarrProcessor(tmp_path / "run.zarr", events) as processor:
        feed(processor, events)
    assert [transforms(tmp_path / "run.zarr", str(n))[1]["z"] for n in range(2)] == [0.0, 7.5]


@given(st.dictionaries(st.integers(0, 9), st.floats(-1e6, 1e6), max_size=6))
def test_spacing_is_never_negative_nor_nothing(places):
    spacing = spacing_of(places)
    assert spacing.step is None or spacing.step > 0
    assert (spacing.first is None) == (not places)


# ---- complete means: what was planned is there --------------------------------------------------


def test_holes_of_the_plan_are_not_missing_frames_are(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(time=range(4), channel=["DAPI"]) + grid(time=[0, 2], channel=["FITC"])
    with ZarrProcessor(store, events) as processor:
        feed(processor, events[:3] + events[4:])

    assert (processor.state, processor.statistics().missing_frames) == ("incomplete", 1)
    assert notes(store)["missing"] == [{"t": 3, "c": 0}]
    assert notes(store)["planned_frames"] == 6


@given(data=st.data())
def test_coverage_knows_the_plan(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    places = list(np.ndindex(shape))
    planned = data.draw(st.sets(st.sampled_from(places)))
    taken = data.draw(st.lists(st.sampled_from(places), unique=True))
    coverage = Coverage(shape, planned)
    for place in taken:
        coverage.take(place)
    assert sorted(coverage.missing()) == sorted(planned - set(taken))
    assert coverage.missing_count == len(planned - set(taken))
    assert coverage.planned_count == len(planned | set(taken))
    larger = tuple(size + data.draw(st.integers(0, 2)) for size in shape)
    coverage.grow(larger)
    assert sorted(coverage.missing()) == sorted(planned - set(taken))
    assert all(coverage.has(place) == (place in taken) for place in places)


def test_the_last_frame_lost_is_a_frame_lost(tmp_path):
    events = grid(time=range(5))
    with ZarrProcessor(tmp_path / "run.zarr", events) as processor:
        feed(processor, events[:4])
    assert processor.state == "incomplete"


def test_events_and_labels_given_twice_are_refused_at_once(tmp_path):
    events = grid(time=range(2), position=["a", "a", "b"])
    with pytest.raises(DuplicateFrameError, match="'position': 'a'"):
        ZarrProcessor(tmp_path / "run.zarr", events)


def test_a_store_that_cannot_be_made_is_refused_at_once(tmp_path):
    (tmp_path / "there.zarr").mkdir()
    (tmp_path / "there.zarr" / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
    )
    (tmp_path / "there.zarr" / "0").mkdir()
    (tmp_path / "there.zarr" / "0" / "zarr.json").write_text("{}")
    with pytest.raises(aqz.StoreExistsError):
        ZarrProcessor(tmp_path / "there.zarr")
    with pytest.raises(aqz.SettingsError):
        ZarrProcessor(tmp_path / "no such folder" / "run.zarr")


def test_runs_are_numbered_if_asked(tmp_path):
    for _ in range(2):
        with ZarrProcessor(tmp_path / "run_{n}.ome.zarr") as processor:
            feed(processor, grid(time=range(2)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run_1.ome.zarr", "run_2.ome.zarr"]


# ---- names and metadata as they were given ------------------------------------------------------

LABELS = ["細胞", "10X 5\udcb5m", "\ud800", "zarr.json", "x" * 300, "OME", "a/b", "A_B", "c", "0"]


def test_labels_are_kept_beside_keys_that_every_store_takes(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(position=LABELS)
    with ZarrProcessor(store, events) as processor:
        feed(processor, events)

    keys = image_keys(store)
    assert len({key.lower() for key in keys}) == len(LABELS)
    assert all(key.isascii() and len(key) < 120 for key in keys)
    names = {attributes(store, key)["ome"]["multiscales"][0]["name"] for key in keys}
    assert names == {typed(label) for label in LABELS}
    assert {"細胞", "10X 5µm", "x" * 300} <= names


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3),
        {"a": [np.arange(2)]},
        (np.float32(1), np.zeros((2, 2))),
        "5\udcb5m",
        {"\udcb5": "\ud800"},
    ],
)
@pytest.mark.parametrize("form", ["compact", "full"])
def test_anything_may_be_among_the_tags(tmp_path, value, form):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store, grid(time=range(3)), frame_metadata=form) as processor:
        for time in range(3):
            processor(frame_for(time), {"Axes": {"time": time}, "Stats": value})

    assert processor.state == "complete"
    rows = list(aqz.read_frame_metadata(store))
    first = rows[0]["changed"]["Stats"] if form == "compact" else rows[0]["Stats"]
    assert first == plain(value)
    assert ("changed" in rows[1]) == (form == "x")


def test_many_time_points_are_told_as_a_range(tmp_path):
    events = grid(time=range(200), channel=["DAPI"])
    with ZarrProcessor(tmp_path / "run.zarr", events, frame_metadata=None) as processor:
        feed(processor, events)
    assert notes(tmp_path / "run.zarr")["axes"][0] == {"name": "time", "range": [0, 200, 1]}


# ---- while it goes on, and when it fails --------------------------------------------------------


def test_programs_can_answer_to_frames(tmp_path):
    told = []
    with ZarrProcessor(tmp_path / "run.zarr", on_frame=told.append) as processor:
        assert not processor.await_recorded({"time": 0}, timeout=0)
        feed(processor, grid(time=range(3)))
        assert processor.await_recorded({"time": 2}, timeout=0)
    assert told == [{"time": n} for n in range(3)]
    assert not processor.await_recorded({"time": 9})


def test_frames_are_safe_after_the_flush_interval(tmp_path):
    settings = aqz.StreamSettings(flush_seconds=3.0)
    given = [
        ({}, 10.0),
        ({"flush_seconds": 2.0}, 2.0),
        ({"flush_seconds": 0}, 0),
        ({"settings": settings}, 3.0),
    ]
    for number, (options, seconds) in enumerate(given):
        with ZarrProcessor(tmp_path / f"run{number}.zarr", **options) as processor:
            feed(processor, grid(time=range(3)))
            (store,) = processor._recorder._stores.values()
            assert store._layout.settings.flush_seconds == seconds


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_flush_interval_that_makes_no_sense_is_refused(tmp_path, seconds):
    with pytest.raises(aqz.SettingsError, match="flush_seconds"):
        ZarrProcessor(tmp_path / "run.zarr", flush_seconds=seconds)


def test_an_error_says_how_many_frames_are_stored(tmp_path):
    processor = ZarrProcessor(tmp_path / "run.zarr", grid(time=range(9)))
    feed(processor, grid(time=range(4)))
    with pytest.raises(DuplicateFrameError):
        feed(processor, grid(time=[0]))
    with pytest.raises(AcquisitionError, match="4 frames are stored"):
        processor.close()


def test_one_string_is_no_list_of_cameras(tmp_path):
    with pytest.raises(aqz.SettingsError, match=r"give a list of labels"):
        ZarrProcessor(tmp_path / "run.zarr", cameras="Camera")


def test_cameras_times_channels_with_holes_are_complete(tmp_path):
    events = grid(time=range(2), channel=["DAPI"]) + grid(time=[1], channel=["FITC"])
    with ZarrProcessor(tmp_path / "run.zarr", events, cameras=["l", "r"]) as processor:
        for event, camera in itertools.product(events, ["l", "r"]):
            processor(frame_for(0), {"Axes": {**event["axes"], "camera": camera}})
    assert (processor.state, processor.statistics().frames) == ("complete", 6)
    assert notes(tmp_path / "run.zarr")["channels"] == ["DAPI l", "DAPI r", "FITC l", "FITC r"]


def test_a_processor_that_returns_an_image_only_is_told_what_to_return(tmp_path):
    processor = ZarrProcessor(tmp_path / "run.zarr", processor=lambda image, tags: image)
    with pytest.raises(AcquisitionError, match=r"return \(image, metadata\)"):
        feed(processor, grid(time=[0]))
    with pytest.raises(AcquisitionError):
        processor.close()


def test_repair_ends_and_counts_an_acquisition_that_was_killed(tmp_path):
    code = (
        "import numpy, os, sys; from aqz_micromanager import ZarrProcessor\n"
        "events = [{'axes': {'time': t, 'channel': c}} for t in range(9) for c in 'ab']\n"
        "zarr = ZarrProcessor(sys.argv[1], events)\n"
        "for event in events[:6]: zarr(numpy.ones((8, 8), 'uint16'), {'Axes': event['axes']})\n"
        "next(iter(zarr._recorder._stores.values())).stream.flush(); os.kill(os.getpid(), 9)\n"
    )
    store = tmp_path / "run.zarr"
    subprocess.run([sys.executable, "-c", code, str(store)], check=False, timeout=60)
    assert notes(store)["state"] == "recording"
    aqz.repair_store(store, apply=True)
    said = notes(store)
    assert (said["state"], said["frames"], said["missing_frames"]) == ("interrupted", 6, 12)


def test_a_path_in_a_bucket_is_not_looked_for_on_this_machine(tmp_path):
    s3 = aqz.S3Settings(endpoint="http://127.0.0.1:9", bucket_name="b", key="k", secret="s")
    processor = ZarrProcessor("no/such/folder/run.zarr", settings=aqz.StreamSettings(s3=s3))
    assert processor.state == "waiting"
    processor.close()


def test_settings_of_another_kind_are_refused(tmp_path):
    with pytest.raises(aqz.SettingsError, match="StreamSettings"):
        ZarrProcessor(tmp_path / "run.zarr", settings={})


def test_pixels_of_another_byte_order_are_stored(tmp_path):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store) as processor:
        for time in range(2):
            frame = np.full((4, 6), 258 + time, ">u2")
            processor(frame, {"Axes": {"time": time}})
    assert image(store)[:, 0, 0].tolist() == [258, 259]


def test_a_stack_that_begins_in_its_middle_lies_where_its_first_plane_does(tmp_path):
    store, heights = tmp_path / "run.zarr", {0: -0.75, 1: 0.75}
    with ZarrProcessor(store) as processor:
        for number, (channel, time, z) in enumerate(
            [("DAPI", 0, 1), ("DAPI", 1, 1), ("Cy5", 0, 0), ("Cy5", 0, 1), ("Cy5", 1, 0)]
        ):
            axes = {"channel": channel, "time": time, "z": z}
            tags = {"Axes": axes, "ZPosition_um_Intended": heights[z]}
            processor(np.full((4, 6), number + 1, np.uint16), tags)
    transforms = attributes(store)["ome"]["multiscales"][0]["datasets"][0]
    scale, translation = (one for one in transforms["coordinateTransformations"])
    assert (scale["scale"][2], translation["translation"][2]) == (1.5, -0.75)


def test_a_stack_that_goes_down_without_events_stands_from_the_lowest_up(tmp_path):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store) as processor:
        for z in range(4):
            tags = {"Axes": {"z": z}, "ZPosition_um_Intended": 8.0 - 2 * z}
            processor(np.full((4, 6), z + 1, np.uint16), tags)
    assert image(store)[:, 0, 0].tolist() == [4, 3, 2, 1]
    transforms = attributes(store)["ome"]["multiscales"][0]["datasets"][0]
    scale, translation = (one for one in transforms["coordinateTransformations"])
    assert (scale["scale"][0], translation["translation"][0]) == (2.0, 2.0)
