"""What a recording to an object store takes of the machine's memory."""

from __future__ import annotations

from tests.s3.fault_endpoint import running
from tests.support.memory_probe import probe_memory

MIB = 1 << 20


def test_max_memory_bounds_the_process_with_64_shards_open_at_once():
    budget = 640 * MIB
    with running(discard=True) as service:
        s3 = {"endpoint": service.endpoint, "bucket_name": "bucket", "key": "id", "secret": "no"}
        used = probe_memory(
            {
                "store": "a.zarr",
                "s3": s3,
                "codec": "none",
                "pyramid": None,
                "shape": (1024, 1024),
                "frames": 400,  # 800 MiB
                "chunks": (1, 128, 128),
                "shards": (320, 1, 1),  # 10 MiB: two parts
                "max_memory": budget,
            }
        )
        assert service.count("PUT .*partNumber=2") >= 64  # more where a slow machine flushes
    assert used["bound"] == budget
    assert used["above"] <= budget
