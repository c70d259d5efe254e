"""Into a bucket: ``python examples/object_store.py ENDPOINT BUCKET [REGION]``.

Credentials come from the environment (``AWS_ACCESS_KEY_ID`` ...), the AWS configuration files or
the role of the machine.
"""

from __future__ import annotations

import sys

import numpy as np

import aqz_core as aqz


def settings(endpoint: str, bucket: str, region: str | None = None) -> aqz.StreamSettings:
    """Describe a recording below ``recordings/first.zarr`` of a bucket."""
    stream = aqz.StreamSettings(
        store_path="recordings/first.zarr",
        arrays=[
            aqz.ArraySettings(
                output_key="image",
                data_type=np.uint16,
                dimensions=[
                    aqz.Dimension(
                        name="t",
                        kind=aqz.DimensionType.TIME,
                        chunk_size_px=4,
                        shard_size_chunks=4,
                    ),
                    aqz.Dimension(name="y", array_size_px=64, chunk_size_px=64),
                    aqz.Dimension(name="x", array_size_px=64, chunk_size_px=64),
                ],
            )
        ],
    )
    stream.s3 = aqz.S3Settings(endpoint=endpoint, bucket_name=bucket, region=region)
    return stream


def main(*place: str) -> None:
    """Record twenty frames."""
    with aqz.ZarrStream(settings(*place)) as stream:
        stream.append(np.zeros((20, 64, 64), np.uint16))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python examples/object_store.py ENDPOINT BUCKET [REGION]")
    main(*sys.argv[1:])
