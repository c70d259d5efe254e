"""What a flush shows of shards that are not full, and that it leaves no trace in the end."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core import S3Settings
from tests.s3.fault_endpoint import running
from tests.s3.test_sudden_ends import CHECKOUT

ZSTD = aqz.CompressionSettings(
    compressor=aqz.Compressor.ZSTD, codec=aqz.CompressionCodec.ZSTD, level=1, shuffle=0
)
LAYOUTS = {  # shape of a frame, planes a chunk, chunks a shard along t
    "parts below 5 MiB": ((16, 16), 4, 4, {}),
    "a frame a chunk": ((16, 16), 1, 5, {}),
    "compressed": ((64, 64), 4, 2, {"compression": ZSTD}),
    "several parts": ((512, 512), 3, 10, {}),
    "chunks larger than a part": ((1024, 1024), 8, 2, {}),
    "pyramid": ((64, 64), 2, 4, {"downsampling_method": aqz.DownsamplingMethod.MEAN}),
    "no shards": ((64, 64), 4, None, {}),
}


def at(endpoint, **options):
    given = {"bucket_name": "bucket", "key": "id", "secret": "s", "retry_timeout": 5.0}
    return S3Settings(endpoint=getattr(endpoint, "endpoint", endpoint), **{**given, **options})


def movie(place, layout, s3=None, **options):
    """Settings of a movie."""
    shape, planes, shard, array = LAYOUTS[layout]
    pixels = [max(16, size // 2) for size in shape]
    across = shard and -(-shape[0] // pixels[0])
    sizes = [
        ("t", 0, planes, shard),
        ("y", shape[0], pixels[0], across),
        ("x", shape[1], pixels[1], across),
    ]
    dimensions = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
            array_size_px=size,
            chunk_size_px=chunk,
            shard_size_chunks=count,
        )
        for name, size, chunk, count in sizes
    ]
    arrays = [aqz.ArraySettings(dimensions=dimensions, data_type=np.uint16, **array)]
    return aqz.StreamSettings(store_path=place, s3=s3, arrays=arrays, **options)


def frame(number, layout):
    """Noise that knows its number."""
    shape = LAYOUTS[layout][0]
    pixels = np.random.default_rng(number).integers(0, 65535, shape, np.uint16)
    pixels[0, 0] = number
    return pixels


def read(endpoint, folder):
    """Read level 0 with zarr-python, as it is in the bucket now."""
    for key, content in dict(endpoint.objects).items():
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    node = zarr.open(folder / "a.zarr", mode="r")
    return (node if isinstance(node, zarr.Array) else node["0"])[...]


def data(endpoint):
    """Size of every object that holds pixels; columns come in any order in a shard."""
    return {key: len(content) for key, content in endpoint.objects.items() if "/c/" in key}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_flush_shows_all_frames_and_the_finished_store_is_the_same(
    layout, endpoint, tmp_path
):
    frames = [frame(number, layout) for number in range(20)]
    with aqz.ZarrStream(movie("a.zarr", layout, at(endpoint))) as stream:
        for number, pixels in enumerate(frames):
            stream.append(pixels)
            if number in (0, 1, 5, 12, 18):
                stream.flush()
                shown = read(endpoint, tmp_path / str(number))
                assert np.array_equal(shown, frames[: number + 1])
    assert endpoint.uploads == {}
    assert np.array_equal(read(endpoint, tmp_path / "end"), frames)
    with running() as other:
        with aqz.ZarrStream(movie("a.zarr", layout, at(other))) as stream:
            for pixels in frames:
                stream.append(pixels)
        assert data(endpoint) == data(other)


def test_flushes_of_a_store_that_takes_whole_objects(tmp_path):
    layout, place = "several parts", f"local://{tmp_path}/a.zarr"
    frames = [frame(number, layout) for number in range(30)]
    with aqz.ZarrStream(movie(place, layout)) as stream:
        for number, pixels in enumerate(frames):
            stream.append(pixels)
            if number % 4 == 1:
                stream.flush()
                shown = zarr.open_array(tmp_path / "a.zarr", mode="r")[...]
                assert np.array_equal(shown, frames[: number + 1])
    assert np.array_equal(zarr.open_array(tmp_path / "a.zarr", mode="r")[...], frames)


@pytest.mark.parametrize("pattern", [r"PUT .*partNumber", r"POST .*/c/.*uploadId"])
def test_an_upload_that_the_service_forgets_is_begun_again(pattern, endpoint, tmp_path):
    layout = "several parts"
    frames = [frame(number, layout) for number in range(48)]
    with aqz.ZarrStream(movie("a.zarr", layout, at(endpoint))) as stream:
        endpoint.fail("forgotten", pattern, after=1 if "PUT" in pattern else 0, times=1)
        for pixels in frames:
            stream.append(pixels)
    assert endpoint.count(r"POST .*/c/0/.*uploads") == 2
    assert np.array_equal(read(endpoint, tmp_path), frames)


KILLED = """
import os, sys
import aqz_core as aqz
from tests.s3.test_flush import at, frame, movie
stream = aqz.ZarrStream(movie("a.zarr", "pyramid", at(sys.argv[1]), durability=sys.argv[2]))
for number in (0, 1, 3, 4, 7):
    if sys.argv[3] == "by index":
        stream.write(frame(number, "pyramid"), {"t": number}, metadata={"number": number})
    else:
        stream.append(frame(number, "pyramid"), metadata={"number": number})
stream.flush()
os._exit(0)
"""


@pytest.mark.parametrize("durability", ["none", "flush"])
@pytest.mark.parametrize("way", ["by index", "in order"])
def test_what_was_flushed_is_there_after_a_kill_and_a_resume(endpoint, tmp_path, durability, way):
    command = [sys.executable, "-c", KILLED, endpoint.endpoint, durability, way]
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=60)
    numbers = (0, 1, 3, 4, 7)
    at_index = numbers if way == "by index" else range(len(numbers))
    told = aqz.read_frame_metadata("a.zarr", s3=at(endpoint))
    assert [line["number"] for line in told] == [*numbers]
    with aqz.ZarrStream.resume("a.zarr", s3=at(endpoint)) as stream:
        stream.append(frame(9, "pyramid"))
    pixels = read(endpoint, tmp_path)
    for index, number in zip([*at_index, max(at_index) + 1], [*numbers, 9], strict=True):
        assert np.array_equal(pixels[index], frame(number, "pyramid"))
