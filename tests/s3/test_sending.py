"""A store that was recorded here is sent to an object store."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.cli import main
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
    assert "there is something at" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_upload_to_memory(store):
    try:
        assert main(["upload", str(store), "memory://aqz-test/sent.zarr"]) == 0
        read = zarr.open_array("memory://aqz-test/sent.zarr", mode="r")[...]
        assert np.array_equal(read, PIXELS)
    finally:
        fsspec.filesystem("memory").rm("/aqz-test", recursive=True)


def test_upload_of_what_is_no_store(tmp_path, capsys):
    assert main(["upload", str(tmp_path), "memory://aqz-test/sent.zarr"]) == 1
    assert "no Zarr store" in capsys.readouterr().err


def test_upload_of_a_store_that_is_recorded(tmp_path, capsys):
    with aqz.ZarrStream(settings(str(tmp_path / "a.zarr"))) as stream:
        stream.append(PIXELS[0])
        assert main(["upload", str(tmp_path / "a.zarr"), "memory://aqz-test/sent.zarr"]) == 1
    assert "being recorded" in capsys.readouterr().err


def test_upload_to_this_machine(store, tmp_path, capsys):
    assert main(["upload", str(store), str(tmp_path / "b.zarr")]) == 1
    assert "copy the directory" in capsys.readouterr().err
