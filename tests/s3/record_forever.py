"""A process that records until it is killed.

Its arguments are a bucket's four fields and, if it shall flush, after how many frames each time.
It prints a line for every frame, so that others know how far it is.
"""

from __future__ import annotations

import itertools
import sys

import aqz_core as aqz
from tests.s3.streams import frames, settings

COUNT = 1000
MEMORY = 64 << 20
"""Little, so that frames cannot be far ahead of the store."""


def main() -> None:
    endpoint, name, key, secret, *others = sys.argv[1:]
    flush = int(others[0]) if others else 0
    s3 = aqz.S3Settings(
        endpoint=endpoint, bucket_name=name, key=key, secret=secret, region="us-east-1"
    )
    pixels = frames(32)
    with aqz.ZarrStream(settings("a.zarr", s3, shard=8, max_memory=MEMORY)) as stream:
        for number, frame in enumerate(itertools.islice(itertools.cycle(pixels), COUNT)):
            stream.append(frame)
            if flush and (number + 1) % flush == 0:
                stream.flush()
            print(number, flush=True)


if __name__ == "__main__":
    main()
