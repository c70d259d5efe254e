"""How fast frames reach an object store, and at what cost in processor time and memory.

    python -m benchmarks.object_store                      to a service that throws bodies away
    python -m benchmarks.object_store --endpoint URL --bucket NAME --key K --secret S

The first measures the client alone, the second both sides: a local server takes most of the
machine. Each writer runs in a process of its own, `--repeat` times, the writers in turn; the table
shows medians. Writers:

* ``aqz``: this package; ``aqz-s3fs``: with every request made by s3fs; ``aqz-flush``: with
  ``flush_seconds=2``; ``aqz-spill``: with a folder to go on in, which costs a copy of open shards
* ``acquire``: acquire-zarr 0.10.0, which works with one chunk per shard in time only
* ``zarr-python``: whole shards assigned through its fsspec store
* ``s3fs``, ``obstore``: no Zarr; the same bytes in parts of 8 MiB, eight in flight. A ceiling.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).parent.parent
PART = 8 << 20
IN_FLIGHT = 8
GIGA = 1e9


@dataclass(frozen=True)
class Case:
    """Frames and how they are cut: sizes along time, rows and columns."""

    frames: int
    rows: int
    chunk: tuple[int, int, int]
    shard: tuple[int, int, int]
    max_memory: int | None = None

    @property
    def nbytes(self) -> int:
        return self.frames * self.rows * self.rows * 2

    @property
    def object_nbytes(self) -> int:
        """Bytes of a shard."""
        chunk, shard = np.array(self.chunk), np.array(self.shard)
        return int((chunk * shard).prod()) * 2


CASES = {
    # what acquire-zarr 0.10.0 survives: each frame is a chunk, each chunk a shard
    "frame": Case(1000, 1024, (1, 1024, 1024), (1, 1, 1)),
    "shard64": Case(1000, 1024, (8, 512, 512), (4, 2, 2)),
    "open64": Case(320, 2048, (1, 256, 256), (80, 1, 1), max_memory=768 << 20),
}
WRITERS = ("aqz", "aqz-s3fs", "aqz-flush", "aqz-spill", "acquire", "zarr-python", "s3fs", "obstore")
SKIPPED = {("acquire", "shard64"), ("acquire", "open64"), ("zarr-python", "open64")}


@dataclass(frozen=True)
class Place:
    """A bucket."""

    endpoint: str
    bucket: str
    key: str
    secret: str


def record(
    module: str,
    case: Case,
    place: Place,
    frames: np.ndarray,
    spill: str | None = None,
    flush_seconds: float | None = None,
) -> None:
    """Record with aqz or with acquire-zarr, which share a vocabulary."""
    aqz = importlib.import_module(module)
    sizes = zip("tyx", (0, case.rows, case.rows), case.chunk, case.shard, strict=True)
    dimensions = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
            array_size_px=size,
            chunk_size_px=chunk,
            shard_size_chunks=shard,
        )
        for name, size, chunk, shard in sizes
    ]
    array = aqz.ArraySettings(dimensions=dimensions, data_type=aqz.DataType.UINT16)
    s3 = aqz.S3Settings(endpoint=place.endpoint, bucket_name=place.bucket, region="us-east-1")
    more = {"max_memory": case.max_memory} if module == "aqz_core" and case.max_memory else {}
    more |= {"spill": spill} if spill else {}
    more |= {"flush_seconds": flush_seconds} if flush_seconds else {}
    settings = aqz.StreamSettings(
        store_path=f"{uuid.uuid4().hex}.zarr", s3=s3, arrays=[array], **more
    )
    stream = aqz.ZarrStream(settings)
    for number in range(case.frames):
        stream.append(frames[number % len(frames)])
    stream.close()


def record_with_spill(case: Case, place: Place, frames: np.ndarray) -> None:
    """Record with aqz, a folder of the working directory at hand."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        record("aqz_core", case, place, frames, spill=str(Path(folder) / "spill"))


def record_through_s3fs(case: Case, place: Place, frames: np.ndarray) -> None:
    """Record with aqz, every request made by s3fs."""
    from aqz_core.storage.objects import fast_s3_service

    never = property(lambda _: False)
    fast_s3_service.SignedRequests.ready = never  # type: ignore[assignment]
    record("aqz_core", case, place, frames)


def assign(case: Case, place: Place, frames: np.ndarray) -> None:
    """Write whole shards with zarr-python."""
    import zarr

    shard = tuple(int(n) for n in np.array(case.chunk) * case.shard)
    array = zarr.create_array(
        f"s3://{place.bucket}/{uuid.uuid4().hex}.zarr",
        shape=(case.frames, case.rows, case.rows),
        chunks=case.chunk,
        shards=None if shard == case.chunk else shard,
        dtype="uint16",
        compressors=None,
        storage_options={
            "endpoint_url": place.endpoint,
            "config_kwargs": {
                "s3": {"payload_signing_enabled": False},
                "request_checksum_calculation": "when_required",
            },
        },
    )
    for first in range(0, case.frames, shard[0]):
        stop = min(first + shard[0], case.frames)
        array[first:stop] = np.take(frames, range(first, stop), axis=0, mode="wrap")


def upload_s3fs(case: Case, place: Place, frames: np.ndarray) -> None:
    """Upload the bytes of the frames with s3fs, as fast as it goes."""
    import s3fs

    async def upload() -> None:
        filesystem = s3fs.S3FileSystem(
            asynchronous=True,
            skip_instance_cache=True,
            endpoint_url=place.endpoint,
            config_kwargs={
                "s3": {"payload_signing_enabled": False, "addressing_style": "path"},
                "request_checksum_calculation": "when_required",
                "max_pool_connections": 2 * IN_FLIGHT,
            },
        )
        client = await filesystem.set_session()
        body = bytes(frames.tobytes()[:PART])
        if case.object_nbytes <= PART:
            body = body[: case.object_nbytes]
        sending = asyncio.Semaphore(IN_FLIGHT)
        root = uuid.uuid4().hex

        async def put(number: int) -> None:
            async with sending:
                await client.put_object(Bucket=place.bucket, Key=f"{root}/{number}", Body=body)

        await asyncio.gather(*(put(n) for n in range(case.nbytes // len(body))))
        await filesystem._s3creator.__aexit__(None, None, None)

    asyncio.run(upload())


def upload_obstore(case: Case, place: Place, frames: np.ndarray) -> None:
    """Upload the bytes of the frames with obstore."""
    import obstore
    from obstore.store import S3Store

    async def upload() -> None:
        store = S3Store(
            place.bucket,
            endpoint=place.endpoint,
            access_key_id=place.key,
            secret_access_key=place.secret,
            region="us-east-1",
            unsigned_payload=True,
            client_options={"allow_http": True},
        )
        body = frames.tobytes()[: min(PART, case.object_nbytes)]
        sending = asyncio.Semaphore(IN_FLIGHT)
        root = uuid.uuid4().hex

        async def put(number: int) -> None:
            async with sending:
                await obstore.put_async(store, f"{root}/{number}", body, use_multipart=False)

        await asyncio.gather(*(put(n) for n in range(case.nbytes // len(body))))

    asyncio.run(upload())


def run_one(writer: str, case_name: str, place: Place) -> dict[str, float]:
    """Run one writer in this process; return its figures."""
    case = CASES[case_name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": place.key,
        "AWS_SECRET_ACCESS_KEY": place.secret,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    write: Any = {
        "aqz": lambda *a: record("aqz_core", *a),
        "aqz-s3fs": record_through_s3fs,
        "aqz-flush": lambda *a: record("aqz_core", *a, flush_seconds=2.0),
        "aqz-spill": record_with_spill,
        "acquire": lambda *a: record("acquire_zarr", *a),
        "zarr-python": assign,
        "s3fs": upload_s3fs,
        "obstore": upload_obstore,
    }[writer]
    shape = (16, case.rows, case.rows)
    frames = np.random.default_rng(0).integers(0, 65535, shape, np.uint16)
    if writer.startswith("aqz"):  # imports are no part of recording
        importlib.import_module("aqz_core")
        importlib.import_module("aqz_core.storage.objects.fast_s3_service")
    begun, used = time.perf_counter(), time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write(case, place, frames)
    seconds, processor = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "gb_per_s": case.nbytes / GIGA / seconds,
        "cpu_s_per_gb": processor / (case.nbytes / GIGA),
        "peak_mib": peak / 1024,
        "grown_mib": (peak - before) / 1024,
    }


@contextlib.contextmanager
def discarding_service():
    """Run the service that throws bodies away."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3.fault_endpoint", str(port)], cwd=CHECKOUT
    )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield Place(f"http://127.0.0.1:{port}", "bucket", "key", "secret")
    finally:
        process.terminate()
        process.wait()


def in_process(writer: str, case: str, place: Place) -> dict[str, float] | str:
    """Run one writer in a process of its own; return its figures, or how it ended."""
    given = [option for name, value in asdict(place).items() for option in (f"--{name}", value)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.object_store", "--run", writer, case, *given],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if run.returncode:
        return f"exit {run.returncode}: {run.stderr.strip()[-200:]}"
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


def compare(place: Place, cases: list[str], writers: list[str], repeat: int) -> None:
    """Run the writers in turn and print a table."""
    print("| case | writer | GB/s | CPU-s/GB | peak RSS MiB | of it while writing |")
    print("|---|---|---|---|---|---|")
    for case in cases:
        chosen = [writer for writer in writers if (writer, case) not in SKIPPED]
        results: dict[str, list[Any]] = {writer: [] for writer in chosen}
        for _ in range(repeat):
            for writer in chosen:
                results[writer].append(in_process(writer, case, place))
        for writer, runs in results.items():
            failed = [run for run in runs if isinstance(run, str)]
            if failed:
                print(f"| {case} | {writer} | {failed[0]} |")
                continue
            medians = [statistics.median(run[name] for run in runs) for name in runs[0]]
            print(
                f"| {case} | {writer} | {medians[0]:.2f} | {medians[1]:.2f} | "
                f"{medians[2]:.0f} | {medians[3]:.0f} |",
                flush=True,
            )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", nargs=2, metavar=("WRITER", "CASE"), help=argparse.SUPPRESS)
    parser.add_argument("--endpoint")
    parser.add_argument("--bucket", default="bucket")
    parser.add_argument("--key", default="key")
    parser.add_argument("--secret", default="secret")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--writer", action="append", choices=WRITERS)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    place = Place(given.endpoint, given.bucket, given.key, given.secret)
    if given.run:
        print(json.dumps(run_one(*given.run, place)))
        return
    chosen = given.case or list(CASES), given.writer or list(WRITERS), given.repeat
    if given.endpoint:
        compare(place, *chosen)
        return
    with discarding_service() as service:
        compare(service, *chosen)


if __name__ == "__main__":
    main()
