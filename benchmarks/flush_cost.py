"""What `flush_seconds` costs in a bucket: requests and bytes of an hour, by the rate of frames.

An hour of frames is recorded as fast as it goes into a service that throws bodies away, with a
flush wherever the clock would have made one. At 100 frames/s it is a part of an hour.

    python -m benchmarks.flush_cost
"""

from __future__ import annotations

import argparse

import numpy as np

import aqz_core as aqz
from tests.s3.fault_endpoint import running

FRAME = (1024, 1024)
SHARD_FRAMES = 32
HOUR = 3600.0


def settings(endpoint):
    """A movie of 2 MiB frames in shards of 64 MiB, two frames a chunk."""
    sizes = [("t", 0, 2, SHARD_FRAMES // 2), ("y", FRAME[0], 512, 2), ("x", FRAME[1], 512, 2)]
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
    s3 = aqz.S3Settings(endpoint=endpoint.endpoint, bucket_name="bucket", key="id", secret="no")
    array = aqz.ArraySettings(dimensions=dimensions, data_type=np.uint16)
    return aqz.StreamSettings(store_path="a.zarr", s3=s3, arrays=[array], flush_seconds=0)


def cost(rate, seconds, frames):
    """Record; return requests, bytes sent and bytes copied in the service, for an hour."""
    every = max(1, round(rate * seconds)) if seconds else 0
    flushes = every and every < SHARD_FRAMES
    pixels = np.random.default_rng(0).integers(0, 65535, FRAME, np.uint16)
    with running(discard=True) as endpoint:
        with aqz.ZarrStream(settings(endpoint)) as stream:
            for number in range(frames):
                stream.append(pixels)
                if flushes and (number + 1) % every == 0:
                    stream.flush()
        scale = rate * HOUR / frames
        state = endpoint.state
        return (len(state.requests) * scale, state.received * scale, state.copied * scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0, 10, 2])
    chosen = parser.parse_args()
    print("| rate | flush_seconds | requests/h | GB sent/h | GB copied/h |")
    for name, rate, frames in (
        ("1 in 5 min", 1 / 300, 12),
        ("1/s", 1.0, 3600),
        ("100/s", 100, 640),
    ):
        for seconds in chosen.seconds:
            requests, sent, copied = cost(rate, seconds, frames)
            told = seconds or "never"
            print(f"| {name} | {told} | {requests:.0f} | {sent / 1e9:.2f} | {copied / 1e9:.2f} |")


if __name__ == "__main__":
    main()
