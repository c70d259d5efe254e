"""Many threads on one stream."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import aqz_core as aqz
from tests.support.decoders import read_with_zarr_python

THREADS, EACH = 8, 12


def array(key):
    return aqz.ArraySettings(
        output_key=key,
        data_type=np.uint16,
        dimensions=[
            aqz.Dimension(name="t", kind=aqz.DimensionType.TIME, chunk_size_px=2),
            aqz.Dimension(name="y", array_size_px=16, chunk_size_px=8),
            aqz.Dimension(name="x", array_size_px=16, chunk_size_px=8),
        ],
    )


def test_threads_with_an_array_each(tmp_path):
    keys = [f"a{number}" for number in range(THREADS)]
    arrays = [array(key) for key in keys]
    with aqz.ZarrStream(aqz.StreamSettings(store_path=tmp_path / "s", arrays=arrays)) as stream:

        def produce(key):
            for number in range(EACH):
                stream.append(np.full((16, 16), number + 1, "uint16"), key)
                if number % 5 == 0:
                    stream.flush(key)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(produce, keys))
    for key in keys:
        pixels = read_with_zarr_python(tmp_path / "s", key)
        assert (pixels == np.arange(1, EACH + 1)[:, None, None]).all()


def test_threads_with_one_array(tmp_path):
    """Frames of one thread keep their order; none is torn or lost."""
    settings = aqz.StreamSettings(store_path=tmp_path / "s", arrays=[array("one")])
    with aqz.ZarrStream(settings) as stream:

        def produce(thread):
            for number in range(EACH):
                stream.append(np.full((16, 16), thread * EACH + number + 1, "uint16"))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(produce, range(THREADS)))
    pixels = read_with_zarr_python(tmp_path / "s", "one")
    assert (pixels == pixels[:, :1, :1]).all()
    order = pixels[:, 0, 0].astype(int) - 1
    assert sorted(order) == list(range(THREADS * EACH))
    for thread in range(THREADS):
        mine = [number for number in order if number // EACH == thread]
        assert mine == sorted(mine)
