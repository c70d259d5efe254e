"""Recordings with pyramids that end between two writes to a disk go on as if they had not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import aqz_core as aqz
from aqz_core.errors import FrameExistsError
from aqz_core.recovery import repair_store
from tests.faults.test_recovery import PLANS, assert_whole, go_on
from tests.faults.traced_disk import TracedDisk, keep_all, write_to_directory
from tests.support.plans import StreamPlan, frames_of, settings_for

pytestmark = pytest.mark.filterwarnings("ignore:Zarr V2 is deprecated:DeprecationWarning")

CUTS = 6
FLUSHES = (3, 7, 13)
CASES = [
    ("half-full chunks", "V3", True),
    ("z in pairs", "V3", True),
    ("z in pairs", "V3", False),
    ("half-full chunks", "V2", True),
]
INDEX = {
    "half-full chunks": lambda number: {"t": number},
    "z in pairs": lambda number: {"t": number // 5, "z": number % 5},
}


def traced(plan, version, live, record):
    """Record on a disk that keeps a trace; return it, and what was promised after how much."""
    disk = TracedDisk()
    provider = aqz.SinkProvider(schemes=("traced",), open=lambda url, settings: disk)

    class Plugin:
        @aqz.hookimpl
        def aqz_sinks(self):
            return [provider]

    options = {"version": aqz.ZarrVersion[version], "live": live}
    settings = settings_for(aqz, StreamPlan((plan,), options), Path("x"))
    settings.store_path = "traced://"
    with aqz.ZarrStream(settings, [Plugin()]) as stream:
        promises = [(len(disk.events), 0)]
        for count, _ in enumerate(record(stream), 1):
            if count in FLUSHES:
                stream.flush()
                if live or version == "V2":
                    promises.append((len(disk.events), count))
    return disk, promises


def ends(disk, promises, folder):
    """Yield the store as it is after some of the events, and how many frames were promised."""
    first, last = promises[0][0], len(disk.events)
    for number, cut in enumerate(range(first, last, max(1, (last - first) // CUTS))):
        store = folder / str(cut)
        store.mkdir()
        write_to_directory(disk.after_loss_of_power(cut, keep_all), store)
        if number % 2:
            repair_store(store, apply=True)
        yield store, max(count for events, count in promises if events <= cut)


@pytest.mark.parametrize(("name", "version", "live"), CASES)
def test_frames_in_order(tmp_path, name, version, live):
    plan = PLANS[name]

    def record(stream):
        for frame in frames_of(plan):
            yield stream.append(frame)

    disk, promises = traced(plan, version, live, record)
    for store, promised in ends(disk, promises, tmp_path):
        assert go_on(store, plan) >= promised
        assert_whole(store, plan)


@pytest.mark.parametrize(("name", "version", "live"), CASES)
def test_frames_by_index(tmp_path, name, version, live):
    plan, index = PLANS[name], INDEX[name]
    pixels = frames_of(plan)
    order = list(range(plan.frames))
    Random(7).shuffle(order)

    def record(stream):
        for number in order:
            yield stream.write(pixels[number], index(number))

    disk, promises = traced(plan, version, live, record)
    for store, promised in ends(disk, promises, tmp_path):
        written = []
        with aqz.ZarrStream.resume(store) as stream:
            for number in order:
                try:
                    stream.write(pixels[number], index(number))
                except FrameExistsError:
                    continue
                written.append(number)
        assert not set(order[:promised]) & set(written)
        assert_whole(store, plan)
