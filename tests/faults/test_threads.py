"""Many threads on one stream."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


COLLECTED = """
import gc, sys, threading, time
import numpy as np
import aqz_core as aqz
from tests.faults.test_threads import array

class Finalized:
    def __del__(self):
        time.sleep(0)  # lets other threads run

def litter():
    while True:
        one = Finalized()
        one.itself = one
        time.sleep(0.0005)

def produce():
    for number in range(200):
        stream.append(np.full((16, 16), number, "uint16"))

gc.set_threshold(5)
threading.Thread(target=litter, daemon=True).start()
settings = aqz.StreamSettings(store_path=sys.argv[1], arrays=[array("one")], durability="none")
with aqz.ZarrStream(settings) as stream:
    threads = [threading.Thread(target=produce) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_wait_for_each_other_outlive_the_collection_of_garbage(tmp_path):
    """Looking whether one is still at it once stopped the whole process for ever."""
    program = COLLECTED.replace("THREADS", str(THREADS))
    command = [sys.executable, "-c", program, str(tmp_path / "s")]
    subprocess.run(command, check=True, timeout=60, cwd=Path(__file__).parents[2])
    assert len(read_with_zarr_python(tmp_path / "s", "one")) == 200 * THREADS
