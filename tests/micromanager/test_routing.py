"""Where frames go, told by a recorder that is fed by hand: no microscope, no engine."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
from inspect import signature

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_micromanager import (
    AcquisitionError,
    ArrivedFrame,
    DuplicateFrameError,
    RunRecorder,
    UnknownCoordinateError,
    ZarrProcessor,
    store_recording,
)
from aqz_micromanager.coverage import Coverage
from aqz_micromanager.events import read_events
from aqz_micromanager.plan_builder import PlanBuilder
from aqz_micromanager.positions import image_keys, well_of_label
from aqz_micromanager.routing import Router
from aqz_micromanager.run_plan import ImagePlan, Site
from tests.micromanager.stored import attributes, image, series
from tests.micromanager.stored import image_keys as stored_keys

ORDERS = st.permutations(["time", "channel", "z", "position"])


def plan_of(events):
    """Return the plan of a list of events."""
    builder = PlanBuilder()
    read_events(events, builder)
    return builder.plan()


def grid(**axes):
    """Return events for every combination of coordinates, the first axis slowest."""
    names = list(axes)
    return [{"axes": dict(zip(names, v, strict=True))} for v in itertools.product(*axes.values())]


def frame_for(number, shape=(8, 8)):
    """Return a frame that tells its number."""
    return np.full(shape, number + 1, "uint16")


def feed(zarr, events, shuffle=None):
    """Hand over one frame for each event; return the number of each by its axes."""
    numbers = list(range(len(events)))
    if shuffle is not None:
        shuffle.shuffle(numbers)
    for number in numbers:
        zarr(frame_for(number), {"Axes": events[number]["axes"]})
    return {tuple(sorted(events[n]["axes"].items())): n for n in numbers}


@settings(max_examples=40)
@given(data=st.data())
def test_frames_are_found_under_their_axes_whatever_the_order(data, tmp_path_factory):
    sizes = {"time": st.integers(1, 3), "channel": st.integers(1, 3), "z": st.integers(1, 3)}
    order = data.draw(ORDERS)
    coordinates = {
        name: [f"{name}{n}" for n in range(data.draw(sizes.get(name, st.integers(1, 2))))]
        if data.draw(st.booleans())
        else list(range(data.draw(sizes.get(name, st.integers(1, 2)))))
        for name in data.draw(st.lists(st.sampled_from(order), min_size=1, unique=True))
    }
    events = grid(**coordinates)
    store = tmp_path_factory.mktemp("run") / "run.zarr"
    with ZarrProcessor(store, events, frame_metadata=None) as processor:
        expected = feed(processor, events, data.draw(st.randoms(use_true_random=False)))

    assert processor.state == "complete"
    keys = {key[0]: path for key, path in image_keys(plan_of(events).images).items()}
    for axes, number in expected.items():
        axes = dict(axes)
        site = (axes.pop("position"),) if "position" in axes else ()
        index = [coordinates[n].index(axes[n]) for n in ("time", "channel", "z") if n in axes]
        pixels = zarr.open_array(store / keys[site] / "0", mode="r")[tuple(index)]
        assert (pixels == number + 1).all()


def test_sizes_are_learned_from_the_first_time_point(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(time=range(3), position=["left", "right"], z=range(2))
    with ZarrProcessor(store) as processor:
        feed(processor, events[:4])
        assert processor.statistics().held_frames == 4
        feed(processor, events[4:])
        assert processor.statistics().held_frames == 0

    assert stored_keys(store) == ["left", "right"]
    assert image(store, "right").shape == (3, 2, 8, 8)


def test_a_single_stack_is_stored_when_it_ends(tmp_path):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store) as processor:
        feed(processor, grid(channel=["a", "b"], z=range(3)))

    assert image(store).shape == (2, 3, 8, 8)


def test_a_first_time_point_too_long_to_be_held_is_stored_and_its_axes_grow(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(channel=["a", "b"], z=range(30))
    with ZarrProcessor(store, learning_memory=1000) as processor:
        feed(processor, events)

    assert processor.state == "complete"
    assert image(store)[:, :, 0, 0].ravel().tolist() == list(range(1, 61))


def test_declared_axes_open_the_store_with_the_first_frame(tmp_path):
    store = tmp_path / "run.zarr"
    axes = {"time": None, "channel": ["DAPI", "FITC"], "z": 3}
    with ZarrProcessor(store, axes=axes) as processor:
        feed(processor, [{"axes": {"time": 4, "channel": "FITC", "z": 2}}])
        assert processor.state == "recording"

    assert processor.state == "incomplete"
    assert image(store).shape == (5, 2, 3, 8, 8)
    assert attributes(store)["micromanager"]["missing_frames"] == 29
    assert not image(store)[:4].any()


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"time": 0, "channel": "Cy5"}, "'Cy5' on axis 'channel' was not planned"),
        ({"time": 5, "channel": "DAPI"}, "5 on axis 'time' was not planned"),
        ({"time": 0, "channel": "DAPI", "laser": 1}, "a frame has axis 'laser'"),
        ({"time": 0, "channel": "DAPI", "position": 1}, "came from position"),
    ],
)
def test_places_that_were_not_planned_are_errors(tmp_path, axes, message):
    events = grid(time=range(2), channel=["DAPI"])
    processor = ZarrProcessor(tmp_path / "run.zarr", events)
    with pytest.raises(UnknownCoordinateError, match=message):
        processor(frame_for(0), {"Axes": axes})
    with pytest.raises(AcquisitionError):
        processor.close()


def test_positions_are_added_as_they_come_if_nobody_said_which_there_are(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(time=range(2), position=["left"], z=range(2))
    late = grid(time=range(2, 4), position=["left", "right", "above"], z=range(2))
    with ZarrProcessor(store) as processor:
        numbers = feed(processor, events + late)

    assert processor.state == "complete"
    assert series(store) == ["left", "right", "above"]
    for key in ("right", "above"):
        stored = image(store, key)[:, :, 0, 0]
        expected = [
            [numbers[("position", key), ("time", t), ("z", z)] + 1 for z in range(2)]
            for t in (2, 3)
        ]
        assert stored[2:].tolist() == expected
        assert not stored[:2].any()
        assert attributes(store, key)["micromanager"]["missing_frames"] == 0


def test_a_frame_that_lacks_at_an_added_position_is_missed(tmp_path):
    with ZarrProcessor(tmp_path / "run.zarr") as processor:
        feed(processor, grid(time=range(2), position=[0], z=range(2)))
        feed(processor, grid(time=[2, 4], position=[1], z=range(2)))

    assert processor.state == "incomplete"
    missing = attributes(tmp_path / "run.zarr", "1")["micromanager"]["missing"]
    assert missing == [{"t": 3, "z": 0}, {"t": 3, "z": 1}]


def test_wells_are_added_to_the_plate(tmp_path):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store) as processor:
        for time in range(2):
            for label in ("A1-Site_0", "A1-Site_1", "B3-Site_0")[: 1 + 2 * time]:
                axes = {"time": time, "position": label}
                processor(frame_for(time), {"Axes": axes, "PositionName": label})

    assert stored_keys(store) == ["A/1/0", "A/1/1", "B/3/0"]
    wells = attributes(store)["ome"]["plate"]["wells"]
    assert [well["path"] for well in wells] == ["A/1", "B/3"]


def test_positions_one_after_the_other_need_no_more_memory_than_is_allowed(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(position=range(5), channel=["a", "b"], z=range(3))
    with ZarrProcessor(store, learning_memory=7 * 128) as processor:  # one position and a bit
        feed(processor, events)

    assert processor.state == "complete"
    assert [image(store, str(p))[:, :, 0, 0].tolist() for p in range(5)] == [
        [[6 * p + 3 * c + z + 1 for z in range(3)] for c in range(2)] for p in range(5)
    ]


def test_a_generator_may_make_up_positions(tmp_path):
    store = tmp_path / "run.zarr"
    events = [
        {"axes": {"time": t, "position": p}, "x": 10.0 * p, "y": 0.0}
        for t in range(3)
        for p in range(t + 1)
    ]
    with ZarrProcessor(store) as processor:
        for number, event in enumerate(processor.watch(iter(events))):
            processor(frame_for(number), {"Axes": event["axes"], "PixelSizeUm": 1.0})

    assert processor.state == "complete"
    assert attributes(store, "2")["micromanager"]["position"]["x_um"] == 20.0


def test_a_generator_that_was_not_drawn_to_its_end_was_interrupted(tmp_path):
    with ZarrProcessor(tmp_path / "run.zarr") as processor:
        for event in processor.watch(iter(grid(time=range(9)))):
            processor(frame_for(0), {"Axes": event["axes"]})
            if event["axes"]["time"] == 3:
                break

    assert processor.state == "interrupted"
    assert attributes(tmp_path / "run.zarr")["micromanager"]["frames"] == 4


def test_what_was_not_planned_makes_axes_longer_if_told_so(tmp_path):
    store = tmp_path / "run.ome.zarr"
    events = grid(time=range(3), channel=["DAPI"], z=range(2))
    more = grid(time=range(1, 3), channel=["Cy5"], z=range(3))
    with ZarrProcessor(store, events, on_unplanned="add") as processor:
        numbers = feed(processor, events + more)

    assert processor.state == "complete"
    assert processor.statistics().frames == 12
    stored = image(store)
    assert stored.shape == (3, 2, 3, 8, 8)
    labels = ["DAPI", "Cy5"]
    for place in np.ndindex(3, 2, 3):
        axes = {"time": place[0], "channel": labels[place[1]], "z": place[2]}
        number = numbers.get(tuple(sorted(axes.items())))
        assert (stored[place] == (0 if number is None else number + 1)).all()
    channels = attributes(store)["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == labels
    assert list(tmp_path.iterdir()) == [store]


def test_a_planned_acquisition_takes_another_position_if_told_so(tmp_path):
    events = grid(time=range(2), position=["a"])
    with ZarrProcessor(tmp_path / "run.zarr", events, on_unplanned="add") as processor:
        feed(processor, [*events, {"axes": {"time": 1, "position": "b"}}])

    assert (processor.state, series(tmp_path / "run.zarr")) == ("complete", ["a", "b"])


def test_a_position_may_come_while_someone_asks_how_it_goes(tmp_path, monkeypatch):
    class ArrivesMeanwhile(Coverage):
        """Lets a position come while the frames of all positions are summed up."""

        @property
        def missing_count(self):
            if coming:
                feed(processor, [coming.pop()])
            return super().missing_count

    monkeypatch.setattr(store_recording, "Coverage", ArrivesMeanwhile)
    coming = []
    events = grid(time=[0], position=range(3))
    with ZarrProcessor(tmp_path / "run.zarr", events, on_unplanned="add") as processor:
        feed(processor, events)
        coming.append({"axes": {"time": 0, "position": 3}})
        processor.statistics()
        assert processor.statistics().frames == 4

    assert series(tmp_path / "run.zarr") == ["0", "1", "2", "3"]


def test_a_position_in_no_well_stands_beside_the_plate(tmp_path):
    events = grid(time=range(2), position=["A1-Site_0"])
    with ZarrProcessor(tmp_path / "run.zarr", events, on_unplanned="add") as processor:
        feed(processor, [*events, {"axes": {"time": 1, "position": "stray"}}])

    assert stored_keys(tmp_path / "run.zarr") == ["A/1/0", "stray"]


def test_a_frame_without_axes_is_an_error(tmp_path):
    processor = ZarrProcessor(tmp_path / "run.zarr", processor=lambda image, tags: (image, {}))
    with pytest.raises(UnknownCoordinateError, match="hand on those"):
        processor(frame_for(0), {"Axes": {"time": 0}})
    with pytest.raises(AcquisitionError):
        processor.close()


def test_a_negative_time_is_an_error(tmp_path):
    processor = ZarrProcessor(tmp_path / "run.zarr")
    with pytest.raises(UnknownCoordinateError, match="not a number from 0 up"):
        processor(frame_for(0), {"Axes": {"time": -1}})
    with pytest.raises(AcquisitionError):
        processor.close()


def test_negative_planes_are_sorted(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(time=[0], z=[1, -1, 0])
    with ZarrProcessor(store, events) as processor:
        feed(processor, events)

    assert image(store)[0, :, 0, 0].tolist() == [2, 3, 1]


def test_after_an_error_frames_are_ignored_and_the_error_is_raised_once(tmp_path):
    events = grid(time=range(3))
    processor = ZarrProcessor(tmp_path / "run.zarr", events)
    feed(processor, events[:1])
    with pytest.raises(DuplicateFrameError):
        feed(processor, events[:1])
    feed(processor, events)
    assert processor.statistics().frames == 1
    with pytest.raises(AcquisitionError, match="second frame") as caught:
        processor.close()
    assert isinstance(caught.value.__cause__, DuplicateFrameError)
    processor.close()


def test_images_after_closing_end_the_acquisition_once(tmp_path):
    events = grid(time=range(3))
    with ZarrProcessor(tmp_path / "run.zarr", events) as processor:
        feed(processor, events[:1])
    with pytest.raises(AcquisitionError, match="takes no more images"):
        feed(processor, events[1:2])
    feed(processor, events[1:])
    assert image(tmp_path / "run.zarr").shape[0] in (1, 3)


def test_rows_and_columns_are_positions_of_a_grid(tmp_path):
    store = tmp_path / "run.zarr"
    events = grid(row=range(2), column=range(2))
    with ZarrProcessor(store, events) as processor:
        feed(processor, events)

    assert stored_keys(store) == ["0_0", "0_1", "1_0", "1_1"]
    position = attributes(store, "1_0")["micromanager"]["position"]
    assert (position["grid_row"], position["grid_column"]) == (1, 0)


def test_settings_are_a_template(tmp_path):
    dimensions = [aqz.Dimension(name="z", kind=aqz.DimensionType.SPACE, chunk_size_px=4)]
    template = aqz.ArraySettings(
        dimensions=dimensions, downsampling_method=aqz.DownsamplingMethod.MEAN
    )
    events = grid(time=range(2), z=range(8))
    with ZarrProcessor(
        tmp_path / "run.zarr",
        events,
        settings=aqz.StreamSettings(arrays=[template], durability="none"),
    ) as processor:
        for number, event in enumerate(events):
            processor(frame_for(number, (128, 128)), {"Axes": event["axes"]})

    level = zarr.open_array(tmp_path / "run.zarr" / "0", mode="r")
    assert level.chunks == (1, 4, 64, 64)  # two on each axis, for the pyramid
    assert level.compressors == ()
    assert (tmp_path / "run.zarr" / "1").exists()


def test_five_verbs_are_all_that_another_engine_needs(tmp_path):
    store = tmp_path / "run.zarr"
    recorder = RunRecorder(str(store))
    recorder.expect(lambda builder: read_events(grid(time=range(2)), builder))
    recorder.note("engine", {"name": "mine"})
    for time in range(2):
        recorder.put(ArrivedFrame(frame_for(time), {"time": time}, {"Exposure": "5"}))
    recorder.finish()

    assert attributes(store)["micromanager"]["engine"] == {"name": "mine"}
    assert [row["exposure_ms"] for row in aqz.read_frame_metadata(store)] == [5, 5]


def test_a_failure_of_the_engine_itself_is_kept(tmp_path):
    recorder = RunRecorder(str(tmp_path / "run.zarr"))
    recorder.put(ArrivedFrame(frame_for(0), {"time": 0}, {}))
    recorder.fail(ValueError("stage stuck"))
    with pytest.raises(AcquisitionError, match="stage stuck"):
        recorder.finish()
    assert attributes(tmp_path / "run.zarr")["micromanager"]["state"] == "failed"


def test_no_frame_at_all_leaves_no_store(tmp_path, caplog):
    with ZarrProcessor(tmp_path / "run.zarr", grid(time=range(2))) as processor:
        pass

    assert processor.state == "interrupted"
    assert not (tmp_path / "run.zarr").exists()
    assert "no frame came" in caplog.text


def test_a_password_in_the_url_is_not_told(caplog):
    url = "memory://me:hunter2@secret/run.ome.zarr"
    forgotten = ZarrProcessor(url, axes={"time": 1})
    del forgotten
    gc.collect()
    ZarrProcessor(url, axes={"time": 1}).close()
    failing = ZarrProcessor(url, axes={"time": 1})
    with pytest.raises(UnknownCoordinateError):
        feed(failing, [{"axes": {"time": 7}}])
    with pytest.raises(AcquisitionError) as failed:
        failing.close()
    with pytest.raises(aqz.SettingsError) as refused:
        ZarrProcessor("ftp://me:hunter2@host/other", settings=aqz.StreamSettings(store_path=url))

    told = caplog.text + str(failed.value) + str(refused.value)
    assert "hunter2" not in told
    for what in ("never closed", "no frame came", "was not recorded whole", "leave store_path out"):
        assert what in told
    assert "memory://me@secret/run.ome.zarr" in told


@pytest.mark.parametrize("axes", [{"time": range(3)}, {"z": range(3), "channel": "ab"}])
def test_a_processor_that_is_forgotten_is_finished_and_told_of(tmp_path, caplog, axes):
    store = tmp_path / "run.zarr"
    processor = ZarrProcessor(store)
    feed(processor, grid(**axes))
    del processor
    gc.collect()

    assert "was never closed" in caplog.text
    assert image(store)[0].flat[0] == 1
    assert attributes(store)["micromanager"]["frames"] == len(grid(**axes))


def test_a_program_that_ends_without_closing_leaves_a_finished_store(tmp_path):
    code = (
        "import numpy, sys; from aqz_micromanager import ZarrProcessor\n"
        "kept = ZarrProcessor(sys.argv[1], [{'axes': {'time': t}} for t in range(3)])\n"
        "for t in range(3): kept(numpy.full((8, 8), t, 'uint16'), {'Axes': {'time': t}})\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run.zarr")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert "was never closed" in run.stderr
    assert image(tmp_path / "run.zarr")[:, 0, 0].tolist() == [0, 1, 2]
    assert attributes(tmp_path / "run.zarr")["micromanager"]["state"] == "complete"


def test_the_engine_sees_exactly_two_parameters(tmp_path):
    assert len(signature(ZarrProcessor(tmp_path / "run.zarr")).parameters) == 2


def test_an_array_that_a_processor_reuses_is_copied_while_it_waits(tmp_path):
    reused = np.zeros((8, 8), "uint16")
    with ZarrProcessor(tmp_path / "run.zarr") as processor:
        for number, event in enumerate(grid(time=range(2), z=range(2))):
            reused[:] = number + 1
            processor(reused, {"Axes": event["axes"]})

    assert image(tmp_path / "run.zarr")[:, :, 0, 0].tolist() == [[1, 2], [3, 4]]


def template(**array):
    """Return settings with an array as template."""
    return aqz.StreamSettings(arrays=[aqz.ArraySettings(**array)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_duplicate": "overwrite"}, "use one of 'error', 'keep', 'replace'"),
        ({"on_unplanned": "ignore"}, "use one of 'error', 'add'"),
        ({"plate": "yes"}, "use 'auto', True or False"),
        ({"colors": {"DAPI": "blue"}}, "six hexadecimal digits"),
        ({"processor": 3}, "give a function"),
        ({"store": ""}, "store is empty"),
        ({"settings": aqz.StreamSettings(store_path="b.zarr")}, "store_path 'b.zarr'"),
        ({"settings": aqz.StreamSettings(arrays=[aqz.ArraySettings()] * 2)}, "one array at most"),
        ({"settings": template(output_key="raw")}, "the array is a template"),
        ({"settings": template(channels=[aqz.Channel(name="DAPI")])}, "colors="),
        ({"events": (event for event in grid(time=range(2)))}, "acquire zarr.watch"),
        ({"events": "time"}, "'t', which is no event"),
        ({"events": [{"axes": {"time": 0}}, 3]}, "3, which is no event"),
        ({"events": [{"axes": {"time": 1.5}}]}, "1.5 is not a coordinate"),
        ({"axes": {"time": "all"}}, "give a number, a list of coordinates, or None"),
        ({"axes": {"z": []}}, "has no coordinates"),
        ({"axes": {"channel": ["a", "a"]}}, "names a coordinate twice"),
        ({"axes": {"position": None}}, "must be known"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_moves(tmp_path, options, message):
    options = {"store": tmp_path / "run.zarr", **options}
    with pytest.raises(aqz.AqzError, match=message):
        ZarrProcessor(**options)
    assert list(tmp_path.iterdir()) == []


def test_sizes_of_the_template_that_differ_from_the_frames_are_told(tmp_path, caplog):
    plane = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.SPACE,
            array_size_px=100,
            chunk_size_px=4,
            shard_size_chunks=1,
        )
        for name in "yx"
    ]
    with ZarrProcessor(tmp_path / "run.zarr", settings=template(dimensions=plane)) as processor:
        feed(processor, grid(time=range(2)))

    assert image(tmp_path / "run.zarr").shape == (2, 8, 8)
    assert "axis 'y' has size 100, but the acquisition has 8" in caplog.text


def test_a_store_that_exists_is_left_alone(tmp_path):
    store = tmp_path / "run.zarr"
    with ZarrProcessor(store) as processor:
        feed(processor, grid(time=range(2)))
    with pytest.raises(aqz.StoreExistsError, match="overwrite=True"):
        ZarrProcessor(store)
    assert image(store)[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("label", "well"),
    [
        ("A1-Site_0", ("A", "1")),
        ("B02_0001", ("B", "2")),
        ("AF48-Site_12", ("AF", "48")),
        ("A1", None),
        ("Pos0", None),
        ("Pos_000_001", None),
        ("A0-Site_0", None),
        ("left", None),
    ],
)
def test_labels_that_name_wells(label, well):
    assert well_of_label(label) == well


def test_labels_that_cannot_be_names_still_give_different_keys():
    sites = [Site((n,), name) for n, name in enumerate(["a/b", "a b", "µ", "OME", "A_B"])]
    keys = list(image_keys([ImagePlan(site) for site in sites]).values())
    assert len({key.lower() for key in keys}) == 5
    assert keys[0] == "a_b"
    assert "ome" not in [key.lower() for key in keys]


@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    endless=st.booleans(),
    data=st.data(),
)
def test_coverage_counts_what_lacks(shape, endless, data):
    sizes = tuple(shape)
    coverage = Coverage((None, *sizes[1:]) if endless and sizes else sizes)
    places = list(np.ndindex(sizes))
    taken = data.draw(st.lists(st.sampled_from(places), unique=True)) if places else []
    for place in taken:
        assert not coverage.has(place)
        coverage.take(place)
        assert coverage.has(place)

    if endless and sizes:
        reached = max((place[0] for place in taken), default=-1) + 1
        places = [place for place in places if place[0] < reached]
    assert sorted(coverage.missing()) == sorted(set(places) - set(taken))
    assert coverage.missing_count == len(places) - len(taken)


def test_cameras_multiply_channels():
    builder = PlanBuilder({"camera": ["left", "right"]})
    read_events(grid(time=range(2), channel=["DAPI", "FITC"]), builder)
    router = Router(builder.plan().images)
    (axes,) = router.images.values()
    assert axes.channels() == ["DAPI left", "DAPI right", "FITC left", "FITC right"]
    axes = {"time": 1, "channel": "FITC", "camera": "left"}
    assert router.place(axes).index == (1, 2)
