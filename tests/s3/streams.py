"""Small recordings for the tests of object stores."""

from __future__ import annotations

import numpy as np

import aqz_core as aqz

__all__ = ["FRAME", "frames", "recorded", "settings"]

FRAME = (512, 512)


def frames(count, seed=0):
    """Noise, so that nothing compresses and every part is full."""
    return np.random.default_rng(seed).integers(0, 65535, (count, *FRAME), np.uint16)


def settings(store_path, s3=None, *, chunk=4, shard=4, compression=None, **options):
    """Settings of a movie; a frame is 0.5 MiB, a shard of 4 chunks of 4 frames 8 MiB."""
    sizes = [("t", 0, chunk, shard), ("y", FRAME[0], 256, 2), ("x", FRAME[1], 256, 2)]
    array = {
        name: options.pop(name)
        for name in ("downsampling_method", "output_key", "is_ngff")
        if name in options
    }
    return aqz.StreamSettings(
        store_path=store_path,
        s3=s3,
        arrays=[
            aqz.ArraySettings(
                dimensions=[
                    aqz.Dimension(
                        name=name,
                        kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
                        array_size_px=size,
                        chunk_size_px=chunk_px,
                        shard_size_chunks=shard_chunks,
                    )
                    for name, size, chunk_px, shard_chunks in sizes
                ],
                data_type=np.uint16,
                compression=compression,
                **array,
            )
        ],
        **options,
    )


def recorded(pixels, *arguments, **options):
    """Record a movie from beginning to end."""
    with aqz.ZarrStream(settings(*arguments, **options)) as stream:
        for frame in pixels:
            stream.append(frame)
