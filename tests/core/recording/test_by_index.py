"""Writing, skipping, replacing and appending in any mixture and order."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr

import aqz_core as aqz
from aqz_core.pipeline.high_water_mark import HighWaterMark
from aqz_core.planning.layout import plan_layout
from aqz_core.recording.array_metadata import ArrayMetadata

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated")


def space(size, chunk):
    return [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.SPACE,
            array_size_px=size,
            chunk_size_px=chunk,
            shard_size_chunks=1,
        )
        for name in "yx"
    ]


def settings(path, *, planes=8, chunks=1, z=0, size=16, chunk=None, v2=False, **array):
    """One array, unlimited in t."""
    lead = [("t", aqz.DimensionType.TIME, 0, planes, chunks)]
    if z:
        lead.append(("z", aqz.DimensionType.SPACE, z, 1, 1))
    dimensions = [
        aqz.Dimension(name=name, kind=kind, array_size_px=n, chunk_size_px=c, shard_size_chunks=s)
        for name, kind, n, c, s in lead
    ]
    array.setdefault("data_type", np.uint16)
    return aqz.StreamSettings(
        store_path=str(path),
        durability="none",
        max_memory=array.pop("max_memory", 64 << 20),
        version=aqz.ZarrVersion.V2 if v2 else aqz.ZarrVersion.V3,
        arrays=[aqz.ArraySettings(dimensions=[*dimensions, *space(size, chunk or size)], **array)],
    )


def frame(value, size=16):
    return np.full((size, size), value, np.uint16)


def values(path, level="0"):
    """The first pixel of every frame, which all others must equal."""
    node = zarr.open(str(path), mode="r")
    pixels = (node if hasattr(node, "shape") else node[level])[:]
    assert (pixels == pixels[..., :1, :1]).all()
    return pixels[..., 0, 0].tolist()


def test_a_skipped_frame_can_be_written(tmp_path):
    with aqz.ZarrStream(settings(tmp_path / "a.zarr")) as stream:
        stream.write(frame(1), {"t": 0})
        stream.skip_frames(4)
        stream.append(frame(6))
        stream.write(frame(3), {"t": 3}, replace=True)
        stream.write(frame(2), {"t": 2})
        stream.write(frame(9), {"t": 0}, replace=True)
        stream.append(frame(7))
    assert values(tmp_path / "a.zarr") == [9, 0, 2, 3, 0, 6, 7]


def test_a_refused_frame_leaves_a_recording_in_order(tmp_path):
    with aqz.ZarrStream(settings(tmp_path / "a.zarr")) as stream:
        stream.append(frame(1))
        with pytest.raises(aqz.errors.FrameExistsError):
            stream.write(frame(2), {"t": 0})
        stream.append(frame(3))
    attributes = zarr.open(str(tmp_path / "a.zarr"), mode="r").attrs["aqz"]
    assert attributes["frames"] == 2
    assert attributes["gaps"] is False


def test_an_image_without_other_axes_can_be_written_by_index_and_resumed(tmp_path):
    path = tmp_path / "a.zarr"
    image = aqz.ArraySettings(dimensions=space(16, 16), data_type=np.uint16)
    with aqz.ZarrStream(aqz.StreamSettings(store_path=str(path), arrays=[image])) as stream:
        stream.write(frame(5), {})
    with aqz.ZarrStream.resume(path) as stream:
        assert stream.statistics().frames == 1
    assert values(path) == 5


def test_order_takes_no_memory(tmp_path):
    """Every chunk of both levels stays incomplete, and all of them do not fit."""
    path = tmp_path / "a.zarr"
    method = aqz.DownsamplingMethod.MEAN
    given = settings(path, size=128, chunk=64, downsampling_method=method, max_memory=64 << 20)
    with aqz.ZarrStream(given) as stream:
        for number in range(400):
            stream.write(frame(number + 1, 128), {"t": 9 * number})
    for level in ("0", "1"):
        stored = np.array(values(path, level))
        assert stored[::9].tolist() == list(range(1, 401))
        assert (stored != 0).sum() == 400


CHILD = """
import os, sys, threading
from tests.core.recording.test_by_index import frame, settings
import aqz_core as aqz
from aqz_core.recording.publishing import ArrayPublication
shown = threading.Semaphore(0)
publish = ArrayPublication.publish
ArrayPublication.publish = lambda self: (publish(self), shown.release())
stream = aqz.ZarrStream(settings(sys.argv[1], planes=9, z=4))
if int(sys.argv[2]):
    stream.skip_frames(1)
for number in range(32):
    stream.append(frame(number + 1))
for _ in range(3):
    assert shown.acquire(timeout=60)
os._exit(0)
"""


@pytest.mark.parametrize("skipped", [0, 1])
def test_a_length_counts_no_frame_that_is_not_stored(tmp_path, skipped):
    path = tmp_path / "a.zarr"
    subprocess.run(
        [sys.executable, "-c", CHILD, str(path), str(skipped)],
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert values(path) == []


def test_a_plane_of_which_one_column_is_stored_does_not_count():
    layout = plan_layout((0, 32, 32), (1, 16, 32), None, np.dtype("u2"), grouped=False)
    mark = HighWaterMark(layout)
    mark.by_index = True
    columns = len(layout.columns)
    assert mark.advance([(5, 0)] * (columns - 1)) == 0 or columns == 1
    assert mark.advance([(5, 0)]) == 6


def test_a_length_never_goes_back(tmp_path, monkeypatch):
    """The publisher is held between working out a length and writing it."""
    reached, go_on, first = threading.Event(), threading.Event(), threading.Event()
    grow = ArrayMetadata.grow

    def held(self, lengths, certain, *, sync):
        if not first.is_set():
            first.set()
            reached.set()
            assert go_on.wait(60)
        grow(self, lengths, certain, sync=sync)

    path = tmp_path / "a.zarr"
    with aqz.ZarrStream(settings(path, planes=1)) as stream:
        for number in range(5):
            stream.append(frame(number))
        monkeypatch.setattr(ArrayMetadata, "grow", held)
        assert reached.wait(60)
        for number in range(5, 10):
            stream.append(frame(number))
        flushing = threading.Thread(target=stream.flush)
        flushing.start()
        go_on.set()
        flushing.join(60)
        assert len(values(path)) == 10


def test_what_lies_beyond_the_array_is_the_fill_value(tmp_path):
    """A buffer is used for one array after the other; TensorStore refuses bools but 0 and 1."""
    tensorstore = pytest.importorskip("tensorstore")
    path = tmp_path / "a.zarr"
    old = settings(path, planes=2, output_key="old").arrays[0]
    new = settings(path, planes=4, chunk=12, output_key="new", data_type=np.bool_).arrays[0]
    given = aqz.StreamSettings(store_path=str(path), max_memory=64 << 20, arrays=[old, new])
    with aqz.ZarrStream(given) as stream:
        for _ in range(64):
            stream.append(frame(0xCDCD), key="old")
        for _ in range(5):
            stream.append(np.ones((16, 16), bool), key="new")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "new")}}
    if (path / "new" / "0").exists():
        spec["kvstore"]["path"] += "/0"
    assert tensorstore.open(spec).result().read().result().all()
    for file in (path / "new").rglob("*"):
        assert file.is_dir() or b"\xcd\xcd\xcd\xcd" not in file.read_bytes()
