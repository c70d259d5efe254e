"""Who writes to an object store locks it for the whole time; logs are stored before the end."""

from __future__ import annotations

import json

import pytest

import aqz_core as aqz
from aqz_core import S3Settings, StorageError, StoreBusyError
from aqz_core.recovery import repair_store, validate_store
from aqz_core.upload import upload_store
from tests.s3.streams import frames, recorded, settings

PIXELS = frames(4)
LOG = r"PUT .*aqz\.frames\.jsonl"


def at(endpoint):
    """The misbehaving service, given up soon."""
    return S3Settings(
        endpoint=endpoint.endpoint,
        bucket_name="bucket",
        key="id",
        secret="quite-secret",
        retry_timeout=3.0,
    )


class Watcher:
    """Keeps what a stream says of its end."""

    def __init__(self):
        self.ends = []

    @aqz.hookimpl
    def aqz_stream_closed(self, event):
        self.ends.append("closed")

    @aqz.hookimpl
    def aqz_stream_failed(self, event):
        self.ends.append("failed")


@pytest.fixture
def busy(endpoint):
    """A store that is being recorded to, and how to reach it."""
    s3 = at(endpoint)
    with aqz.ZarrStream(settings("a.zarr", s3)) as stream:
        stream.append(PIXELS[0])
        stream.flush()
        yield s3


def test_a_store_is_locked_before_it_is_surveyed(endpoint, busy):
    """Or a recording that ends meanwhile would leave a survey that is no longer true."""
    read = endpoint.count("GET .*zarr.json")
    with pytest.raises(StoreBusyError):
        aqz.ZarrStream.resume("a.zarr", s3=busy)
    with pytest.raises(StoreBusyError):
        repair_store("a.zarr", s3=busy, apply=True)
    assert endpoint.count("GET .*zarr.json") == read


def test_whoever_checks_a_store_is_told_that_it_is_recorded_here(endpoint, busy):
    report = validate_store("a.zarr", s3=busy)
    assert report.state == "recording"
    assert not [found for found in report.findings if "no program of this machine" in found.what]
    told = repair_store("a.zarr", s3=busy).findings
    assert [found.what for found in told if "is being recorded now" in found.what]


def test_a_store_that_nobody_here_records_may_be_recorded_elsewhere(endpoint):
    s3 = at(endpoint)
    recorded(PIXELS, "a.zarr", s3)
    text = endpoint.objects["a.zarr/zarr.json"]
    endpoint.objects["a.zarr/zarr.json"] = text.replace(b'"complete"', b'"recording"')
    report = validate_store("a.zarr", s3=s3)
    assert report.state == "recording"
    assert [found for found in report.findings if "no program of this machine" in found.what]
    assert not repair_store("a.zarr", s3=s3).findings


def test_a_resumed_recording_keeps_the_lock_until_its_end(endpoint):
    s3 = at(endpoint)
    recorded(PIXELS, "a.zarr", s3)
    with aqz.ZarrStream.resume("a.zarr", s3=s3) as stream:
        stream.append(PIXELS[0])
        with pytest.raises(StoreBusyError):
            aqz.ZarrStream.resume("a.zarr", s3=s3)
    aqz.ZarrStream.resume("a.zarr", s3=s3).close()


def test_a_resumption_that_fails_leaves_no_lock(endpoint):
    s3 = at(endpoint)
    recorded(PIXELS, "a.zarr", s3)
    small = settings("a.zarr", s3, max_memory=1 << 20)
    with pytest.raises(aqz.MemoryBudgetError):
        aqz.ZarrStream.resume("a.zarr", small)
    aqz.ZarrStream.resume("a.zarr", s3=s3).close()


def test_nothing_is_uploaded_where_somebody_records(endpoint, busy, tmp_path):
    recorded(PIXELS, str(tmp_path / "b.zarr"))
    with pytest.raises(StoreBusyError, match="another stream"):
        upload_store(tmp_path / "b.zarr", "a.zarr", s3=busy, overwrite=True)
    upload_store(tmp_path / "b.zarr", "b.zarr", s3=busy)


def test_a_store_is_not_recorded_to_while_it_is_uploaded(endpoint, tmp_path, monkeypatch):
    source = tmp_path / "b.zarr"
    recorded(PIXELS, str(source))
    refused = []

    def try_to_record(sink, root, name):
        with pytest.raises(StoreBusyError):
            aqz.ZarrStream.resume(source)
        refused.append(name)
        return 0

    monkeypatch.setattr("aqz_core.upload.send_file", try_to_record)
    upload_store(source, "b.zarr", s3=at(endpoint))
    assert refused
    aqz.ZarrStream.resume(source).close()


def test_a_log_that_cannot_be_stored_is_told_before_the_end(endpoint):
    watcher = Watcher()
    s3 = at(endpoint)
    stream = aqz.ZarrStream(settings("a.zarr", s3, durability="none"), [watcher])
    stream.append(PIXELS[0], metadata={"stage": 1})
    endpoint.fail("denied", LOG)
    with pytest.raises(StorageError):
        stream.close()
    assert watcher.ends == ["failed"]
    endpoint.recover()
    recorded(PIXELS, "a.zarr", s3, overwrite=True)  # nobody holds the store any more


def test_a_spill_that_only_lacks_the_log_is_complete(endpoint, tmp_path):
    spill = tmp_path / "spill"
    given = settings("a.zarr", at(endpoint), durability="none", spill=str(spill))
    with aqz.ZarrStream(given) as stream:
        stream.append(PIXELS[0], metadata={"stage": 1})
        endpoint.fail("denied", LOG)
    assert json.loads((spill / "aqz-spill.json").read_text())["state"] == "complete"
