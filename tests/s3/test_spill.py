"""The service fails while frames are recorded, and the recording goes on in a local folder."""

from __future__ import annotations

import copy
import errno
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorstore
import zarr

import aqz_core as aqz
from aqz_core import S3Settings
from aqz_core.cli import main
from aqz_core.recovery import validate_store
from aqz_core.storage.filesystem import FilesystemSink
from aqz_core.upload import upload_spill
from tests.s3.streams import frames, settings
from tests.s3.test_recording import ZARRS
from tests.s3.test_sudden_ends import CHECKOUT

PIXELS = frames(40)
PART = r"PUT .*partNumber"
SECRET = "quite-secret"
KINDS = {
    "shards": {"shard": 8},
    "compressed": {"shard": 4, "compression": aqz.CompressionSettings(
        compressor=aqz.Compressor.ZSTD, codec=aqz.CompressionCodec.ZSTD, level=1, shuffle=0)},
    "images": {"shard": 8, "is_ngff": True, "downsampling_method": aqz.DownsamplingMethod.MEAN},
    "chunk files": {"shard": 1, "version": aqz.ZarrVersion.V2},
}  # fmt: skip


def at(endpoint, **options):
    """The misbehaving service, given up soon."""
    given = {"bucket_name": "bucket", "key": "id", "secret": SECRET, "retry_timeout": 3.0}
    return S3Settings(endpoint=endpoint.endpoint, **{**given, **options})


def of_kind(kind, store_path, s3, **options):
    """Settings of a stream; images have two arrays."""
    given = settings(store_path, s3, **KINDS[kind], **options)
    if kind == "images":
        given.arrays[0].output_key = "a"
        given.arrays += settings("", **KINDS[kind], output_key="b/c").arrays
    return given


def recorded(given, plugins=(), before=lambda number: None):
    """Record all frames, with metadata and flushes; return the stream, closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        stream = aqz.ZarrStream(given, plugins)
    try:
        for number, frame in enumerate(PIXELS):
            before(number)
            for key in given.get_array_keys():
                stream.append(frame, key=key, metadata={"number": number})
            if number % 13 == 9:
                stream.flush()
    finally:
        stream.close()
    return stream


def copied(objects, prefix, folder):
    """Put the objects of a store into a folder, and return it."""
    for key, content in objects.items():
        if key.startswith(f"{prefix}/"):
            file = folder / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return folder / prefix


def read_by_all(array, version=3):
    """Read an array with three readers, which must agree."""
    spec = {"driver": "zarr3" if version == 3 else "zarr", "kvstore": f"file://{array}/"}
    read = np.squeeze(tensorstore.open(spec, open=True).result().read().result())
    assert np.array_equal(read, np.squeeze(zarr.open_array(array, mode="r")[...]))
    if version == 3:
        with zarr.config.set(ZARRS):
            assert np.array_equal(read, zarr.open_array(array, mode="r")[...])
    return read


def assert_like_undisturbed(endpoint, kind, folder):
    """Compare store "a" with the undisturbed recording "b"."""
    given = of_kind(kind, "b", at(endpoint))
    recorded(given)
    assert set(named(endpoint, "a")) == set(named(endpoint, "b"))
    for name, content in named(endpoint, "b").items():
        if "/c/" not in name and not name.rpartition("/")[2].isdecimal() and name[:2] != "c/":
            assert endpoint.objects[f"a/{name}"] == content, name
    for prefix in "ab":
        copied(endpoint.objects, prefix, folder)
    metadata = "zarr.json" if kind != "chunk files" else ".zarray"
    arrays = [
        path.parent.relative_to(folder / "b")
        for path in (folder / "b").rglob(metadata)
        if kind == "chunk files" or json.loads(path.read_bytes())["node_type"] == "array"
    ]
    assert arrays
    for array in arrays:
        version = 2 if kind == "chunk files" else 3
        read = read_by_all(folder / "a" / array, version)
        assert np.array_equal(read, read_by_all(folder / "b" / array, version))
        if read.shape == PIXELS.shape:
            assert np.array_equal(read, PIXELS)


def named(endpoint, prefix):
    """Objects of a store by their names in it."""
    return {
        key.removeprefix(f"{prefix}/"): content
        for key, content in endpoint.objects.items()
        if key.startswith(f"{prefix}/")
    }


class Observer:
    """Remembers what it is told."""

    def __init__(self):
        self.spilled = []

    @aqz.hookimpl
    def aqz_stream_spilled(self, event):
        self.spilled.append(event)


@pytest.mark.parametrize(
    ("kind", "fault", "pattern"),
    [
        ("shards", "503", PART),
        ("shards", "stall", ""),
        ("compressed", "expired", ""),
        ("images", "reset", ""),
        ("chunk files", "denied", "PUT"),
    ],
)
def test_nothing_is_lost_when_the_service_fails_for_good(
    endpoint, tmp_path, caplog, kind, fault, pattern
):
    spill, observer = tmp_path / "spill", Observer()
    stream = recorded(
        of_kind(kind, "a", at(endpoint), spill=spill),
        [observer],
        lambda number: endpoint.fail(fault, pattern) if number == 20 else None,
    )
    assert stream.statistics().spilled
    assert f"The recording goes on in {spill}" in caplog.text
    assert [event.spill_path for event in observer.spilled] == [str(spill)]
    assert SECRET not in (spill / "aqz-spill.json").read_text() + caplog.text
    endpoint.recover()
    assert upload_spill(spill, s3=at(endpoint))[0] > 0
    assert endpoint.uploads == {}
    assert_like_undisturbed(endpoint, kind, tmp_path)


def test_store_that_never_fails_leaves_no_spill(endpoint, tmp_path):
    stream = recorded(of_kind("images", "a", at(endpoint), spill=tmp_path / "spill"))
    assert not stream.statistics().spilled
    assert list(tmp_path.iterdir()) == []
    assert_like_undisturbed(endpoint, "images", tmp_path)


def spilled(endpoint, spill, store_path="a", after=20):
    """Record a movie whose service fails for good after some frames."""
    return recorded(
        of_kind("shards", store_path, at(endpoint, retry_timeout=2.0), spill=spill),
        before=lambda number: endpoint.fail("denied", "/a") if number == after else None,
    )


def test_upload_that_is_interrupted_goes_on(endpoint, tmp_path):
    spill = tmp_path / "spill"
    spilled(endpoint, spill, after=2)
    endpoint.fail("denied", "PUT .*zarr.json")
    with pytest.raises(aqz.StorageError, match="denies access"):
        upload_spill(spill, s3=at(endpoint))
    assert main(["info", str(spill)]) == 0
    endpoint.recover()
    before = endpoint.count("PUT .*/c/")
    upload_spill(spill, s3=at(endpoint))
    assert endpoint.count("PUT .*/c/") == before > 0
    assert upload_spill(spill, s3=at(endpoint)) == (0, 0)
    assert_like_undisturbed(endpoint, "shards", tmp_path)


def test_marker_that_could_not_be_removed_goes_with_the_next_upload(endpoint, tmp_path, capsys):
    spill = tmp_path / "spill"
    spilled(endpoint, spill)
    endpoint.fail("denied", "(POST .*delete|DELETE)")
    with pytest.raises(aqz.StorageError, match="denies access"):
        upload_spill(spill, s3=at(endpoint))
    assert json.loads((spill / "aqz-spill.json").read_text())["state"] == "sent"
    assert [name for name in named(endpoint, "a") if "spill" in name]
    endpoint.recover()
    assert upload_spill(spill, s3=at(endpoint)) == (0, 0)
    assert_like_undisturbed(endpoint, "shards", tmp_path)
    with aqz.ZarrStream.resume("a", s3=at(endpoint)) as stream:
        assert stream.statistics().frames == len(PIXELS)


def extended(given, key, **options):
    """The settings of an open stream with one more array."""
    more = copy.deepcopy(given)
    more.arrays += settings("", shard=8, output_key=key, **options).arrays
    return more


def test_arrays_that_come_after_the_service_failed(endpoint, tmp_path):
    s3 = at(endpoint, retry_timeout=2.0)
    given = of_kind("images", "a", s3, spill=tmp_path / "spill", bioformats2raw=True)
    with aqz.ZarrStream(given) as stream:
        stream.append(PIXELS[:20], key="b/c")
        endpoint.fail("denied", "")
        stream.append(PIXELS[20:], key="b/c")
        stream.flush()
        assert stream.statistics().spilled
        stream.extend(extended(given, "b/d", is_ngff=True))
        stream.append(PIXELS, key="b/d")
    endpoint.recover()
    upload_spill(tmp_path / "spill", s3=at(endpoint))
    store = copied(endpoint.objects, "a", tmp_path)
    assert np.array_equal(read_by_all(store / "b" / "c" / "0"), PIXELS)
    assert np.array_equal(read_by_all(store / "b" / "d" / "0"), PIXELS)
    listed = json.loads((store / "OME" / "zarr.json").read_text())
    assert listed["attributes"]["ome"]["series"] == ["a", "b/c", "b/d"]
    assert validate_store(store).is_valid


def test_array_that_may_be_in_a_store_that_fails_is_refused(endpoint, tmp_path):
    s3 = at(endpoint, retry_timeout=2.0)
    with aqz.ZarrStream(settings("a", s3, output_key="old/x")) as stream:
        stream.append(PIXELS[:8])
    given = settings("a", s3, output_key="new/x", spill=tmp_path / "spill")
    with aqz.ZarrStream(given) as stream:
        endpoint.fail("denied", "")
        stream.append(PIXELS, key="new/x")
        stream.flush()
        with pytest.raises(aqz.StorageError, match="'old' before this stream began"):
            stream.extend(extended(given, "old/x"))
        stream.extend(extended(given, "new/y"))
        stream.append(PIXELS, key="new/y")
    endpoint.recover()
    upload_spill(tmp_path / "spill", s3=at(endpoint))
    store = copied(endpoint.objects, "a", tmp_path)
    assert np.array_equal(read_by_all(store / "old" / "x"), PIXELS[:8])
    for key in ("x", "y"):
        assert np.array_equal(read_by_all(store / "new" / key), PIXELS)


def test_spill_that_cannot_be_begun_leaves_nothing(endpoint, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "mine").mkdir()
    for name in ("mine", "new"):
        given = settings(name, at(endpoint), spill=tmp_path / name)
        with monkeypatch.context() as patch:
            patch.setattr(FilesystemSink, "write", full)
            with pytest.raises(aqz.StorageError, match="No space left"):
                aqz.ZarrStream(given)
        assert [path.name for path in tmp_path.rglob("*")] == ["mine"]
        aqz.ZarrStream(given).close()


def test_spill_is_not_mixed_into_another_recording(endpoint, tmp_path):
    spilled(endpoint, tmp_path / "spill")
    endpoint.recover()
    recorded(of_kind("shards", "a", at(endpoint), overwrite=True))
    before = dict(endpoint.objects)
    with pytest.raises(aqz.StorageError, match="removed or overwritten"):
        upload_spill(tmp_path / "spill", s3=at(endpoint))
    assert endpoint.objects == before


def test_info_tells_what_a_spill_is(endpoint, tmp_path, capsys):
    spilled(endpoint, tmp_path / "spill")
    assert main(["info", str(tmp_path / "spill")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for part in ("the spill of a in bucket bucket", "was finished", "AccessDenied", "aqz upload"):
        assert part in told
    assert main(["upload", str(tmp_path / "spill"), "--overwrite"]) == 1
    assert "leave out --overwrite" in capsys.readouterr().err


KILLED = """
import os, sys
import tests.s3.test_spill as t
from types import SimpleNamespace
def kill(number):
    if number == 38:
        os.kill(os.getpid(), 9)
given = t.of_kind("shards", "a", t.at(SimpleNamespace(endpoint=sys.argv[1])), spill=sys.argv[2])
t.recorded(given, before=kill)
"""


def test_recording_that_is_killed_after_it_spilled(endpoint, tmp_path, capsys):
    endpoint.fail("denied", "(PUT|POST) .*/a/", after=10)
    spill = tmp_path / "spill"
    process = subprocess.run(
        [sys.executable, "-c", KILLED, endpoint.endpoint, str(spill)], cwd=CHECKOUT, check=False
    )
    assert process.returncode == -9
    assert main(["info", str(spill)]) == 0
    assert "ended before it was closed" in " ".join(capsys.readouterr().out.split())
    endpoint.recover()
    upload_spill(spill, s3=at(endpoint))
    read = read_by_all(copied(endpoint.objects, "a", tmp_path))
    assert len(read) == 36  # the last flush
    assert np.array_equal(read, PIXELS[: len(read)])


def test_frames_are_counted_when_the_spill_fails_too(endpoint, tmp_path):
    spill = tmp_path / "spill"

    def fail(number):
        if number == 34:
            endpoint.fail("denied", "")
            (spill / "objects").rename(tmp_path / "elsewhere")

    message = "the spill .* failed: .*AccessDenied.*frames that were accepted, .* cannot be read"
    with pytest.raises(aqz.StorageError, match=message) as caught:
        recorded(of_kind("shards", "a", at(endpoint), spill=spill), before=fail)
    assert SECRET not in str(caught.value)


def test_log_of_frames_goes_on_behind_what_the_store_has(endpoint, tmp_path):
    given = of_kind("shards", "a", at(endpoint), spill=tmp_path / "spill")
    endpoint.objects["a/x.jsonl"] = b"old\n"
    with aqz.ZarrStream(given) as stream:
        sink = stream._session.sink
        endpoint.fail("denied", "")
        sink.append("x.jsonl", b"new\n")
        sink.append("x.jsonl", b"newer\n")
    endpoint.recover()
    upload_spill(tmp_path / "spill", s3=at(endpoint))
    assert endpoint.objects["a/x.jsonl"] == b"old\nnew\nnewer\n"


def refused(part, error=aqz.SettingsError, **options):
    with pytest.raises(error) as caught:
        aqz.ZarrStream(settings(**options))
    assert part in str(caught.value)


def test_folders_that_cannot_be_a_spill(endpoint, tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    s3 = at(endpoint)
    refused("is not empty", aqz.StoreExistsError, store_path="a", s3=s3, spill=tmp_path / "used")
    refused("does not exist", store_path="a", s3=s3, spill=tmp_path / "no" / "where")
    refused("not on this machine", store_path="a", s3=s3, spill="s3://bucket/spill")
    refused("is for object stores", store_path=tmp_path / "a", spill=tmp_path / "b")
    refused("stall_timeout", store_path="a", s3=s3, spill=tmp_path / "b", stall_timeout=5.0)
    assert (tmp_path / "used" / "file").read_text() == "mine"
    with aqz.ZarrStream(settings("a", s3, spill=tmp_path / "b")):
        refused("b", aqz.StoreBusyError, store_path="c", s3=s3, spill=tmp_path / "b")


def test_passwords_in_urls_are_not_saved():
    from aqz_core.settings.paths import without_password

    assert without_password("sftp://me:a@b@host:22/x@y") == "sftp://me@host:22/x@y"
    assert without_password("/a:b@c/d") == "/a:b@c/d"
    assert without_password("s3://bucket/a@b") == "s3://bucket/a@b"


@pytest.mark.parametrize(
    ("seconds", "told"), [(2.0, "those of the last 2 s"), (0, "shards that are not full")]
)
def test_without_a_spill_the_log_says_what_is_at_risk(endpoint, caplog, seconds, told):
    caplog.set_level("INFO", "aqz")
    aqz.ZarrStream(settings("a.zarr", at(endpoint), flush_seconds=seconds)).close()
    (line,) = [line for line in caplog.messages if "no spill is set" in line]
    assert told in line
