"""Any recording, stopped anywhere, resumed and finished: it is as if nothing had happened.

A plan and a program of calls are drawn; the program is stopped by closing, by a kill or by a write
that fails, resumed, and goes on; what is stored in the end is compared with the model of the frames
that were recorded. ``AQZ_EXAMPLES=2000`` looks further than a run in CI does.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aqz_core as aqz
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.recovery import validate_store
from aqz_core.recovery.frame_listing import list_frames
from tests.faults.stopped_disk import Stop, stopping
from tests.support.decoders import DECODERS
from tests.support.model import expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, frames_of, settings_for
from tests.support.published import level_keys

pytestmark = pytest.mark.filterwarnings(
    "ignore:Zarr V2 is deprecated:DeprecationWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
)

EXAMPLES = int(os.environ.get("AQZ_EXAMPLES", "25"))
MOST_FRAMES = 24


@st.composite
def plans(draw):
    """Draw one array: two to four axes, any order of the index axes, chunks and shards."""
    names = draw(st.sampled_from(["yx", "tyx", "tyx", "zyx", "tcyx", "tzyx", "tczyx"]))
    lead = len(names) - 2
    plane = draw(st.sampled_from([(8, 8), (16, 12), (9, 16)]))
    sizes = [draw(st.integers(1, 3)) for _ in range(lead)] + list(plane)
    storage: tuple[str, ...] = ()
    if lead and draw(st.booleans()):
        sizes[0] = 0
    elif lead:
        sizes[0] = draw(st.integers(2, 9))
    if lead > 1 and draw(st.booleans()):
        moved = list(names[:lead])
        first = 1 if sizes[0] == 0 else 0
        moved[first:] = draw(st.permutations(moved[first:]))
        storage = (*moved, *names[lead:])
        if storage == tuple(names):
            storage = ()
    chunks = [draw(st.integers(1, 4)) for _ in range(lead)]
    chunks += [draw(st.sampled_from([4, 8, 16])) for _ in range(2)]
    shards = [draw(st.integers(1, 4)) for _ in range(lead)]
    shards += [draw(st.integers(1, 3)) for _ in range(2)]
    method = draw(st.sampled_from([None, None, "MEAN", "DECIMATE"]))
    return ArrayPlan(
        axes=axes(names, sizes, chunks, shards if draw(st.booleans()) else None),
        key=draw(st.sampled_from(["", "a/b"])),
        dtype=draw(st.sampled_from(["uint8", "uint16", "float32"])),
        codec=draw(st.sampled_from(["none", "none", "blosc-lz4", "zstd"])),
        method=method,
        max_levels=draw(st.sampled_from([0, 0, 1])) if method else 0,
        is_ngff=draw(st.booleans()),
        storage=storage,
        frames=min(prod(sizes[:lead]) or MOST_FRAMES, MOST_FRAMES),
        blanks=frozenset(draw(st.sets(st.integers(0, MOST_FRAMES - 1), max_size=2))),
        fill_value=draw(st.sampled_from([0, 0, 3])),
    )


OPTIONS = st.fixed_dictionaries(
    {
        "version": st.sampled_from([aqz.ZarrVersion.V3, aqz.ZarrVersion.V3, aqz.ZarrVersion.V2]),
        "live": st.sampled_from([True, True, False]),
        "durability": st.sampled_from(["none", "flush"]),
        "max_threads": st.just(2),
    }
)
CALLS = st.lists(
    st.one_of(
        st.just(("append", 0)),
        st.just(("append", 0)),
        st.just(("append", 0)),
        st.tuples(st.just("write"), st.integers(0, 5)),
        st.tuples(st.just("skip"), st.integers(1, 3)),
        st.just(("flush", 0)),
    ),
    max_size=10,
)
STOPS = st.tuples(st.sampled_from(["close", "kill", "kill", "fail"]), st.integers(0, 50))


@dataclass
class Recorded:
    """What a model knows of one recording.

    ``certain`` are the numbers of the frames that must be there, ``possible`` also those that were
    taken and may have been lost since.
    """

    plan: ArrayPlan
    frames: np.ndarray
    position: int = 0
    certain: set[int] = field(default_factory=set)
    possible: set[int] = field(default_factory=set)
    reached: int = 0

    @property
    def limit(self) -> int:
        """How many frames there can be."""
        return self.plan.frames

    def index(self, number: int) -> dict[str, int]:
        """Return the index of a frame by axis name."""
        sizes = tuple(axis.size for axis in self.plan.axes[:-2])
        router = FrameRouter(sizes, tuple(range(len(sizes))))
        names = [axis.name for axis in self.plan.axes[:-2]]
        return dict(zip(names, router.lead(number), strict=True))

    def number(self, index: tuple[int, ...]) -> int:
        """Return the number of a frame at an index in the order of arrival."""
        sizes = tuple(axis.size for axis in self.plan.axes[:-2])
        return FrameRouter(sizes, tuple(range(len(sizes)))).number(index)

    def do(self, stream: aqz.ZarrStream, call: tuple[str, int]) -> None:
        """Make one call, if there is room for it."""
        what, size = call
        if what == "flush":
            stream.flush()
            self.certain |= self.possible
            self.reached = self.position
        elif what == "skip" and self.position + size <= self.limit:
            stream.skip_frames(size)
            self.position += size
        elif what in ("append", "write"):
            number = self.position + size
            if number < self.limit:
                if what == "append":
                    stream.append(self.frames[number])
                else:
                    stream.write(self.frames[number], self.index(number))
                self.possible.add(number)
                self.position = number + 1


def run(recorded, stream, calls, stop):
    """Make calls until the recording stops, and have it stopped by then."""
    try:
        for call in calls:
            recorded.do(stream, call)
    except aqz.AqzError:
        assert stop.how != "close"
    if stop.how == "kill":
        stop.kill()
    try:
        stream.close()
    except aqz.AqzError:
        return
    assert stop.how != "kill"
    recorded.certain |= recorded.possible
    recorded.reached = recorded.position


def assert_listed(recorded, store, plan, live):
    """Every frame that must be there is listed, and every frame that is listed is right."""
    found = list_frames(store, plan.key)
    written = {recorded.number(index) for index in found.written}
    dark = {n for n in recorded.possible if (recorded.frames[n] == plan.fill_value).all()}
    assert written <= recorded.possible
    if live:
        assert recorded.certain <= written, f"lost {recorded.certain - written}"
    level = read(store, level_keys(plan)[0])
    arrival = [plan.stored_axes.index(axis) for axis in plan.axes]
    planes = level.transpose(arrival)
    for number in written - dark:
        index = tuple(recorded.index(number).values())
        np.testing.assert_array_equal(planes[index], recorded.frames[number], f"frame {number}")
    return written


def read(store, key):
    is_there = any((store / key / name).exists() for name in ("zarr.json", ".zarray"))
    if not (is_there and (key or not (store / ".zgroup").exists())):
        key = "0"  # a V2 array at the root is an image
    return DECODERS["zarr-python"](store, key)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    plan=plans(),
    options=OPTIONS,
    parts=st.lists(st.tuples(CALLS, STOPS), min_size=1, max_size=3),
    fill=st.booleans(),
)
def test_a_stopped_recording_ends_as_if_it_had_not_stopped(plan, options, parts, fill):
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "s"
        recorded = Recorded(plan, frames_of(plan))
        live = options["live"] or plan.axes[0].shard is None or options["version"] == 2
        for turn, (calls, (how, after)) in enumerate(parts):
            if turn == 0:
                stream = aqz.ZarrStream(settings_for(aqz, StreamPlan((plan,), options), store))
            else:
                stream = aqz.ZarrStream.resume(store)
            with contextlib.closing(stream):
                if turn:
                    take_up(recorded, stream, store, live, fill)
                stop = Stop(how, after)
                with stopping(stop):
                    run(recorded, stream, calls, stop)
            if how != "close":
                assert_listed(recorded, store, plan, live)
        with aqz.ZarrStream.resume(store) as stream:
            take_up(recorded, stream, store, live, fill)
            for call in [("append", 0), ("flush", 0), ("append", 0)]:
                recorded.do(stream, call)
        recorded.certain |= recorded.possible
        assert_as_if_nothing_had_happened(recorded, store, plan)


def take_up(recorded, stream, store, live, fill):
    """Compare what a resumed stream took up; if asked, write what it lacks."""
    written = assert_listed(recorded, store, recorded.plan, live)
    assert max(written, default=-1) < stream.statistics().frames <= recorded.position
    if live:
        assert stream.statistics().frames >= recorded.reached
    recorded.position = stream.statistics().frames
    recorded.possible = set(written)
    recorded.certain = set(written)
    if fill:
        for number in sorted(set(range(recorded.position)) - written):
            stream.write(recorded.frames[number], recorded.index(number))
            recorded.possible.add(number)


def assert_as_if_nothing_had_happened(recorded, store, plan):
    """Compare every level with what the frames that were recorded come to."""
    absent = set(range(MOST_FRAMES)) - recorded.certain
    wanted = replace(plan, frames=recorded.position, blanks=plan.blanks | absent)
    for key, level in zip(level_keys(plan), expected_levels(wanted), strict=True):
        np.testing.assert_array_equal(read(store, key), level, f"level {key}")
    found = list_frames(store, plan.key)
    assert {recorded.number(index) for index in found.written} == recorded.certain
    report = validate_store(store)
    assert report.is_valid, report.findings
    assert report.state == "complete"
