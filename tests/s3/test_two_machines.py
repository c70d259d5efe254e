"""Two machines that record to one store are told apart by an object in the bucket."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

import aqz_core as aqz
from aqz_core import S3Settings, StorageError, StoreBusyError
from aqz_core.storage.objects import lease
from tests.s3.streams import frames, recorded, settings
from tests.s3.test_sudden_ends import CHECKOUT

PIXELS = frames(4)
LOCK = "a.zarr.aqz-lock"


@pytest.fixture
def another_machine(monkeypatch, tmp_path):
    """What is called is done as on a machine that shares no locks with this one."""

    def become(name="other"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        monkeypatch.setattr("socket.gethostname", lambda: name)

    return become


def at(endpoint):
    return S3Settings(
        endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="s", retry_timeout=3.0
    )


@pytest.fixture(params=["fault endpoint", "Ceph"])
def s3(request):
    """A bucket of a service that keeps the conditions of AWS."""
    if request.param == "Ceph":
        return request.getfixturevalue("bucket").settings()
    return at(request.getfixturevalue("endpoint"))


@pytest.mark.parametrize(
    ("first", "second"),
    [("a.zarr", "a.zarr"), ("a.zarr", "a.zarr/inner"), ("a.zarr/inner", "a.zarr")],
    ids=["the same", "inside", "around"],
)
def test_a_second_machine_is_refused(s3, another_machine, first, second):
    with aqz.ZarrStream(settings(first, s3)) as stream:
        stream.append(PIXELS[0])
        another_machine()
        with pytest.raises(StoreBusyError, match=r"written by \S+@\S+ \(process \d+\) since 2"):
            aqz.ZarrStream(settings(second, s3, overwrite=True))
        stream.append(PIXELS[1])
        if first == second:
            recorded(PIXELS, "b.zarr", s3)
    recorded(PIXELS, second, s3, overwrite=True)


@pytest.mark.parametrize("second", ["a.zarr/b/inner", "a.zarr"], ids=["inside", "around"])
def test_one_machine_keeps_stores_apart_too(endpoint, second):
    s3 = at(endpoint)
    with aqz.ZarrStream(settings("a.zarr/b", s3)) as stream:
        stream.append(PIXELS[0])
        with pytest.raises(StoreBusyError, match=r"'a\.zarr/b', around or in"):
            aqz.ZarrStream(settings(second, s3))


def test_the_finished_store_has_no_lock(endpoint):
    recorded(PIXELS, "a.zarr", at(endpoint))
    assert not [name for name in endpoint.objects if "lock" in name]


KILLED = """
import os, sys
import aqz_core as aqz
from tests.s3.streams import frames, settings
s3 = aqz.S3Settings(endpoint=sys.argv[1], bucket_name="bucket", key="id", secret="s")
stream = aqz.ZarrStream(settings("a.zarr", s3))
stream.append(frames(1)[0])
os._exit(9)
"""


def killed_recording(endpoint):
    """Leave the lock of a recording that died."""
    subprocess.run([sys.executable, "-c", KILLED, endpoint.endpoint], cwd=CHECKOUT, check=False)
    assert LOCK in endpoint.objects


@pytest.mark.parametrize("store", ["a.zarr", "a.zarr/inner"])
def test_what_a_killed_program_left_here_is_free_at_once(endpoint, store):
    killed_recording(endpoint)
    recorded(PIXELS, store, at(endpoint), overwrite=True)


def test_what_it_left_elsewhere_is_free_when_its_lease_has_ended(endpoint, another_machine):
    killed_recording(endpoint)
    another_machine()
    with pytest.raises(StoreBusyError, match="If that program was killed, the store is free 60 s"):
        recorded(PIXELS, "a.zarr", at(endpoint), overwrite=True)
    endpoint.state.times[LOCK] = time.time() - lease.LEASE_SECONDS - 2
    recorded(PIXELS, "a.zarr", at(endpoint), overwrite=True)


@pytest.mark.parametrize("kind", ["503", "unknown"])
def test_a_recording_keeps_its_lease(endpoint, monkeypatch, kind):
    """Also where a renewal fails, or the service knows no condition for it."""
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.05)
    with aqz.ZarrStream(settings("a.zarr", at(endpoint))) as stream:
        endpoint.fail(kind, f"PUT .*{LOCK}", times=1)
        before = endpoint.count(f"PUT .*{LOCK}")
        while endpoint.count(f"PUT .*{LOCK}") < before + 3:
            time.sleep(0.01)
        stream.append(PIXELS[0])
    assert not endpoint.objects.keys() & {LOCK}


def append_until(stream, deadline):
    """Record slowly."""
    while time.monotonic() < deadline:
        stream.append(PIXELS[0])
        time.sleep(0.02)


def test_one_that_lost_it_ends_and_says_to_whom(endpoint, monkeypatch):
    monkeypatch.setattr(lease, "RENEWAL_SECONDS", 0.05)
    stream = aqz.ZarrStream(settings("a.zarr", at(endpoint)))
    theirs = json.dumps({"who": "eva@scope2", "since": "now", "machine": "m", "token": "t"})
    endpoint.objects[LOCK] = theirs.encode()
    deadline = time.monotonic() + 60
    with pytest.raises(StorageError, match="eva@scope2 has recorded to"):
        append_until(stream, deadline)
    with pytest.raises(StorageError, match="eva@scope2"):
        stream.close()
    assert endpoint.objects[LOCK] == theirs.encode()


def test_a_service_without_conditions_is_named_in_the_log(endpoint, monkeypatch, caplog):
    monkeypatch.setattr("tests.s3.fault_endpoint._Handler._condition_holds", lambda *_: True)
    recorded(PIXELS, "a.zarr", at(endpoint))
    assert "takes no conditional requests" in caplog.text


@pytest.mark.parametrize("kind", ["denied", "unknown"])
def test_where_nothing_can_be_locked_one_records_all_the_same(endpoint, caplog, kind):
    endpoint.fail(kind, f"PUT .*{LOCK}")
    recorded(PIXELS, "a.zarr", at(endpoint))
    assert "other machines are not kept" in caplog.text
