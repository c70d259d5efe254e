"""Transcoding with processes that are killed: the same pixels at the end, every shard right.

Slow because workers of Dask are processes that import everything anew: one cluster for all tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import aqz_core as aqz
from aqz_core.transcoding import execution

distributed = pytest.importorskip("distributed")

PIXELS = (np.arange(10 * 64 * 64) % 50_000).astype(np.uint16).reshape(10, 64, 64)
OPTIONS = {"chunks": (1, 32, 32), "shards": (1, 2, 2), "pyramid": "mean"}

CLIENT = """
import sys
import aqz_core as aqz
from aqz_core.transcoding import execution

def tell(progress):
    print(progress.done, flush=True)
    if progress.done == 4:
        sys.stdin.readline()  # to be killed here

if __name__ == "__main__":
    aqz.transcode(
        *sys.argv[1:3], chunks=(1, 32, 32), shards=(1, 2, 2), pyramid="mean", threads=1,
        on_progress=tell,
    )
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "a.npy"
    np.save(path, PIXELS)
    return path


@pytest.fixture(scope="module")
def expected(source):
    made = source.parent / "expected.zarr"
    aqz.transcode(source, made, **OPTIONS)
    return content_of(made)


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as found:
        yield found


def content_of(store):
    """Return every file of a store with its bytes, but for the version in the metadata."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def test_a_client_that_was_killed_leaves_what_the_next_one_finishes(tmp_path, source, expected):
    made = tmp_path / "made.zarr"
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(source), str(made)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert "4\n" in iter(client.stdout.readline, "")
        client.kill()
    assert not (made / "zarr.json").exists()
    stored = [path for path in (made / "0" / "c").rglob("*") if path.is_file()]
    whole = [path for path in stored if path.suffix != ".aqz-partial"]
    assert all(path.read_bytes() == expected[str(path.relative_to(made))] for path in whole)
    aqz.transcode(source, made, **OPTIONS)
    assert content_of(made) == expected


@pytest.mark.filterwarnings("ignore")  # of Dask, about itself, when workers go
def test_a_worker_that_is_killed_is_replaced(tmp_path, source, expected, cluster):
    made = tmp_path / "made.zarr"
    killed = threading.Event()

    def kill(progress):
        if progress.done >= 3 and not killed.is_set():
            killed.set()
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    address = cluster.scheduler_address
    report = aqz.transcode(source, made, **OPTIONS, scheduler=address, on_progress=kill)
    assert killed.is_set()
    assert report.tasks == report.plan.tasks
    assert content_of(made) == expected


def test_a_disk_that_is_full_ends_it_and_the_same_call_resumes(
    tmp_path, source, expected, monkeypatch
):
    from aqz_core.storage import filesystem

    made = tmp_path / "made.zarr"
    write, left = filesystem._write_file, [5]

    def fails(path, *arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(path, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(filesystem, "_write_file", fails)
        with pytest.raises(aqz.StorageError, match="the same call makes the rest"):
            aqz.transcode(source, made, **OPTIONS, threads=1)
    assert not (made / "zarr.json").exists()
    aqz.transcode(source, made, **OPTIONS)
    assert content_of(made) == expected


@pytest.fixture
def scheduler():
    """A scheduler of Dask in a process of its own, without workers: process and address."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            lines = iter(process.stderr.readline, "")
            address = next(line.split()[-1] for line in lines if "Scheduler at:" in line)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield process, address
        finally:
            process.kill()


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_without_workers_is_not_waited_for(tmp_path, source, scheduler, monkeypatch):
    monkeypatch.setattr(execution, "_PATIENCE", 1)
    _, address = scheduler
    with pytest.raises(aqz.SettingsError, match=f"no workers .* `dask worker {address}`"):
        aqz.transcode(source, tmp_path / "made.zarr", **OPTIONS, scheduler=address)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_named(tmp_path, source, monkeypatch):
    monkeypatch.setattr(execution, "_PATIENCE", 1)
    with pytest.raises(aqz.SettingsError, match=r"no Dask scheduler answers at .*:9'"):
        aqz.transcode(source, tmp_path / "m.zarr", **OPTIONS, scheduler="tcp://127.0.0.1:9")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", ["scheduler", "worker"])
def test_a_cluster_that_is_gone_ends_it_and_the_same_call_resumes(
    tmp_path, source, expected, scheduler, monkeypatch, what
):
    process, address = scheduler
    made = tmp_path / "made.zarr"
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
    with subprocess.Popen(
        [*command, "--nthreads", "1", "--no-dashboard"], stderr=subprocess.DEVNULL, cwd=tmp_path
    ) as worker:
        victim = process if what == "scheduler" else worker

        def kill(progress):
            if progress.done >= 3:
                victim.kill()

        monkeypatch.setattr(execution, "_PATIENCE", 10)
        try:
            with pytest.raises(aqz.StorageError, match="the same call makes the rest"):
                aqz.transcode(source, made, **OPTIONS, scheduler=address, on_progress=kill)
        finally:
            worker.kill()
    aqz.transcode(source, made, **OPTIONS)
    assert content_of(made) == expected
