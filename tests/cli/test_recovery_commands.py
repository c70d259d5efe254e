"""``aqz validate`` and ``aqz repair`` on the command line."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.cli import main


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "s"
    with aqz.open_stream(path, shape=(0, 8, 8), dtype="uint8", compression="none") as stream:
        for number in range(3):
            stream.append(np.full((8, 8), number, "uint8"))
    return path


def interrupt(store):
    """Put a store into the state in which a killed recording leaves it."""
    group = json.loads((store / "zarr.json").read_text())
    group["attributes"]["aqz"]["state"] = "recording"
    (store / "zarr.json").write_text(json.dumps(group))
    array = json.loads((store / "0" / "zarr.json").read_text())
    array["codecs"][0]["configuration"]["index_location"] = "start"
    (store / "0" / "zarr.json").write_text(json.dumps(array))


def test_a_good_store(store, capsys):
    assert main(["validate", str(store)]) == 0
    said = capsys.readouterr().out
    assert "no damage was found" in said
    assert "state: complete" in said
    assert main(["repair", str(store)]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_damaged_store(store, capsys):
    shard = next(path for path in (store / "0" / "c").rglob("*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    assert main(["validate", str(store)]) == 1
    assert "checksum" in capsys.readouterr().out
    assert main(["validate", "--json", str(store)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["valid"] is False
    assert report["findings"][0]["severity"] == "error"
    assert main(["repair", "--apply", str(store)]) == 0
    assert main(["validate", str(store)]) == 0


def test_repair_changes_nothing_unless_told_to(store, capsys):
    interrupt(store)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    assert main(["repair", str(store)]) == 0
    assert "--apply" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before
    assert main(["repair", "--apply", "--json", str(store)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["applied"] is True
    assert report["actions"]
    assert main(["validate", "--json", str(store)]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "interrupted"


def test_what_is_no_directory(tmp_path, capsys):
    assert main(["validate", str(tmp_path / "nothing")]) == 1
    assert "no such directory" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="needs a file system that can be mounted read-only")
def test_a_repair_on_a_read_only_disk_is_one_line(store, capsys):
    interrupt(store)
    mounts = [
        ["mount", "--bind", str(store.parent), str(store.parent)],
        ["mount", "-o", "remount,bind,ro", str(store.parent)],
    ]
    runs = [subprocess.run(command, capture_output=True, check=False) for command in mounts]
    try:
        if any(run.returncode for run in runs):
            pytest.skip(f"nothing can be mounted here: {runs[0].stderr.decode().strip()}")
        assert main(["repair", str(store), "--apply"]) == 1
        told = capsys.readouterr().err
        assert "aqz: error: " in told
        assert "Read-only file system" in told
        assert "Traceback" not in told
        with pytest.raises(aqz.AqzError, match=r"Read-only file system|no permission to write"):
            aqz.ZarrStream.resume(store)
    finally:
        if runs[0].returncode == 0:
            subprocess.run(["umount", "-l", str(store.parent)], check=True)
    assert main(["repair", str(store), "--apply"]) == 0
