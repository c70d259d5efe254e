"""What was recorded and is gone is damage; what was never recorded is none."""

from __future__ import annotations

import json
import shutil
import warnings
from itertools import pairwise

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import StorageError
from aqz_core.recovery import Severity, repair_store, validate_store
from tests.faults.test_recovery import ANY_VERSION, PLANS, opened, record
from tests.support.plans import frames_of

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")


@pytest.fixture
def store(tmp_path):
    """Sixty frames, four in a chunk and twelve in a shard."""
    path = tmp_path / "a.zarr"
    options = {"shape": (0, 16, 16), "dtype": "u2", "chunks": (4, 16, 16), "shards": (3, 1, 1)}
    with aqz.open_stream(path, **options) as stream:
        for number in range(60):
            stream.append(np.full((16, 16), number, "u2"))
    assert validate_store(path).findings == ()
    return path


def errors(report):
    """What was found to be damaged."""
    return [found.what for found in report.findings if found.severity is Severity.ERROR]


def numbers(found):
    return [one["t"] for one in found]


def change(file, path, value):
    """Put a value into a JSON document."""
    document = json.loads(file.read_text())
    *above, last = path
    place = document
    for name in above:
        place = place[name]
    place[last] = value
    file.write_text(json.dumps(document))


# ---- chunks that are gone ---------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 2, 4])
def test_a_shard_that_is_gone_is_damage(store, row):
    (store / f"0/c/{row}/0/0").unlink()
    (told,) = errors(validate_store(store))
    assert f"the file c/{row}/0/0 is not there" in told
    assert f"Frames, in the order of arrival from 0: {12 * row} to {12 * row + 11}" in told
    assert numbers(aqz.missing_frames(store)) == list(range(12 * row, 12 * row + 12))


def test_a_shard_that_became_a_directory_is_damage(store):
    (store / "0/c/1/0/0").unlink()
    (store / "0/c/1/0/0").mkdir()
    assert any("the file c/1/0/0 is not there" in told for told in errors(validate_store(store)))
    assert numbers(aqz.missing_frames(store)) == list(range(12, 24))


def test_what_a_repair_could_not_bring_back_stays_damage(store):
    shard = store / "0/c/2/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    repair_store(store, apply=True)
    (told,) = errors(validate_store(store))
    assert "the file c/2/0/0 does not hold chunk (7, 0, 0)" in told
    assert numbers(aqz.missing_frames(store)) == list(range(28, 36))


def test_a_chunk_of_a_smaller_level_that_is_gone_is_damage(tmp_path):
    record(tmp_path / "s", PLANS["half-full chunks"], 19)
    shutil.rmtree(tmp_path / "s/img/1/c/2")
    (told,) = errors(validate_store(tmp_path / "s"))
    assert "chunks that were recorded are missing" in told
    assert aqz.missing_frames(tmp_path / "s", "img") == []


@pytest.mark.parametrize("skip", ["skipped", "by index"])
def test_a_frame_of_a_recording_with_gaps_that_is_gone_is_damage(tmp_path, skip):
    store = tmp_path / "a.zarr"
    with aqz.open_stream(store, shape=(0, 8, 8), dtype="u1", chunks=(1, 8, 8)) as stream:
        for number in (0, 1, 5):
            frame = np.full((8, 8), number, "u1")
            if skip == "by index":
                stream.write(frame, {"t": number})
            else:
                stream.skip_frames(number - stream.statistics().frames)
                stream.append(frame)
    assert validate_store(store).is_valid
    assert numbers(aqz.missing_frames(store)) == [2, 3, 4]
    for file in (store / "0/c").iterdir():
        shutil.rmtree(file)
    (told,) = errors(validate_store(store))
    assert "3 chunks that were recorded are missing" in told
    assert told.endswith("0 to 1, 5")


# ---- chunks that were never recorded ----------------------------------------------------


@ANY_VERSION
@pytest.mark.parametrize("name", PLANS)
def test_recordings_that_end_anywhere_are_whole(tmp_path, name, version):
    """Chunks half-full, planes without partners, rows that were begun."""
    plan = PLANS[name]
    for count in (1, 3, 8, 17):
        record(tmp_path / "s", plan, count, overwrite=True, version=version)
        assert errors(validate_store(tmp_path / "s")) == []


@ANY_VERSION
@pytest.mark.parametrize("name", ["half-full chunks", "z in pairs", "stored in another order"])
def test_recordings_with_gaps_are_whole(tmp_path, name, version):
    plan, order = PLANS[name], [0, 1, 6, 14, 16]
    frames = frames_of(plan)
    with opened(tmp_path / "skips", plan, version=version) as stream:
        for before, number in pairwise([-1, *order]):
            stream.skip_frames(number - before - 1)
            stream.append(frames[number])
    names = [axis.name for axis in plan.axes[:-2]]
    sizes = [axis.size for axis in plan.axes[1:-2]]
    with opened(tmp_path / "index", plan, version=version) as stream:
        for number in reversed(order):
            index = np.unravel_index(number, (plan.frames, *sizes))
            stream.write(frames[number], dict(zip(names, map(int, index), strict=True)))
    for kind in ("skips", "index"):
        assert errors(validate_store(tmp_path / kind)) == []
        found = aqz.list_frames(tmp_path / kind, plan.key)
        assert len(found.written) == len(order)


@ANY_VERSION
def test_a_recording_that_goes_on_is_whole(tmp_path, version):
    plan = PLANS["z in pairs"]
    with opened(tmp_path / "s", plan, version=version) as stream:
        for number, frame in enumerate(frames_of(plan)):
            stream.append(frame)
            if number % 5 == 1:
                stream.flush()
                assert errors(validate_store(tmp_path / "s")) == []


# ---- a record that cannot be right ------------------------------------------------------


@pytest.mark.parametrize("frames", ["x", -5, 10**9, 59.0])
def test_an_impossible_number_of_frames_is_told(store, frames):
    change(store / "zarr.json", ["attributes", "aqz", "frames"], frames)
    (told,) = errors(validate_store(store))
    assert f"{frames!r} frames" in told
    with pytest.raises(StorageError, match="frames"):
        aqz.missing_frames(store)


def test_an_attribute_that_is_no_object_is_told(store):
    change(store / "zarr.json", ["attributes", "aqz"], "x")
    (told,) = errors(validate_store(store))
    assert "the attribute aqz is 'x'" in told


def test_a_length_that_the_frames_do_not_have_is_told_and_not_spread(tmp_path):
    plan = PLANS["z without end"]
    store = tmp_path / "s"
    record(store, plan, 17)
    change(store / "img/0/zarr.json", ["shape", 0], 10**12)
    (told,) = errors(validate_store(store))
    assert "17 frames make a length of 17, but the shape is (1000000000000," in told
    before = (store / "img/1/zarr.json").read_bytes()
    report = repair_store(store, apply=True)
    assert "17 frames" in report.findings[0].what
    assert (store / "img/1/zarr.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"null", b"\xff\xfe\x00", b"{", None])
def test_broken_metadata_of_an_image_are_told(tmp_path, content):
    record(tmp_path / "s", PLANS["half-full chunks"], 5)
    file = tmp_path / "s/img/zarr.json"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = validate_store(tmp_path / "s")
    assert any("zarr.json" in told for told in errors(found))
    assert {one.where for one in found.findings if one.severity == "error"} == {"img"}
