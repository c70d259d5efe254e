"""Which frames a resumed recording takes up, case by case; at random in `test_resume_property`."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.chunks.growing_shard import GrowingShard
from aqz_core.recovery import repair_store, validate_store
from aqz_core.recovery.frame_listing import list_frames, missing_frames
from tests.faults.stopped_disk import Killed, Stop, stopping
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

SIZE = 16


def frame(value, size=SIZE):
    return np.full((size, size), value, "uint8")


def opened(store, chunk=1, shard=4, *, size=SIZE, names="tyx", lead=(0,), **plan):
    chunks = (*(chunk, 1)[: len(lead)], size, size)
    shards = (*(shard, 1)[: len(lead)], 1, 1)
    array = ArrayPlan(
        axes=axes(names, (*lead, size, size), chunks, shards if shard else None),
        dtype="uint8",
        **plan,
    )
    return aqz.ZarrStream(settings_for(aqz, StreamPlan((array,)), store))


def values(store):
    return aqz.ZarrArrayReader(store).read()[..., 0, 0].ravel().tolist()


def times(found):
    return [index["t"] for index in found]


# ---- where the next frame goes --------------------------------------------------------------


def test_dark_frames_by_index_keep_their_place(tmp_path):
    with opened(tmp_path / "s", 4, 1) as stream:
        for t, value in enumerate((1, 2, 3, 0, 0)):
            stream.write(frame(value), {"t": t})
    with aqz.ZarrStream.resume(tmp_path / "s") as stream:
        stream.append(frame(9))
    assert values(tmp_path / "s") == [1, 2, 3, 0, 0, 9]
    assert missing_frames(tmp_path / "s") == []


def test_dark_frames_that_were_flushed_survive_a_kill(tmp_path):
    with Killed(opened(tmp_path / "s", 4, 1)) as stream:
        for t, value in enumerate((1, 2, 3, 0, 0)):
            stream.write(frame(value), {"t": t})
        stream.flush()
    assert missing_frames(tmp_path / "s") == []
    with aqz.ZarrStream.resume(tmp_path / "s") as stream:
        assert stream.statistics().frames == 5
        with pytest.raises(aqz.FrameExistsError):
            stream.write(frame(7), {"t": 4})


@pytest.mark.parametrize("by_index", [True, False])
def test_skipped_frames_keep_their_place_and_can_be_written(tmp_path, by_index):
    with opened(tmp_path / "s") as stream:
        stream.write(frame(1), {"t": 0}) if by_index else stream.append(frame(1))
        stream.skip_frames(3)
    with aqz.ZarrStream.resume(tmp_path / "s") as stream:
        stream.append(frame(9))
        stream.write(frame(5), {"t": 2})
    assert values(tmp_path / "s") == [1, 0, 5, 0, 9]
    assert times(missing_frames(tmp_path / "s")) == [1, 3]
    assert validate_store(tmp_path / "s").is_valid


def test_a_lost_shard_is_a_gap_that_can_be_filled(tmp_path):
    store = tmp_path / "s"
    with opened(store) as stream:
        for value in range(1, 11):
            stream.append(frame(value))
    shutil.rmtree(store / "c/1")
    assert not validate_store(store).is_valid
    with aqz.ZarrStream.resume(store) as stream:
        assert stream.statistics().frames == 10
        assert times(missing_frames(store)) == [4, 5, 6, 7]
    lost = [found.what for found in validate_store(store).findings if "were gone" in found.what]
    assert lost
    with aqz.ZarrStream.resume(store) as stream:
        for index in missing_frames(store):
            stream.write(frame(index["t"] + 1), index)
        stream.append(frame(11))
    assert values(store) == list(range(1, 12))
    assert missing_frames(store) == []
    assert validate_store(store).findings == ()


# ---- what can be resumed --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["append", "write", "flushed"])
def test_a_single_image_is_resumed(tmp_path, how):
    store = tmp_path / "s"
    if how == "flushed":
        with Killed(opened(store, names="yx", lead=())) as stream:
            stream.append(frame(5))
            stream.flush()
        assert missing_frames(store) == []
    else:
        with opened(store, names="yx", lead=()) as stream:
            stream.append(frame(5)) if how == "append" else stream.write(frame(5), {})
    with aqz.ZarrStream.resume(store) as stream:
        assert stream.statistics().frames == 1
    assert aqz.ZarrArrayReader(store).read_plane()[0, 0] == 5
    assert missing_frames(store) == []


def test_a_pyramid_with_fewer_levels_than_it_could_have_is_resumed(tmp_path):
    store = tmp_path / "s"
    plan = ArrayPlan(
        axes=axes("tyx", (0, 64, 64), (1, 8, 8), (1, 1, 1)),
        dtype="uint8",
        method="MEAN",
        max_levels=1,
    )
    with aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), store)) as stream:
        stream.append(frame(1, 64))
    with aqz.ZarrStream.resume(store) as stream:
        stream.append(frame(2, 64))
    for level in "01":
        assert aqz.ZarrArrayReader(store / level).read()[:, 0, 0].tolist() == [1, 2]
    assert not (store / "2").exists()


def test_an_array_that_no_frame_reached_lacks_every_frame(tmp_path):
    """Axes are stored in another order, and nothing was flushed before the kill."""
    store = tmp_path / "s"
    options = {"names": "tzyx", "lead": (4, 3), "storage": ("z", "t", "y", "x"), "shard": 1}
    with Killed(opened(store, **options)) as stream:
        stream.write(frame(5), {"t": 1, "z": 1})
    assert len(missing_frames(store)) >= 11
    with aqz.ZarrStream.resume(store) as stream:
        for index in missing_frames(store):
            stream.write(frame(10 * index["t"] + index["z"] + 1), index)
    wanted = [10 * t + z + 1 for z in range(3) for t in range(4)]
    assert [5 if v == 12 else v for v in wanted] == [5 if v == 12 else v for v in values(store)]
    assert missing_frames(store) == []


# ---- killed in the middle -------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 256])
def test_a_shard_killed_before_its_first_chunk_is_taken_up_behind_its_header(
    tmp_path, monkeypatch, size
):
    """Its index has more than 512 bytes, so that another one is kept in reserve behind it."""
    store = tmp_path / "s"
    with monkeypatch.context() as patch:
        stop = Stop("kill", -1)

        def killed(*_, **__):
            stop.kill()
            raise OSError("killed")

        for name in ("add_batch", "add_provisional_batch", "write_piece"):
            patch.setattr(GrowingShard, name, killed)
        stream = opened(store, 1, 64, size=size)
        with stopping(stop):
            stream.append(frame(1, size))
            for end in (stream.flush, stream.close):
                with pytest.raises(aqz.AqzError):
                    end()
    with aqz.ZarrStream.resume(store) as stream:
        first = stream.statistics().frames
        for value in range(first + 1, first + 6):
            stream.append(frame(value, size))
        stream.flush()
        np.testing.assert_array_equal(values(store), range(1, first + 6))
        stream.append(frame(first + 6, size))
    np.testing.assert_array_equal(values(store), range(1, first + 7))
    assert validate_store(store).is_valid


LAYOUTS = {
    "a chunk a frame": {"chunk": 1, "shard": 4},
    "half-full chunks": {"chunk": 4, "shard": 2, "codec": "zstd"},
    "long indexes": {"chunk": 1, "shard": 64},
    "chunk files": {"chunk": 3, "shard": None},
    "a pyramid": {"chunk": 2, "shard": 2, "size": 32, "method": "MEAN", "is_ngff": True},
}
FRAMES = 9


def record_until(store, layout, stop):
    """Record with flushes until the recording stops; return the frames that were flushed."""
    flushed = 0
    with stopping(stop):
        try:
            with opened(store, **layout) as stream:
                for number in range(FRAMES):
                    stream.append(frame(number + 1, layout.get("size", SIZE)))
                    if number % 4 == 2:
                        stream.flush()
                        flushed = number + 1
        except (aqz.AqzError, OSError):
            return flushed
    return FRAMES


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_kill_at_any_operation_costs_no_flushed_frame_and_no_pixel(tmp_path, name):
    layout = LAYOUTS[name]
    size, key = layout.get("size", SIZE), "0" if layout.get("is_ngff") else ""
    stop = Stop("close", -1)
    record_until(tmp_path / "whole", layout, stop)
    for after in range(0, stop.done, 1 + stop.done // 12):
        store = tmp_path / f"killed{after}"
        flushed = record_until(store, layout, Stop("kill", after))
        try:
            stream = aqz.ZarrStream.resume(store)
        except aqz.AqzError:
            assert not flushed
            continue
        with stream:
            first = stream.statistics().frames
            assert flushed <= first <= FRAMES
            for number in range(first, first + 3):
                stream.append(frame(number + 1, size))
            stream.flush()
            assert values(store / key) == list(range(1, first + 4))
        assert values(store / key) == list(range(1, first + 4))
        assert validate_store(store).findings == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends a child process that was forked")
@pytest.mark.parametrize("after", [9, 14, 21])
def test_a_process_that_ends_at_once_leaves_what_it_flushed(tmp_path, after):
    store = tmp_path / "s"
    child = os.fork()
    if not child:
        record_until(store, LAYOUTS["half-full chunks"], Stop("exit", after))
        os._exit(0)
    os.waitpid(child, 0)
    with aqz.ZarrStream.resume(store) as stream:
        first = stream.statistics().frames
        for number in range(first, FRAMES):
            stream.append(frame(number + 1))
    assert values(store) == list(range(1, FRAMES + 1))
    assert validate_store(store).findings == ()


def test_a_repair_shows_no_half_frames(tmp_path):
    """One of the two chunks of the last frame was stored when the disk was full."""
    store = tmp_path / "s"
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 16, 8)), dtype="uint8")
    stream = aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), store))
    for number in range(4):
        stream.append(frame(number + 1))
        stream.flush()
    shutil.copytree(store, tmp_path / "full")
    stream.close()
    full = tmp_path / "full"
    half = np.zeros((2, 16, 8), "uint8")
    half[0] = 3
    (full / "c/1/0/1").write_bytes(half.tobytes())
    document = json.loads((full / "zarr.json").read_text())
    document["shape"][0] = document["attributes"]["aqz"]["frames"] = 2
    (full / "zarr.json").write_text(json.dumps(document))
    repair_store(full, apply=True)
    assert values(full) == [1, 2, 3]


def test_half_a_frame_is_missing_and_can_be_written(tmp_path):
    """Killed between the two chunk files of a frame, in chunks that other frames share."""
    store = tmp_path / "s"
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (2, 16, 8)), dtype="uint8")
    stream = aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,)), store))
    for t in range(3):
        stream.write(frame(t + 1), {"t": t})
    stream.flush()
    before = (store / "c/1/0/1").read_bytes()
    stream.write(frame(4), {"t": 3})
    stream.flush()
    shutil.copytree(store, tmp_path / "killed")
    stream.close()
    (tmp_path / "killed/c/1/0/1").write_bytes(before)
    log = tmp_path / "killed/aqz.frames.jsonl"
    log.write_text(log.read_text().removesuffix('{"flushed":true}\n'))
    assert times(missing_frames(tmp_path / "killed")) == [3]
    with aqz.ZarrStream.resume(tmp_path / "killed") as stream:
        stream.write(frame(4), {"t": 3})
    assert (aqz.ZarrArrayReader(tmp_path / "killed").read() == 4)[3].all()
    assert missing_frames(tmp_path / "killed") == []


def test_gaps_are_listed_as_far_as_frames_reach_right_after_a_resume(tmp_path, monkeypatch):
    from aqz_core.recording.array_metadata import ArrayMetadata

    store = tmp_path / "s"
    stream = opened(store)
    for t in (0, 2, 4):
        stream.write(frame(t + 1), {"t": t})
    stream.flush()
    monkeypatch.setattr(ArrayMetadata, "grow", lambda *_, **__: None)
    with Killed(stream) as stream:
        for t in (6, 8):
            stream.write(frame(t + 1), {"t": t})
        stream.flush()
    monkeypatch.undo()
    with aqz.ZarrStream.resume(store):
        assert times(missing_frames(store)) == [1, 3, 5, 7]
    assert values(store) == [1, 0, 3, 0, 5, 0, 7, 0, 9]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_flush_by_index_stores_the_log_in_an_object_store(tmp_path):
    url = f"memory://aqz-flush/{tmp_path.name}.zarr"
    plan = ArrayPlan(axes=axes("tyx", (0, 16, 16), (1, 16, 16), (4, 1, 1)), dtype="uint8")
    settings = settings_for(aqz, StreamPlan((plan,), {"durability": "none"}), "x")
    settings.store_path = url
    with aqz.ZarrStream(settings) as stream:
        for t in range(5):
            stream.write(frame(t + 1), {"t": t}, metadata={"n": t})
        stream.flush()
        assert len(list_frames(url).written) == 5
        assert [row["n"] for row in aqz.read_frame_metadata(url)] == list(range(5))


# ---- what commands say ----------------------------------------------------------------------


@pytest.fixture
def image(tmp_path):
    store = tmp_path / "s"
    options = {"shape": (0, 64, 64), "dtype": "uint8", "chunks": (1, 16, 16), "shards": (2, 4, 4)}
    with aqz.open_stream(store, pyramid="mean", **options) as stream:
        for value in range(5):
            stream.append(frame(value + 1, 64))
    return store


@pytest.mark.parametrize(
    "lost", ["0/zarr.json", "1/zarr.json", "1", "0/c/1/0/0", "1/c/0/0/0", "zarr.json"]
)
def test_what_is_missing_is_in_every_exit_code(image, lost, capsys):
    from aqz_core.cli import main

    assert [main([command, str(image)]) for command in ("info", "validate")] == [0, 0]
    if (image / lost).is_dir():
        shutil.rmtree(image / lost)
    else:
        (image / lost).unlink()
    assert [main([command, str(image)]) for command in ("info", "validate")] == [1, 1]
    said = capsys.readouterr().out
    assert "Traceback" not in said
    repaired = main(["repair", "--apply", str(image)]) == 0
    assert repaired == (main(["validate", str(image)]) == 0)


def test_repair_of_what_is_no_store_fails(tmp_path, capsys):
    from aqz_core.cli import main

    assert main(["repair", str(tmp_path)]) == 1
    assert "not a Zarr store" in capsys.readouterr().out


def test_validate_says_what_it_could_not_check(image, capsys):
    from aqz_core.cli import main

    report = validate_store(image)
    assert "carry no checksum" in report.unchecked[0]
    assert main(["validate", str(image)]) == 0
    said = capsys.readouterr().out
    assert "not checked: pixels that changed" in said
    assert "no damage was found" in said


def test_many_arrays_are_validated_in_linear_time(tmp_path, monkeypatch):
    """Whether somebody writes is asked a few times, not once for each array."""
    from aqz_core.reading.files import LocalFiles

    store = tmp_path / "s"
    arrays = tuple(
        ArrayPlan(axes=axes("tyx", (0, 8, 8), (1, 8, 8), (1, 1, 1)), key=f"f{n}", dtype="uint8")
        for n in range(40)
    )
    with aqz.ZarrStream(settings_for(aqz, StreamPlan(arrays), store)) as stream:
        for plan in arrays:
            stream.append(frame(1, 8), plan.key)
    asked = []
    is_written = LocalFiles.is_written
    monkeypatch.setattr(
        LocalFiles, "is_written", lambda files: asked.append(1) or is_written(files)
    )
    assert validate_store(store).is_valid
    assert repair_store(store).findings == ()
    assert len(asked) < 10


# ---- metadata that zarr refuses -------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"dimension_names": ["t", 5, "x"]},
        {"dimension_names": ["t"]},
        {"storage_transformers": {"name": "x"}},
        {"storage_transformers": [{"name": "x"}]},
        {"fill_value": []},
        {"fill_value": 300},
        {"fill_value": "0x12"},
        {"extra": 1},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": 7}}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": ""}}},
        {"chunk_key_encoding": {"name": "default", "configuration": {"other": 1}}},
    ],
)
def test_what_zarr_refuses_is_not_valid(tmp_path, change):
    zarr = pytest.importorskip("zarr")
    store = tmp_path / "s"
    with opened(store) as stream:
        stream.append(frame(1))
    document = json.loads((store / "zarr.json").read_text())
    (store / "zarr.json").write_text(json.dumps(document | change))
    with pytest.raises((TypeError, ValueError, KeyError, NotImplementedError, OverflowError)):
        zarr.open(store, mode="r")
    assert not validate_store(store).is_valid
