"""Random programs: whatever a stream can be asked for, in any order, stopped anywhere, and a model.

A `Program` is drawn from a seed. It records one to three arrays in several parts; each part makes
calls and stops: by closing, by a kill, or by one operation of the disk that fails; the next one
resumes. `carry_out` makes the calls on a stream and on `Recorded`, which knows in plain
dictionaries what must be stored, and compares.
"""

from __future__ import annotations

import contextlib
import errno
import random
import warnings
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import aqz_core as aqz
from aqz_core.planning.frame_order import FrameRouter
from aqz_core.recovery import repair_store, validate_store
from aqz_core.recovery.frame_listing import list_frames
from tests.faults.stopped_disk import OPERATIONS, Stop, stopping
from tests.support.decoders import DECODERS
from tests.support.frames import encoded_frames
from tests.support.model import assert_level_equal, expected_levels
from tests.support.plans import ArrayPlan, StreamPlan, axes, settings_for
from tests.support.published import level_keys

__all__ = ["Part", "Program", "carry_out", "draw"]

MOST_FRAMES = 40
PLATE = [f"plate/{row}/{column}/fov" for row, column in ("A1", "A2", "B1")]
CALLS = {
    "append": 6,
    "stack": 2,
    "run": 1,
    "begin and skip": 1,
    "skip and end": 1,
    "write": 4,
    "replace": 3,
    "skip": 2,
    "flush": 2,
    "flush one": 1,
    "attributes": 1,
    "fill": 1,
}


@dataclass(frozen=True)
class Part:
    """Calls (what, which array, a number from 0 to 1), and how it ends.

    ``extend`` is the call before which the arrays of the next `Program.groups` are added.
    """

    calls: tuple[tuple[str, int, float], ...]
    stop: str
    after: int
    repaired: bool
    extend: int | None
    whole: bool


@dataclass(frozen=True)
class Program:
    """What is recorded and how; the arrays of the second group are added by `extend`."""

    arrays: tuple[ArrayPlan, ...]
    later: tuple[ArrayPlan, ...]
    on_plate: bool
    options: dict[str, Any]
    budget: float | None
    processed: bool
    metadata: bool
    parts: tuple[Part, ...]

    def settings(self, store: Path, arrays: tuple[ArrayPlan, ...]) -> aqz.StreamSettings:
        """Return the settings of a stream that records these arrays."""
        fields = {"fields": arrays} if self.on_plate else {}
        plan = StreamPlan(() if self.on_plate else arrays, dict(self.options), **fields)
        settings = settings_for(aqz, plan, store)
        if self.budget is not None:
            settings.max_memory = int(settings.get_maximum_memory_usage() * self.budget)
        return settings


# ---- drawing -------------------------------------------------------------------------------------


def draw(seed: int) -> Program:
    """Draw a program."""
    chance = random.Random(seed)
    v2 = chance.random() < 0.25
    keys = chance.choice([[""], [""], ["a/b"], ["a", "b"], ["a", "g/b", "c"], PLATE[:2], PLATE])
    on_plate = keys[0] in PLATE
    arrays = tuple(_draw_array(chance, key, on_plate) for key in keys)
    later = chance.choice([0, 0, 1]) if len(keys) > 1 else 0
    return Program(
        arrays=arrays[: len(arrays) - later],
        later=arrays[len(arrays) - later :],
        on_plate=on_plate,
        options={
            "version": aqz.ZarrVersion.V2 if v2 else aqz.ZarrVersion.V3,
            "live": chance.random() < 0.7,
            "durability": chance.choice(["none", "flush", "shard"]),
            "max_threads": chance.randint(1, 3),
        },
        budget=chance.choice([None, 1, 1, 1.5]),
        processed=chance.random() < 0.2,
        metadata=chance.random() < 0.3,
        parts=tuple(_draw_part(chance, len(arrays)) for _ in range(chance.randint(1, 4))),
    )


def _draw_array(chance: random.Random, key: str, on_plate: bool) -> ArrayPlan:
    """Draw an array: two to five axes, any order of storage, chunks, shards and levels."""
    names = chance.choice(["yx", "tyx", "tyx", "zyx", "tcyx", "tzyx", "tczyx"])
    lead = len(names) - 2
    sizes = [chance.randint(1, 4) for _ in range(lead)]
    sizes += chance.choice([[8, 8], [16, 12], [9, 16], [5, 7]])
    if lead:
        sizes[0] = chance.choice([0, chance.randint(2, 12)])
    storage: tuple[str, ...] = ()
    is_image = on_plate or chance.random() < 0.5
    if lead > 1 and chance.random() < 0.4:
        fixed = 1 if sizes[0] == 0 else 0
        inner = list(names[fixed:lead])
        chance.shuffle(inner)
        storage = (*names[:fixed], *inner, *names[lead:])
    if not is_image and chance.random() < 0.15:
        storage = (*(storage[:-2] or names[:-2]), "x", "y")
    shards = [chance.randint(1, 4) for _ in range(lead)] + [chance.randint(1, 3) for _ in "yx"]
    chunks = [chance.randint(1, chance.choice([1, 4, 9])) for _ in range(lead)]
    method = chance.choice([None, None, "MEAN", "DECIMATE", "MIN", "MAX"]) if is_image else None
    if storage and set(storage[:-2]) != set(names[:lead]):
        storage = ()
    return ArrayPlan(
        axes=axes(
            names,
            sizes,
            [*chunks, *(chance.choice([4, 8, 16]) for _ in "yx")],
            shards if chance.random() < 0.7 else None,
        ),
        key=key,
        dtype=chance.choice(["uint8", "uint16", "int16", "float32", "bool"]),
        codec=chance.choice(["none", "none", "blosc-lz4", "zstd", "gzip"]),
        method=method,
        max_levels=chance.choice([0, 0, 1, 2]) if method else 0,
        is_ngff=is_image,
        storage=() if storage == tuple(names) else storage,
        frames=min(prod(sizes[:lead]) or MOST_FRAMES, MOST_FRAMES),
        fill_value=chance.choice([0, 0, 1]),
    )


def _draw_part(chance: random.Random, arrays: int) -> Part:
    """Draw what is done between opening and stopping."""
    kinds = chance.choices(list(CALLS), list(CALLS.values()), k=chance.randint(0, 18))
    if chance.random() < 0.5:  # plain recordings, long enough for several shards
        kinds = [kind if kind in ("stack", "skip", "flush") else "append" for kind in kinds]
    return Part(
        calls=tuple((kind, chance.randrange(arrays), chance.random()) for kind in kinds),
        stop=chance.choice(["close", "kill", "kill", "fail"]),
        after=chance.randint(0, 80),
        repaired=chance.random() < 0.3,
        extend=chance.choice([None, chance.randint(0, 18)]),
        whole=chance.random() < 0.3,
    )


# ---- the model -----------------------------------------------------------------------------------


@dataclass
class Recorded:
    """What a model knows of one array.

    Attributes
    ----------
    versions
        What frames may be, by number, the newest last.
    certain
        Those that must be there.
    position, reached
        Number of the next frame, and what it was when it was promised last.
    """

    plan: ArrayPlan
    processed: bool
    versions: dict[int, list[np.ndarray]] = field(default_factory=dict)
    certain: set[int] = field(default_factory=set)
    attributes: set[int | None] = field(default_factory=lambda: {None})
    position: int = 0
    reached: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.sizes = tuple(axis.size for axis in self.plan.axes[:-2])
        self.names = [axis.name for axis in self.plan.axes[:-2]]
        self.router = FrameRouter(self.sizes, tuple(range(len(self.sizes))))
        self.limit = self.plan.frames

    def index(self, number: int) -> dict[str, int]:
        """Return the index of a frame by axis name."""
        return dict(zip(self.names, self.router.lead(number), strict=True))

    def frame(self) -> np.ndarray:
        """Return a frame that was not there before."""
        self.made += 1
        seed = sum(map(ord, self.plan.key))
        numbers = range(self.made, self.made + 1)
        pixels = encoded_frames(numbers, *self.plan.frame_shape, self.plan.dtype, seed)[0]
        return np.full_like(pixels, self.plan.fill_value) if self.made % 11 == 0 else pixels

    def take(self, number: int, frame: np.ndarray) -> None:
        """Note that a frame was taken."""
        if self.processed:
            frame = processed(frame, tuple(self.index(number).values()))
        self.versions.setdefault(number, []).append(frame)
        self.position = max(self.position, number + 1)

    def promise(self) -> None:
        """Note that what was taken must be there from now on."""
        self.versions = {number: known[-1:] for number, known in self.versions.items()}
        self.certain = set(self.versions)
        self.reached = self.position

    def expected(self) -> list[np.ndarray]:
        """Return every level as it must be stored."""
        plan = replace(self.plan, frames=self.position)
        return expected_levels(plan, {number: known[-1] for number, known in self.versions.items()})


def processed(frame: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
    """What the frame processor does: every pixel depends on where the frame belongs."""
    return (
        frame ^ (sum(index) % 2 == 1)
        if frame.dtype == bool
        else frame + frame.dtype.type(sum(index))
    )


class Processor:
    """A plug-in that does so."""

    @aqz.hookimpl
    def aqz_frame_processors(self) -> list[aqz.FrameProcessor]:
        return [aqz.FrameProcessor("add the index", lambda spec: processed)]


# ---- making the calls ----------------------------------------------------------------------------


def carry_out(
    program: Program,
    store: Path,
    readers: list[str],
    operations: list[tuple[Any, str]] = OPERATIONS,
    error: int = errno.EIO,
) -> Stop:
    """Make the calls of a program, and compare what is stored with the model.

    Parts stop at one of the `operations`. Returns how the first one did.
    """
    stops = [Stop(part.stop, part.after, error) for part in program.parts]
    known: dict[str, Recorded] = {}
    for part, stop in zip(program.parts, stops, strict=True):
        with stopping(stop, operations), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _record(program, part, store, known, stop)
        if part.stop != "close":
            _assert_listed(program, store, known)
        if part.repaired and known:
            repair_store(store, apply=True)
            _assert_listed(program, store, known)
    if not known:
        return stops[0]
    with _opened(program, store, known, whole=True) as stream:
        _take_up(program, stream, store, known)
        for key in known:
            for call in ("append", "flush", "append"):
                _do(stream, known[key], call, 0.5, program)
    for one in known.values():
        one.promise()
    _assert_whole(program, store, known, readers)
    return stops[0]


def _opened(
    program: Program, store: Path, known: dict[str, Recorded], *, whole: bool
) -> aqz.ZarrStream:
    """Open the stream: a new store, or what is there, with settings or without."""
    plugins = [Processor()] if program.processed else []
    if not known:
        settings = program.settings(store, program.arrays)
        settings.overwrite = True
        return aqz.ZarrStream(settings, plugins)
    if whole or program.on_plate:
        return aqz.ZarrStream.resume(store, plugins=plugins)
    settings = program.settings(store, tuple(one.plan for one in known.values()))
    try:
        return aqz.ZarrStream.resume(store, settings, plugins=plugins)
    except aqz.errors.MemoryBudgetError:  # reading back takes more than recording
        return aqz.ZarrStream.resume(store, plugins=plugins)


def _record(
    program: Program, part: Part, store: Path, known: dict[str, Recorded], stop: Stop
) -> None:
    """Carry out one part."""
    try:
        stream = _opened(program, store, known, whole=part.whole)
    except aqz.AqzError:
        if stop.how == "close":
            raise
        return
    if known:
        _take_up(program, stream, store, known)
    else:
        known.update({one.key: Recorded(one, program.processed) for one in program.arrays})
    try:
        for number, (call, which, size) in enumerate(part.calls):
            if number == part.extend and program.later[:1] and program.later[0].key not in known:
                _extend(program, stream, store, known)
            recorded = list(known.values())[which % len(known)]
            _do(stream, recorded, call, size, program)
            if call == "flush":
                for one in known.values():
                    one.promise()
    except aqz.AqzError:
        if stop.how == "close" or stop.done <= stop.after:
            raise
    if stop.how == "kill":
        stop.kill()
    try:
        stream.close()
    except aqz.AqzError:
        assert stop.how != "close"
        return
    assert stop.how != "kill"
    for one in known.values():
        one.promise()


def _extend(
    program: Program, stream: aqz.ZarrStream, store: Path, known: dict[str, Recorded]
) -> None:
    """Add the later arrays."""
    plans = (*(one.plan for one in known.values()), *program.later)
    settings = program.settings(store, plans)
    settings.max_memory = None
    with contextlib.suppress(aqz.errors.MemoryBudgetError, aqz.errors.SettingsError):
        stream.extend(settings)
        known.update({one.key: Recorded(one, program.processed) for one in program.later})


def _do(
    stream: aqz.ZarrStream, recorded: Recorded, call: str, size: float, program: Program
) -> None:
    """Make one call, if there is room for it."""
    key, position = recorded.plan.key, recorded.position
    room = recorded.limit - position
    note = {"made": recorded.made + 1} if program.metadata else None
    if call == "flush":
        stream.flush()
    elif call == "flush one":
        stream.flush(key)
        recorded.promise()
    elif call == "attributes":
        value = recorded.made
        recorded.attributes.add(value)
        stream.write_custom_metadata({"mine": value}, key)
        recorded.attributes = {value}
    elif call == "skip":
        count = 1 + int(5 * size)
        if room >= count:
            recorded.position += count
            stream.skip_frames(count, key)
    elif call in ("write", "replace", "fill"):
        _write(stream, recorded, call, size, note)
    elif call == "append" and room:
        frame = recorded.frame()
        recorded.take(position, frame)
        stream.append(frame, key, note)
    elif call in ("stack", "run") and room >= 2:
        frames = np.stack([recorded.frame() for _ in range(min(room, 2 + int(3 * size)))])
        for number, frame in enumerate(frames, position):
            recorded.take(number, frame)
        flat = frames.ravel()
        cut = int(size * flat.size)
        parts = [frames] if call == "stack" else [flat[:cut], flat[cut:]]
        for pixels in parts:
            if pixels.size:
                stream.append(pixels, key)
    elif call in ("begin and skip", "skip and end") and room:
        frame = recorded.frame()
        flat = frame.ravel()
        cut = max(1, int(size * (flat.size - 1)))
        begun, rest = flat[:cut].copy(), flat[cut:].copy()
        (rest if call == "begin and skip" else begun)[:] = recorded.plan.fill_value
        recorded.take(position, np.concatenate([begun, rest]).reshape(frame.shape))
        if call == "begin and skip":
            stream.append(begun, key)
            stream.skip(rest.nbytes, key)
        else:
            stream.skip(begun.nbytes, key)
            stream.append(rest, key)


def _write(
    stream: aqz.ZarrStream, recorded: Recorded, call: str, size: float, note: dict[str, int] | None
) -> None:
    """Write by index: anywhere, over what is there, or into a gap."""
    number = int(size * min(recorded.limit, recorded.position + 6))
    if call == "fill":
        gaps = sorted(set(range(recorded.position)) - set(recorded.versions))
        if not gaps:
            return
        number = gaps[int(size * len(gaps))]
    frame = recorded.frame()
    position, before = recorded.position, list(recorded.versions.get(number, ()))
    recorded.take(number, frame)
    index, may_replace = recorded.index(number), call == "replace"
    try:
        stream.write(frame, index, recorded.plan.key, note, replace=may_replace)
    except aqz.errors.FrameExistsError:
        assert before or number < position, f"frame {number} was never there"
        recorded.versions.pop(number)
        if before:
            recorded.versions[number] = before
    else:
        assert may_replace or not before, f"frame {number} was written over"


# ---- comparing -----------------------------------------------------------------------------------


def _taken(stream: aqz.ZarrStream, key: str) -> int:
    """Return the number of the next frame of one array."""
    return stream._session._arrays[key].frames


def _take_up(
    program: Program, stream: aqz.ZarrStream, store: Path, known: dict[str, Recorded]
) -> None:
    """Compare what a resumed stream took up with the model, and let the model do the same."""
    for key, one in known.items():
        if key not in stream.array_keys:
            assert not one.versions or not one.reached, f"{key}: an array is lost"
            raise AssertionError(f"{key} is not resumed")
        written = _listed(program, store, one)
        frames = _taken(stream, key)
        last = max(written, default=-1)
        assert last < frames <= one.position, f"{key}: {frames}, {last=}, {one.position=}"
        if _is_live(program, one):
            assert frames >= one.reached, f"{key}: {frames} frames, {one.reached} were promised"
        one.position = frames
        one.versions = written
        one.certain = set(written)
        one.reached = frames


def _assert_listed(program: Program, store: Path, known: dict[str, Recorded]) -> None:
    """See that the store shows nothing wrong."""
    for one in known.values():
        _listed(program, store, one)


def _is_live(program: Program, one: Recorded) -> bool:
    """Return whether what is flushed can be read."""
    is_v2 = program.options["version"] is aqz.ZarrVersion.V2
    return program.options["live"] or is_v2 or one.plan.axes[0].shard is None


def _listed(program: Program, store: Path, one: Recorded) -> dict[int, list[np.ndarray]]:
    """Return the frames that are listed, as they are stored; they must be right, and all there."""
    found = list_frames(store, one.plan.key)
    numbers = {one.router.number(index) for index in found.written}
    unknown = numbers - set(one.versions)
    assert not unknown, f"{one.plan.key}: frames {unknown} were not recorded"
    if _is_live(program, one):
        lost = one.certain - numbers
        assert not lost, f"{one.plan.key}: lost frames {lost}"
    level = read(store, level_keys(one.plan)[0])
    planes = level.transpose([one.plan.stored_axes.index(axis) for axis in one.plan.axes])
    stored = {}
    for number in sorted(numbers):
        versions = one.versions[number]
        index = tuple(one.index(number).values())
        dark = any((frame == one.plan.fill_value).all() for frame in versions)
        if any(at >= size for at, size in zip(index, planes.shape, strict=False)):
            assert dark, f"{one.plan.key}: frame {number} is listed and not there"
            plane = np.full_like(versions[-1], one.plan.fill_value)
        else:
            plane = planes[index]
        right = np.logical_or.reduce([plane == frame for frame in versions])
        if dark:
            right |= plane == one.plan.fill_value
        assert right.all(), f"{one.plan.key}: frame {number} is wrong"
        stored[number] = [np.ascontiguousarray(plane)]
    return stored


def _assert_whole(
    program: Program, store: Path, known: dict[str, Recorded], readers: list[str]
) -> None:
    """Compare every level of every array with the frames that were recorded."""
    for key, one in known.items():
        levels = list(zip(level_keys(one.plan), one.expected(), strict=True))
        for reader in readers:
            for level, wanted in levels:
                stored = read(store, level, reader)
                assert_level_equal(stored, wanted, one.plan.method)
        found = list_frames(store, key)
        numbers = {one.router.number(index) for index in found.written}
        assert numbers == set(one.versions), f"{key}: {numbers} listed, not {set(one.versions)}"
        node = zarr.open(str(store / key if key else store), mode="r")
        assert node.attrs.get("mine") in one.attributes
    report = validate_store(store)
    assert report.is_valid, report.findings
    assert report.state == "complete"


def read(store: Path, key: str, reader: str = "zarr-python") -> np.ndarray:
    """Read an array whole."""
    is_there = any((store / key / name).exists() for name in ("zarr.json", ".zarray"))
    if not (is_there and (key or not (store / ".zgroup").exists())):
        key = "0"  # a V2 array at the root is an image
    return DECODERS[reader](store, key)
