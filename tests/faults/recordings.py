"""Recordings that meet a fault, and what can be said of the store afterwards."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import numpy as np

import aqz_core as aqz
from aqz_core.errors import StorageError
from tests.faults.faulty_sink import Faults, faulty_plugin
from tests.support.frames import encoded_frames

__all__ = ["FRAMES", "Meeting", "goes_on", "pixels", "record_into", "right_frames"]

FRAMES = 24
SHAPE = (32, 48)
GIVE_UP_SECONDS = 60.0


@dataclass
class Meeting:
    """What came of a recording that met a fault."""

    appended: int
    flushed: int
    error: BaseException | None
    close_error: BaseException | None
    seconds: float


def pixels(count: int = FRAMES) -> np.ndarray:
    """Return the frames of every recording here, shape (count, Y, X)."""
    return encoded_frames(range(count), *SHAPE, "uint16")


def settings(path: str, *, pyramid: bool = False, **options: object) -> aqz.StreamSettings:
    """Return settings with half-full chunks, several shards and, if asked, a pyramid."""
    sizes = {"t": (0, 2, 2), "y": (SHAPE[0], 16, 2), "x": (SHAPE[1], 16, 3)}
    array = aqz.ArraySettings(
        output_key="img",
        data_type=np.uint16,
        is_ngff=True,
        downsampling_method=aqz.DownsamplingMethod.MEAN if pyramid else None,
        dimensions=[
            aqz.Dimension(
                name=name,
                kind=aqz.DimensionType.TIME if name == "t" else aqz.DimensionType.SPACE,
                array_size_px=size,
                chunk_size_px=chunk,
                shard_size_chunks=shard,
            )
            for name, (size, chunk, shard) in sizes.items()
        ],
    )
    return aqz.StreamSettings(store_path=path, arrays=[array], max_threads=2, **options)  # type: ignore[arg-type]


def record_into(
    store: Path, faults: Faults, *, pyramid: bool = False, **options: object
) -> Meeting:
    """Record, with a flush now and then, until everything is appended or an error comes."""
    stream = aqz.ZarrStream(
        settings(f"faulty://{store}", pyramid=pyramid, **options), [faulty_plugin(faults)]
    )
    met = Meeting(0, 0, None, None, 0.0)
    told = None
    try:
        for number, frame in enumerate(pixels()):
            stream.append(frame)
            met.appended = number + 1
            if met.appended % 5 == 0:
                stream.flush()
                met.flushed = met.appended
        deadline = monotonic() + 1.0  # the threads behind may still meet it
        while faults.struck is not None and monotonic() < deadline:
            stream.flush()
            sleep(0.01)
    except StorageError as error:
        met.error, told = error, monotonic()
    try:
        stream.close()
    except StorageError as error:
        met.close_error = error
        told = told or monotonic()
    if faults.struck is not None and told is not None:
        met.seconds = told - faults.struck
    return met


def right_frames(store: Path) -> int:
    """Return how many frames at the beginning read as recorded; none may read as another."""
    try:
        reader = aqz.ZarrArrayReader(store / "img" / "0")
    except StorageError:
        return 0
    wanted = pixels()
    right, before = 0, True
    for number in range(min(FRAMES, reader.shape[0])):
        try:
            plane = reader.read_plane(number)
        except StorageError:
            before = False
            continue
        if np.array_equal(plane, wanted[number]):
            right += before
        else:
            before = False
            assert np.isin(plane[plane != wanted[number]], [0]).all(), f"frame {number} is wrong"
    return right


def goes_on(store: Path) -> int:
    """Resume at a store, record what is missing, and compare all of it; return where it began."""
    try:
        stream = aqz.ZarrStream.resume(store)
    except FileNotFoundError as error:
        raise AssertionError(f"{store} is gone") from error
    first = stream.statistics().frames
    with stream:
        for frame in pixels()[first:]:
            stream.append(frame)
    read = aqz.ZarrArrayReader(store / "img" / "0").read()
    np.testing.assert_array_equal(read, pixels())
    return first


def is_full(error: BaseException | None) -> bool:
    """Return whether an error says that the disk is full."""
    return getattr(error, "errno", None) == errno.ENOSPC
