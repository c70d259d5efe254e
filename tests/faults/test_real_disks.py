"""Real file systems that run full or turn read-only: needs root, and a kernel that mounts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.errors import StorageError
from aqz_core.recovery import validate_store
from tests.faults.recordings import goes_on, pixels, right_frames, settings
from tests.support.finished import read_json

SIZE = 1 << 20


def mounted(kind, folder):
    """Mount a file system of `SIZE` bytes, or skip the test where that cannot be."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if kind == "ext4":
        image = folder.with_suffix(".img")
        image.write_bytes(bytes(4 * SIZE))
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("there is no mkfs.ext4")
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    run = subprocess.run(command, capture_output=True, check=False)
    if run.returncode:
        pytest.skip(f"nothing can be mounted here: {run.stderr.decode().strip()}")


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request, tmp_path):
    folder = tmp_path / "disk"
    mounted(request.param, folder)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def record_until_it_fails(stream):
    """Append, flushing now and then, until an error comes; return the frames flushed."""
    flushed = 0
    try:
        for number, frame in enumerate(pixels(), 1):
            stream.append(frame)
            if number % 4 == 0:
                stream.flush()
                flushed = number
    except StorageError:
        return flushed, True
    return flushed, False


def remount(folder):
    """Make a file system read-only, as soon as nobody has a file open for writing."""
    deadline = monotonic() + 10
    command = ["mount", "-o", "remount,ro", str(folder)]
    while (run := subprocess.run(command, capture_output=True, check=False)).returncode:
        held = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.exists()]
        held = [path for path in held if path.startswith(str(folder))]
        assert monotonic() < deadline, (run.stderr, held)


def fill(folder, leave, name="ballast"):
    """Take the room of a file system but for some bytes."""
    free = shutil.disk_usage(folder).free
    with (folder / name).open("wb") as file:
        file.write(bytes(max(0, free - leave)))
        file.flush()
        os.fsync(file.fileno())


def test_a_full_disk(disk):
    store = disk / "s"
    stream = aqz.ZarrStream(settings(str(store)))
    fill(disk, leave=40_000)
    begun = monotonic()
    flushed, failed = record_until_it_fails(stream)
    assert failed
    with pytest.raises(StorageError, match="No space left"):
        stream.close()
    assert monotonic() - begun < 30
    assert right_frames(store) >= flushed
    (disk / "ballast").unlink()
    assert goes_on(store) >= flushed
    assert validate_store(store).state == "complete"


def test_a_full_disk_is_told_in_frames_and_can_be_emptied(disk):
    store = disk / "s"
    stream = aqz.ZarrStream(settings(str(store)))
    fill(disk, leave=40_000)
    record_until_it_fails(stream)
    with pytest.raises(StorageError, match="No space left") as caught:
        stream.close()
    told = re.search(r"Of the (\d+) frames that were accepted, (\d+) cannot", str(caught.value))
    assert told
    taken, lost = map(int, told.groups())
    assert read_json(store / "img/0/zarr.json")["shape"][0] == taken - lost
    fill(disk, leave=0, name="more")
    again = settings(str(store))
    again.overwrite = True
    with aqz.ZarrStream(again) as stream:
        stream.append(pixels()[:2])
    assert np.array_equal(aqz.ZarrArrayReader(store / "img" / "0").read_plane(1), pixels()[1])


def test_a_disk_that_turns_read_only(disk):
    store = disk / "s"
    stream = aqz.ZarrStream(settings(str(store)))
    try:
        stream.append(pixels()[0])
        stream.flush()
        remount(disk)
        _, failed = record_until_it_fails(stream)
        assert failed
    finally:
        with pytest.raises(StorageError, match="Read-only"):
            stream.close()
    assert np.array_equal(aqz.ZarrArrayReader(store / "img" / "0").read_plane(0), pixels()[0])
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert goes_on(store) >= 1
