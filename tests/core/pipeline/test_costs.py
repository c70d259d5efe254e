"""What a recording costs, in counts: copies, calls, allocations, threads; and memory, as a bound.

Times depend on the machine and on what else it does, and are never asserted; these counts are the
same everywhere, and whoever makes the engine do more for a frame or a shard finds out here.
"""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import numpy as np
import pluggy
import pytest

import aqz_core as aqz
from aqz_core.pipeline import tiling
from aqz_core.pipeline.runtime import IO_THREADS
from aqz_core.planning.stream import worker_count
from aqz_core.recording import publishing as publisher
from aqz_core.settings.compression import compression_settings
from aqz_core.storage.memory import MemorySink
from tests.support.counting_sink import CountingSink, is_mapped, is_shard
from tests.support.memory_probe import probe_memory

FRAME = (512, 512)
WHOLE = ((1, 256, 256), (1, 2, 2))  # chunks, shards: every frame is a shard
GROWING = ((1, 256, 256), (8, 2, 2))  # a shard takes eight frames
RAGGED = ((1, 200, 300), (1, 3, 2))
DEEP = ((16, 256, 256), (1, 2, 2))
MANY = ((1, 64, 64), (4, 2, 2))  # 16 shards side by side


@pytest.fixture(autouse=True)
def only_what_frames_cause(monkeypatch):
    """Keep the publisher, which works by the clock, from adding to the counts."""
    monkeypatch.setattr(publisher, "INTERVAL", 3600)


def settings(layout, path="counted://store", *, codec="none", frame=FRAME, **options):
    """Return settings of one plain array of 16 bit pixels."""
    chunks, shards = layout
    dimensions = [
        aqz.Dimension(
            name=name,
            kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
            array_size_px=size,
            chunk_size_px=chunk,
            shard_size_chunks=shard,
        )
        for name, size, chunk, shard in zip("tyx", (0, *frame), chunks, shards, strict=True)
    ]
    array = aqz.ArraySettings(
        output_key="a",
        data_type="uint16",
        dimensions=dimensions,
        compression=aqz.PluginCompression(codec)
        if codec == InspectedCodec.name
        else compression_settings(codec, "uint16"),
    )
    return aqz.StreamSettings(store_path=str(path), arrays=[array], **options)


def frames(count, shape=FRAME):
    """Return camera-like frames; every fourth is the same."""
    rng = np.random.default_rng(1)
    return np.resize(rng.poisson(100, (4, *shape)).astype(np.uint16), (count, *shape))


def record(count, layout, **options):
    """Record frames one by one into a counting sink and return it."""
    sink = CountingSink()
    with aqz.ZarrStream(settings(layout, **options), plugins=[sink]) as stream:
        for frame in frames(count):
            stream.append(frame)
    return sink


# ---- copies ---------------------------------------------------------------------------------


class CountingNumpy:
    """numpy as `tiling` sees it, with the bytes that ``copyto`` copies counted."""

    def __init__(self):
        self.bytes = 0
        self.calls = 0

    def __getattr__(self, name):
        return getattr(np, name)

    def copyto(self, target, source):
        self.bytes += source.nbytes
        self.calls += 1
        np.copyto(target, source)


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
@pytest.mark.parametrize(
    ("layout", "copies"), [(WHOLE, 1), (GROWING, 1), (RAGGED, 4), (DEEP, 1), (MANY, 16)]
)
def test_each_pixel_is_copied_once_on_its_way_to_the_store(layout, copies, codec, monkeypatch):
    counting = CountingNumpy()
    monkeypatch.setattr(tiling, "np", counting)
    given = frames(32)
    sink = CountingSink()
    with aqz.ZarrStream(settings(layout, codec=codec), plugins=[sink]) as stream:
        for frame in given:
            stream.append(frame)
    assert counting.bytes == given.nbytes
    assert counting.calls == copies * len(given)  # one for each kind of tile in each column
    assert sink.copied == 0  # the store gets the very memory that pixels were copied into


class InspectedCodec:
    """Stores chunks as they are, and keeps account of them; a plug-in, too."""

    name = "inspected"

    def __init__(self):
        self.chunks = []
        self.copied = []
        self.gate = threading.Event()
        self.gate.set()

    @aqz.hookimpl
    def aqz_codecs(self):
        return aqz.CodecProvider(self.name, lambda compression, dtype: self)

    def encode(self, data):
        assert self.gate.wait(60)
        (self.chunks if is_mapped(data) else self.copied).append(data.nbytes)
        return bytes(data)

    def decode(self, data):
        return data

    def max_encoded_size(self, nbytes):
        return nbytes

    def v3_metadata(self):
        return {"name": self.name, "configuration": {}}

    def v2_metadata(self):
        return None


@pytest.mark.parametrize("layout", [WHOLE, DEEP, RAGGED])
def test_a_codec_sees_each_chunk_once_and_in_place(layout):
    codec, sink = InspectedCodec(), CountingSink()
    with aqz.ZarrStream(settings(layout, codec=codec.name), plugins=[sink, codec]) as stream:
        for frame in frames(32):
            stream.append(frame)
    chunk_shape = layout[0]
    per_layer = int(np.prod([-(-n // c) for n, c in zip(FRAME, chunk_shape[1:], strict=True)]))
    assert len(codec.chunks) == 32 // chunk_shape[0] * per_layer
    assert set(codec.chunks) == {2 * int(np.prod(chunk_shape))}
    assert codec.copied == []


# ---- calls in Python --------------------------------------------------------------------------


def calls_of(append, given):
    """Return how many functions in Python are called on this thread by appending what is given."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for frame in given:
            append(frame)
    finally:
        sys.setprofile(None)
    return calls


def test_a_small_frame_is_three_calls():
    layout = ((1000, 64, 64), (1, 1, 1))
    given = frames(500, (64, 64))
    with aqz.ZarrStream(settings(layout, frame=(64, 64)), plugins=[CountingSink()]) as stream:
        stream.append(given[0])
        assert calls_of(stream.append, given) == 3 * len(given)


@pytest.mark.parametrize("form", ["stacks", "runs"])
def test_frames_in_one_call_are_taken_layer_by_layer(form):
    layout = ((1000, 64, 64), (1, 1, 1))
    given = frames(500, (64, 64)).reshape(5, 100, 64, 64)
    if form == "runs":
        given = given.reshape(5, -1)
    with aqz.ZarrStream(settings(layout, frame=(64, 64)), plugins=[CountingSink()]) as stream:
        stream.append(given[0])
        assert calls_of(stream.append, given) <= 12 * len(given)


# ---- calls to the store ---------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["none", "blosc-lz4", "zstd"])
@pytest.mark.parametrize(("layout", "shards_per_frame"), [(WHOLE, 1), (RAGGED, 1), (DEEP, 1 / 16)])
@pytest.mark.parametrize("live", [True, False])
def test_a_shard_that_is_complete_at_once_is_one_write(layout, shards_per_frame, codec, live):
    sink = record(32, layout, codec=codec, live=live)
    shards = 32 * shards_per_frame
    assert sink.number("write") == shards
    assert sink.number("create") == sink.number("write at") == sink.number("sync") == 0


@pytest.mark.parametrize(
    ("live", "codec", "durability", "writes", "syncs"),
    [
        (True, "none", "shard", 8 + 3, 2),  # batches, and the index: empty, at the end, in front
        (True, "blosc-lz4", "shard", 8 + 3, 2),
        (False, "none", "shard", 8 + 1, 2),
        (False, "blosc-lz4", "none", 8 + 1, 0),
    ],
)
def test_a_growing_shard_is_its_batches_and_a_fixed_number_of_indexes(
    live, codec, durability, writes, syncs
):
    sink = record(32, GROWING, codec=codec, live=live, durability=durability)
    shards = 4
    assert sink.number("create") == sink.number("finish") == shards
    assert sink.number("write at") == writes * shards
    assert sink.number("write") == 0
    assert sink.number("sync") == syncs * shards


def test_small_frames_share_a_write():
    sink = CountingSink()
    layout = ((1, 64, 64), (1000, 1, 1))
    with aqz.ZarrStream(settings(layout, frame=(64, 64)), plugins=[sink]) as stream:
        for frame in frames(1000, (64, 64)):
            stream.append(frame)
    batches = sink.number("write at") - 3 * sink.number("create")
    assert sink.number("create") == 1
    assert batches <= 1000 / 50  # each of half a megabyte, about


@pytest.mark.parametrize("layout", [WHOLE, GROWING, DEEP, MANY])
def test_metadata_cost_the_same_however_long_the_recording(layout):
    few, many = record(16, layout), record(64, layout)
    for what in ("write", "append", "create"):
        assert few.number(what, shards=False) == many.number(what, shards=False)
    assert many.number("write") == 4 * few.number("write")
    assert many.number("write at") == 4 * few.number("write at")


PROC_IO = Path("/proc/self/io")


def written():
    """Return how often this process has asked the system to write, and how many bytes."""
    counts = dict(line.split(": ") for line in PROC_IO.read_text().splitlines())
    return int(counts["syscw"]), int(counts["wchar"])


@pytest.mark.skipif(not PROC_IO.exists(), reason="the system does not count calls of a process")
@pytest.mark.parametrize(("layout", "writes"), [(WHOLE, 1), (GROWING, 8 + 3)])
def test_each_write_is_one_call_of_the_system(layout, writes, tmp_path):
    counts = []
    for count in (16, 64):
        before = written()
        store = tmp_path / str(count)
        with aqz.ZarrStream(settings(layout, store, durability="none")) as stream:
            for frame in frames(count):
                stream.append(frame)
        counts.append([new - old for new, old in zip(written(), before, strict=True)])
    (few, few_bytes), (many, many_bytes) = counts
    shards = 48 // layout[1][0]
    assert many - few == writes * shards
    assert many_bytes - few_bytes == pytest.approx(48 * 2 * FRAME[0] * FRAME[1], rel=0.05)


# ---- hooks ----------------------------------------------------------------------------------


def test_no_hook_is_called_for_a_frame_or_a_shard(monkeypatch):
    calls = []
    call = pluggy._hooks.HookCaller.__call__

    def counted(self, **arguments):
        calls.append(self.name)
        return call(self, **arguments)

    monkeypatch.setattr(pluggy._hooks.HookCaller, "__call__", counted)
    prepared, events = [], []

    class Watcher:
        @aqz.hookimpl
        def aqz_frame_processors(self, settings):
            def prepare(spec):
                prepared.append(spec)
                return lambda frame, index: frame

            return aqz.FrameProcessor("nothing", prepare)

        @aqz.hookimpl
        def aqz_shard_written(self, event):
            events.append(event)

    sink = CountingSink()
    with aqz.ZarrStream(settings(WHOLE), plugins=[sink, Watcher()]) as stream:
        at_open = len(calls)
        for frame in frames(64):
            stream.append(frame)
        assert len(calls) == at_open
        assert len(prepared) == 1
    assert len(events) == 64  # told by plain calls, on a thread of its own


# ---- allocations and threads ----------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", InspectedCodec.name])
@pytest.mark.parametrize("layout", [WHOLE, GROWING])
def test_memory_is_not_allocated_again_once_there_was_enough(layout, compression):
    codec, sink = InspectedCodec(), CountingSink()
    many = 8
    frame = frames(1)[0]
    wanted = settings(layout, codec=compression)
    with aqz.ZarrStream(wanted, plugins=[sink, codec]) as stream:
        codec.gate.clear()
        sink.gate.clear()
        for _ in range(many):
            stream.append(frame)
        codec.gate.set()
        for _ in range(many):  # until all of them are held by writes at the same time
            assert sink.waiting.acquire(timeout=60)
        warm = stream.get_current_memory_usage()
        assert warm >= many * frame.nbytes
        most = warm * (many + 1) // many  # the next layer's memory is made ready, once
        sink.gate.set()
        for _ in range(10):
            stream.flush()
            assert stream.get_current_memory_usage() <= most
            for _ in range(many):
                stream.append(frame)
                assert stream.get_current_memory_usage() <= most


def test_nothing_is_kept_of_frames_and_shards_that_are_stored():
    class Sink(MemorySink):
        """Keeps no pixels, or they would be counted."""

        @aqz.hookimpl
        def aqz_sinks(self):
            return aqz.SinkProvider(schemes=("counted",), open=lambda url, settings: self)

        def write(self, name, data, *, sync):
            if not is_shard(name):
                super().write(name, data, sync=sync)

    given = frames(10, (64, 64))
    shard = ((10, 64, 64), (1, 1, 1))
    kept = []
    with aqz.ZarrStream(settings(shard, frame=(64, 64)), plugins=[Sink()]) as stream:
        for _ in range(5):
            for _ in range(200):
                stream.append(given)
            stream.flush()
            gc.collect()
            kept.append(sys.getallocatedblocks())
    assert kept[-1] - kept[1] < 400  # objects, for 600 shards and 6000 frames


def test_as_many_threads_whatever_is_recorded(monkeypatch):
    started = []
    start = threading.Thread.start

    def counted(self):
        started.append(self.name)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", counted)
    most = worker_count(0) + IO_THREADS + 1 + 4  # and the publisher, and the delegates
    for layout, codec in [(WHOLE, "none"), (MANY, "blosc-lz4"), (GROWING, "zstd")]:
        record(64, layout, codec=codec)
        for thread in threading.enumerate():
            if thread.name.startswith("aqz-"):
                thread.join(60)
        assert len(started) <= most
        started.clear()


# ---- memory ---------------------------------------------------------------------------------

MIB = 1 << 20
LARGE = (1024, 1024)  # 2 MiB a frame


@pytest.mark.parametrize(
    ("codec", "pyramid", "chunks", "shards"),
    [
        ("none", None, (1, 256, 256), (1, 4, 4)),
        ("blosc-lz4", None, (4, 256, 256), (4, 4, 4)),
        ("blosc-lz4", "mean", (1, 256, 256), (4, 4, 4)),
        ("none", "mean", (16, 256, 256), (1, 4, 4)),
        ("none", None, (128, 256, 256), (1, 4, 4)),  # two pieces of a layer are the whole budget
    ],
)
def test_max_memory_is_a_bound(tmp_path, codec, pyramid, chunks, shards):
    budget = 160 * MIB
    used = probe_memory(
        {
            "store": str(tmp_path / "s.zarr"),
            "codec": codec,
            "pyramid": pyramid,
            "shape": LARGE,
            "frames": 256,  # half a gigabyte
            "chunks": chunks,
            "shards": shards,
            "max_memory": budget,
        }
    )
    assert used["bound"] == budget
    assert used["claimed"] <= budget
    assert used["above"] <= budget + 64 * MIB


@pytest.mark.parametrize("codec", ["none", "blosc-lz4"])
def test_a_store_that_hangs_does_not_cost_more_than_the_bound(codec):
    sink = CountingSink()
    sink.gate.clear()
    budget = 64 * MIB
    claimed = []
    wanted = settings(WHOLE, codec=codec, max_memory=budget)
    with aqz.ZarrStream(wanted, plugins=[sink]) as stream:

        def produce():
            for frame in frames(200):
                stream.append(frame)

        producer = threading.Thread(target=produce)
        producer.start()
        for _ in range(min(worker_count(0), 8)):
            assert sink.waiting.acquire(timeout=60)
        while producer.is_alive():
            claimed.append(stream.get_current_memory_usage())
            sink.gate.set()
            producer.join(0.01)
    assert wanted.get_maximum_memory_usage() == budget
    assert 0 < max(claimed) <= budget
