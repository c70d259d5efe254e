"""Stores in object stores: checked, finished and resumed after a sudden end."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem

import aqz_core as aqz
from aqz_core import S3Settings, SettingsError, StorageError
from aqz_core.cli import main
from aqz_core.errors import MemoryBudgetError, ResumeError
from aqz_core.recovery import Severity, repair_store, validate_store
from aqz_core.upload import upload_spill
from tests.faults.test_recovery import PLANS
from tests.s3.process import free_port
from tests.s3.streams import frames, recorded, settings
from tests.s3.test_recording import with_zarr
from tests.support.model import expected_levels
from tests.support.plans import StreamPlan, frames_of, settings_for

CHECKOUT = Path(__file__).parents[2]
VERSIONS = [aqz.ZarrVersion.V3, aqz.ZarrVersion.V2]


@pytest.fixture
def url():
    """A place in memory, empty before and after."""
    filesystem = fsspec.filesystem("memory")
    yield "memory://aqz-recovery/a.zarr"
    if filesystem.exists("/aqz-recovery"):
        filesystem.rm("/aqz-recovery", recursive=True)


def opened(url, plan, **options):
    given = settings_for(aqz, StreamPlan((plan,), options), Path("a.zarr"))
    given.store_path = url
    return aqz.ZarrStream(given)


def append(stream, pixels):
    for frame in pixels:
        stream.append(frame)


def assert_whole(url, plan):
    group = zarr.open(url, mode="r")
    for level, wanted in enumerate(expected_levels(plan)):
        node = group[plan.key] if plan.key else group
        array = node if isinstance(node, zarr.Array) else node[str(level)]
        np.testing.assert_array_equal(array[...], wanted)
    report = validate_store(url)
    assert report.is_valid, report.findings
    assert report.state == "complete"


# ---- going on -------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("name", "version"), list(product(PLANS, VERSIONS)))
def test_a_closed_recording_goes_on(url, name, version):
    plan = PLANS[name]
    pixels = frames_of(plan)
    for count in (0, 7, 12):
        with opened(url, plan, version=version, overwrite=True) as stream:
            append(stream, pixels[:count])
        with aqz.ZarrStream.resume(url) as stream:
            assert stream.statistics().frames == count
            append(stream, pixels[count : count + 3])
            stream.flush()
            append(stream, pixels[count + 3 :])
        assert_whole(url, plan)
        assert repair_store(url).actions == ()


@pytest.fixture
def requests(monkeypatch):
    """Everything that is stored in memory:// from now on, in order: name and content."""
    stored = []
    original = MemoryFileSystem.pipe_file

    def pipe_file(self, path, value, **options):
        original(self, path, value, **options)
        stored.append((path, bytes(value)))

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    return stored


@pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["half-full chunks", "z in pairs"])
def test_an_end_between_any_two_requests_loses_nothing_that_was_flushed(
    url, requests, name, version
):
    plan = PLANS[name]
    pixels = frames_of(plan)
    promises = []
    with opened(url, plan, version=version) as stream:
        promises.append((len(requests), 0))
        for number, frame in enumerate(pixels, 1):
            stream.append(frame)
            if number in (3, 7, 13):
                stream.flush()
                promises.append((len(requests), number))
    trace = list(requests)
    filesystem = fsspec.filesystem("memory")
    first = promises[0][0]
    for cut in range(first, len(trace), 1 + (len(trace) - first) // 12 // 2 * 2):
        promised = max(number for place, number in promises if place <= cut)
        filesystem.rm("/aqz-recovery", recursive=True)
        for path, content in trace[:cut]:
            filesystem.pipe_file(path, content)
        assert validate_store(url).is_valid, cut
        if cut // 2 % 2:
            repair_store(url, apply=True)
            assert validate_store(url).state == "interrupted"
        with aqz.ZarrStream.resume(url) as stream:
            assert stream.statistics().frames >= promised, cut
            append(stream, pixels[stream.statistics().frames :])
        assert_whole(url, plan)


def test_open_stream_appends(url):
    options = {"shape": (0, 8, 8), "dtype": "uint8", "mode": "append"}
    for number in range(3):
        with aqz.open_stream(url, **options) as stream:
            stream.append(np.full((8, 8), number, "uint8"), metadata={"number": number})
    assert zarr.open_group(url, mode="r")["0"][:, 0, 0].tolist() == [0, 1, 2]
    rows = aqz.read_frame_metadata(url)
    assert [row["number"] for row in rows] == [0, 1, 2]


def test_settings_that_differ_are_refused_by_name(url):
    recorded(frames(2), url)
    with pytest.raises(ResumeError, match="chunk_size_px of axis 't'"):
        aqz.ZarrStream.resume(url, settings(url, chunk=2))
    with pytest.raises(ResumeError, match="not for"):
        aqz.ZarrStream.resume(url, settings(f"{url}x"))


def test_too_little_memory_to_read_back_is_refused(url):
    pixels = frames(6)
    recorded(pixels, url, chunk=16, shard=1)
    with aqz.ZarrStream.resume(url) as stream:
        assert stream.statistics().frames == 6
    least = None
    for megabytes in range(8, 200, 4):
        try:
            with aqz.ZarrStream(settings(f"{url}2", chunk=16, shard=1, max_memory=megabytes << 20)):
                least = megabytes
                break
        except MemoryBudgetError:
            continue
    assert least is not None
    with pytest.raises(MemoryBudgetError, match="read back"):
        aqz.ZarrStream.resume(url, settings(url, chunk=16, shard=1, max_memory=least << 20))
    assert np.array_equal(zarr.open_array(url, mode="r")[...], pixels)


# ---- checking and finishing -----------------------------------------------------------------


def test_damage_is_found(url, capsys):
    recorded(frames(20), url)
    filesystem = fsspec.filesystem("memory")
    shard = next(name for name in filesystem.find("/aqz-recovery") if "/c/" in name)
    content = bytearray(filesystem.cat_file(shard))
    content[-9] ^= 1
    filesystem.pipe_file(shard, bytes(content))
    assert main(["validate", "--json", url]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [found["severity"] for found in report["findings"]] == ["error", "error"]
    assert "checksum" in report["findings"][0]["what"]
    assert "chunks that were recorded are missing" in report["findings"][1]["what"]
    assert main(["info", url]) == 0
    assert "array uint16 20 x 512 x 512" in capsys.readouterr().out
    assert main(["repair", "--apply", url]) == 1
    assert "copy the store to a disk" in capsys.readouterr().out
    with pytest.raises(ResumeError, match="aqz validate"):
        aqz.ZarrStream.resume(url)


def test_nothing_there_is_told(url, capsys):
    assert main(["validate", url]) == 1
    assert "nothing is stored there" in capsys.readouterr().err
    assert main(["validate", "never-heard-of://x/y"]) == 1
    assert "never-heard-of" in capsys.readouterr().err


def test_wrong_credentials_and_places_are_told(bucket):
    nowhere = {"endpoint": f"http://127.0.0.1:{free_port()}", "retry_timeout": 0.5}
    for call, change, said in [
        (validate_store, {"secret": "wrong"}, "SignatureDoesNotMatch"),
        (repair_store, {"bucket_name": "never-made"}, "no such bucket"),
        (aqz.ZarrStream.resume, nowhere, "nothing listens"),
    ]:
        with pytest.raises((SettingsError, StorageError), match=said):
            call("a.zarr", s3=bucket.settings(**change))
    with pytest.raises(StorageError, match="nothing is stored there"):
        validate_store("a.zarr", s3=bucket.settings())


def test_a_service_in_trouble_is_asked_again_and_one_that_fails_is_told(
    endpoint, monkeypatch, capsys
):
    s3 = S3Settings(
        endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="x", retry_timeout=3.0
    )
    recorded(frames(20), "a.zarr", s3)
    writes = endpoint.count("^(PUT|POST|DELETE)")
    endpoint.fail("503", "GET /bucket/a.zarr/c", times=3)
    seen = []
    report = validate_store("a.zarr", s3=s3, on_progress=lambda *told: seen.append(told))
    assert report.is_valid
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    there = ["--endpoint", endpoint.endpoint, "s3://bucket/a.zarr"]
    assert main(["validate", *there]) == main(["info", *there]) == main(["repair", *there]) == 0
    assert "no damage was found" in capsys.readouterr().out
    assert seen[-1][0] == seen[-1][1] == report.arrays[0].nbytes
    endpoint.fail("denied", "GET /bucket/a.zarr/c")
    with pytest.raises(StorageError, match="AccessDenied"):
        validate_store("a.zarr", s3=s3)
    assert endpoint.count("^(PUT|POST|DELETE)") == writes


@pytest.mark.parametrize("name", ["zarr.json", "c/", "aqz.frames.jsonl"])
def test_a_request_that_fails_is_no_damage_and_nothing_is_planned_from_it(endpoint, name):
    s3 = S3Settings(
        endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="x", retry_timeout=2.0
    )
    with aqz.ZarrStream(settings("a.zarr", s3)) as stream:
        for number, frame in enumerate(frames(20)):
            stream.append(frame, metadata={"number": number})
    document = json.loads(endpoint.objects["a.zarr/zarr.json"])
    document["shape"][0] = 3  # as after a sudden end: what the shards hold tells the length
    document["attributes"]["aqz"] |= {"state": "recording", "frames": 3}
    endpoint.objects["a.zarr/zarr.json"] = json.dumps(document).encode()
    before = dict(endpoint.objects)
    endpoint.fail("denied", f"GET /bucket/a.zarr/{name}")
    for call in (validate_store, repair_store, partial(repair_store, apply=True)):
        with pytest.raises(StorageError, match="AccessDenied"):
            call("a.zarr", s3=s3)
    assert endpoint.objects == before
    endpoint.recover()
    assert [action.where for action in repair_store("a.zarr", s3=s3).actions] == ["zarr.json"]


# ---- kill -9 --------------------------------------------------------------------------------


def test_a_killed_recording_is_finished_and_goes_on(bucket):
    flush = 20
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3.record_forever", *bucket, str(flush)],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        text=True,
    )
    flushed = 0
    with process:
        for line in process.stdout:
            flushed = int(line) // flush * flush
            if int(line) >= 90:
                break
        process.kill()
    s3 = bucket.settings()
    uploads = bucket.uploads()
    report = validate_store("a.zarr", s3=s3)
    assert report.is_valid
    assert report.state == "recording"
    planned = repair_store("a.zarr", s3=s3)
    assert validate_store("a.zarr", s3=s3).state == "recording"
    assert any("interrupted" in action.what for action in planned.actions)
    told = [found for found in planned.findings if found.severity is Severity.WARNING]
    assert sorted(found.where for found in told) == sorted(key[len("a.zarr/") :] for key in uploads)
    repair_store("a.zarr", s3=s3, apply=True)
    assert validate_store("a.zarr", s3=s3).state == "interrupted"
    assert sorted(bucket.uploads()) == sorted(uploads)
    repair_store("a.zarr", s3=s3, apply=True, abort_uploads=True)
    assert bucket.uploads() == []
    with aqz.ZarrStream.resume(f"s3://{bucket.name}/a.zarr", s3=s3) as stream:
        first = stream.statistics().frames
        assert first >= flushed
        append(stream, np.take(frames(32), np.arange(first, first + 40) % 32, axis=0))
    read = with_zarr(bucket, "a.zarr")
    assert np.array_equal(read, np.take(frames(32), np.arange(first + 40) % 32, axis=0))
    assert validate_store("a.zarr", s3=s3).state == "complete"
    assert bucket.uploads() == []


def test_a_spill_that_was_not_sent_is_told_and_nothing_goes_on_without_it(endpoint, tmp_path):
    s3 = S3Settings(
        endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="x", retry_timeout=2.0
    )
    spill = tmp_path / "spill"
    pixels = frames(48)
    given = settings("a.zarr", s3, spill=spill)
    with aqz.ZarrStream(given) as stream:
        append(stream, pixels[:20])
        endpoint.fail("denied")
        append(stream, pixels[20:40])
    endpoint.recover()
    report = validate_store("a.zarr", s3=s3)
    assert any(str(spill) in found.what for found in report.findings)
    with pytest.raises(ResumeError, match="aqz upload"):
        aqz.ZarrStream.resume("a.zarr", s3=s3)
    assert upload_spill(spill, s3=s3)[0]
    with aqz.ZarrStream.resume("a.zarr", s3=s3) as stream:
        assert stream.statistics().frames == 40
        append(stream, pixels[40:])
    report = validate_store("a.zarr", s3=s3)
    assert report.is_valid
    assert report.state == "complete"
    assert report.arrays[0].shape[0] == 48
