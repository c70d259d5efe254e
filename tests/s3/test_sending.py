"""A store that was recorded here is sent to an object store."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.cli import main
from aqz_core.storage.memory import MemorySink
from aqz_core.upload import upload_store
from tests.s3.streams import frames, recorded, settings
from tests.s3.test_recording import with_zarr

PIXELS = frames(40)


@pytest.fixture
def store(tmp_path):
    """A finished store; its shards are longer than a part."""
    recorded(PIXELS, str(tmp_path / "a.zarr"), shard=8)
    return tmp_path / "a.zarr"


def test_upload_to_a_bucket(store, bucket, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    destination = f"s3://{bucket.name}/sent.zarr"
    arguments = ["upload", str(store), destination, "--endpoint", bucket.endpoint]
    assert main(arguments) == 0
    assert "3 files" in capsys.readouterr().out
    assert np.array_equal(with_zarr(bucket, "sent.zarr"), PIXELS)
    assert bucket.uploads() == []
    assert main(arguments) == 1
    refused = capsys.readouterr().err
    assert "there is something at" in refused
    assert "--overwrite" in refused
    assert main([*arguments, "--overwrite"]) == 0


def test_upload_to_memory(store):
    try:
        upload_store(store, "memory://aqz-test/sent.zarr")
        read = zarr.open_array("memory://aqz-test/sent.zarr", mode="r")[...]
        assert np.array_equal(read, PIXELS)
    finally:
        fsspec.filesystem("memory").rm("/aqz-test", recursive=True)


def test_a_command_sends_nothing_to_its_own_memory(store, capsys):
    assert main(["upload", str(store), "memory://aqz-test/sent.zarr"]) == 1
    assert "would be gone when it ends" in capsys.readouterr().err


def test_upload_of_a_recording_that_was_killed(store, tmp_path, caplog):
    metadata = store / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"complete"', '"recording"'))
    assert main(["upload", str(store), f"local://{tmp_path}/sent.zarr"]) == 0
    assert f"`aqz repair {store} --apply`" in caplog.text
    caplog.clear()
    assert main(["repair", str(store), "--apply"]) == 0
    assert main(["upload", str(store), f"local://{tmp_path}/again.zarr"]) == 0
    assert not caplog.text


def test_upload_of_what_is_no_store(tmp_path, capsys):
    assert main(["upload", str(tmp_path), f"local://{tmp_path}/sent.zarr"]) == 1
    assert "not a Zarr store" in capsys.readouterr().err


def test_upload_of_a_store_that_is_recorded(tmp_path, capsys):
    with aqz.ZarrStream(settings(str(tmp_path / "a.zarr"))) as stream:
        stream.append(PIXELS[0])
        assert main(["upload", str(tmp_path / "a.zarr"), f"local://{tmp_path}/sent.zarr"]) == 1
    assert "being recorded" in capsys.readouterr().err


def test_upload_to_this_machine(store, tmp_path, capsys):
    assert main(["upload", str(store), str(tmp_path / "b.zarr")]) == 1
    assert "copy the directory" in capsys.readouterr().err


class Kept(MemorySink):
    """A place of a plug-in."""

    def __init__(self):
        super().__init__("kept://place")

    @aqz.hookimpl
    def aqz_sinks(self):
        return aqz.SinkProvider(schemes=("kept",), open=lambda url, settings: self)


def test_upload_to_the_place_of_a_plug_in(store):
    kept = Kept()
    files, _ = aqz.upload_store(store, "kept://place", plugins=[kept])
    assert files == 3
    assert kept.read("zarr.json") == (store / "zarr.json").read_bytes()
