"""What happens when the service fails while frames are recorded."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import aqz_core as aqz
from aqz_core import S3Settings, StorageError
from tests.s3.fault_endpoint import running
from tests.s3.streams import frames, settings

PIXELS = frames(40)
PART = r"PUT .*partNumber"
COMPLETE = r"POST .*uploadId"
BEGIN = r"POST .*/c/.*uploads"
PASSING = [
    ("503", PART),
    ("503", COMPLETE),
    ("503", BEGIN),
    ("500", PART),
    ("500", "PUT .*zarr.json"),
    ("reset", PART),
    ("reset", COMPLETE),
    ("slow", PART),
    ("lost", PART),
    ("lost", COMPLETE),
    ("lost", BEGIN),
    ("html", PART),
    ("xhtml", COMPLETE),
    ("xhtml", "PUT .*zarr.json"),
    ("moved", PART),
]


RETRY_TIMEOUT = 12.0


def at(endpoint, retry_timeout=RETRY_TIMEOUT):
    return S3Settings(
        endpoint=endpoint.endpoint,
        bucket_name="bucket",
        key="id",
        secret="quite-secret",
        retry_timeout=retry_timeout,
    )


def movie(endpoint, **options):
    """A movie whose shards are 16 MiB: two parts and a little."""
    return settings("a.zarr", at(endpoint, **options), shard=8)


@pytest.mark.parametrize(("kind", "pattern"), PASSING)
def test_faults_that_pass_are_not_noticed(endpoint, kind, pattern):
    with aqz.ZarrStream(movie(endpoint, retry_timeout=20)) as stream:
        endpoint.fail(kind, pattern, times=2)
        for frame in PIXELS:
            stream.append(frame)
    assert endpoint.uploads == {}
    assert len(endpoint.objects["a.zarr/c/0/0/0"]) == 16 * 2**20 + 16 * 32 + 4
    assert {key for key in endpoint.objects if "/c/" in key} == {
        "a.zarr/c/0/0/0",
        "a.zarr/c/1/0/0",
    }


STAYING = [
    ("503", PART, "SlowDown"),
    ("503", BEGIN, "SlowDown"),
    ("500", COMPLETE, "InternalError"),
    ("expired", PART, "expired"),
    ("denied", BEGIN, "denies access"),
    ("reset", PART, "connection broke"),
    ("stall", PART, "in time"),
    ("stall", COMPLETE, "in time"),
    ("deaf", PART, "in time"),
    ("deaf", BEGIN, "in time"),
]


def ends_soon(kind, pattern, part):
    """Meet a fault that stays."""
    with running() as endpoint:
        stream = aqz.ZarrStream(movie(endpoint))
        endpoint.fail(kind, pattern)
        begun = time.monotonic()
        with pytest.raises(StorageError, match=part) as caught:
            record(stream)
        assert time.monotonic() - begun < RETRY_TIMEOUT + 20
        assert "quite-secret" not in str(caught.value)
        assert not stream.is_active()
        endpoint.recover()
        assert [key for key in endpoint.objects if "/c/" in key] == []
        assert endpoint.uploads == {}


def leaves_earlier_shards():
    """Meet a fault at the second shard."""
    with running() as endpoint:
        stream = aqz.ZarrStream(movie(endpoint))
        endpoint.fail("503", r"PUT .*/c/1/")
        with pytest.raises(StorageError) as caught:
            record(stream)
        assert "Of the 40 frames that were accepted, 8 cannot be read" in str(caught.value)
        assert "a.zarr/c/0/0/0" in endpoint.objects
        assert b'"shape": [\n        32' in endpoint.objects["a.zarr/zarr.json"]


def aborts_only_its_own_uploads():
    """Meet a fault beside the uploads of others."""
    with running() as endpoint:
        endpoint.uploads["of-another"] = ("b.zarr/c/0/0/0", {})
        endpoint.uploads["of-a-neighbour"] = ("a.zarr2/c/0/0/0", {})
        stream = aqz.ZarrStream(movie(endpoint))
        endpoint.fail("503", COMPLETE)
        with pytest.raises(StorageError):
            record(stream)
        assert set(endpoint.uploads) == {"of-another", "of-a-neighbour"}


def test_faults_that_stay_end_the_stream_soon():
    """They last as long as requests are repeated, so all of them happen at the same time."""
    with ThreadPoolExecutor(len(STAYING) + 2) as threads:
        cases = {case: threads.submit(ends_soon, *case) for case in STAYING}
        cases |= {
            case: threads.submit(case)
            for case in (leaves_earlier_shards, aborts_only_its_own_uploads)
        }
    failed = {case: error for case, done in cases.items() if (error := done.exception())}
    assert not failed


def test_credentials_of_the_environment_are_renewed(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    given = movie(endpoint)
    given.s3.key = given.s3.secret = None
    stream = aqz.ZarrStream(given)
    endpoint.fail("expired", PART, times=1)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    record(stream)
    assert "a.zarr/c/1/0/0" in endpoint.objects


def test_credentials_that_are_renewed_a_moment_late(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite-secret")
    given = movie(endpoint)
    given.s3.key = given.s3.secret = None
    stream = aqz.ZarrStream(given)
    endpoint.fail("expired", PART, times=5)
    record(stream)
    assert "a.zarr/c/1/0/0" in endpoint.objects


def record(stream):
    """Append everything and close."""
    try:
        for frame in PIXELS:
            stream.append(frame)
    finally:
        stream.close()


def test_answer_that_breaks_off_is_asked_for_again(endpoint):
    record(aqz.ZarrStream(movie(endpoint)))
    endpoint.fail("short", "GET .*zarr.json", times=1)
    with pytest.raises(aqz.StoreExistsError):
        aqz.ZarrStream(movie(endpoint, retry_timeout=20))


def test_requests_are_not_repeated_behind_our_back(endpoint):
    stream = aqz.ZarrStream(movie(endpoint, retry_timeout=4.0))
    endpoint.fail("503", PART)
    with pytest.raises(StorageError):
        record(stream)
    assert endpoint.count(PART) < 40
