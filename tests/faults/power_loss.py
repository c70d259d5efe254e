"""Recording on a disk that loses power: every cut of the trace, and what must have survived it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import aqz_core as aqz
from aqz_core.errors import StorageError
from aqz_core.reading.array_reader import ZarrArrayReader
from aqz_core.recovery import repair_store
from tests.faults.traced_disk import (
    Choose,
    TracedDisk,
    drop_all,
    keep_all,
    keep_any,
    write_to_directory,
)
from tests.support.frames import encoded_frames

__all__ = ["Losses", "Scenario", "lose_power_everywhere", "record_traced"]


@dataclass(frozen=True)
class Scenario:
    """What is recorded: frames (1, Y, X), how they are cut, and when `flush` is called."""

    frames: int = 12
    shape: tuple[int, int] = (32, 32)
    chunks: tuple[int, int, int] = (1, 16, 16)
    shards: tuple[int, int, int] = (4, 2, 2)
    compression: str = "none"
    flushes: tuple[int, ...] = (3, 7)
    durability: str = "shard"
    live: bool = True

    def settings(self) -> aqz.StreamSettings:
        """Return the settings of the stream."""
        names = ("t", "y", "x")
        kinds = (aqz.DimensionType.TIME, aqz.DimensionType.SPACE, aqz.DimensionType.SPACE)
        sizes = (0, *self.shape)
        cut = zip(names, kinds, sizes, self.chunks, self.shards, strict=True)
        codec = aqz.PluginCompression(self.compression) if self.compression != "none" else None
        array = aqz.ArraySettings(
            output_key="img",
            data_type=np.uint16,
            compression=codec,
            dimensions=[
                aqz.Dimension(
                    name=name,
                    kind=kind,
                    array_size_px=size,
                    chunk_size_px=chunk,
                    shard_size_chunks=shard,
                )
                for name, kind, size, chunk, shard in cut
            ],
        )
        return aqz.StreamSettings(
            store_path="traced://",
            arrays=[array],
            durability=self.durability,  # type: ignore[arg-type]
            live=self.live,
            max_threads=2,
        )

    def pixels(self) -> np.ndarray:
        """Return every frame, shape (frames, Y, X)."""
        return encoded_frames(range(self.frames), *self.shape, "uint16")


@dataclass
class Losses:
    """What came of losing power."""

    cuts: int = 0
    states: int = 0
    promised: int = 0
    lost: list[str] = field(default_factory=list)
    needed_repair: int = 0
    at_risk: Counter[str] = field(default_factory=Counter)


def record_traced(scenario: Scenario) -> tuple[TracedDisk, list[tuple[int, int]]]:
    """Record a scenario; return the disk, and (events, frames) at each promise that was made."""
    disk = TracedDisk()
    provider = aqz.SinkProvider(schemes=("traced",), open=lambda url, settings: disk)

    class Plugin:
        @aqz.hookimpl
        def aqz_sinks(self) -> list[aqz.SinkProvider]:
            return [provider]

    promises = []
    pixels = scenario.pixels()
    with aqz.ZarrStream(scenario.settings(), [Plugin()]) as stream:
        for number, frame in enumerate(pixels):
            stream.append(frame)
            if number + 1 in scenario.flushes:
                stream.flush()
                promises.append((len(disk.events), number + 1))
    promises.append((len(disk.events), scenario.frames))
    return disk, promises


def lose_power_everywhere(
    scenario: Scenario, directory: Path, seeds: Iterable[int] = range(2), step: int = 1
) -> Losses:
    """Cut the trace of a recording everywhere, and look for what was promised before the cut."""
    disk, promises = record_traced(scenario)
    pixels = scenario.pixels()
    losses = Losses()
    for cut in range(0, len(disk.events) + 1, step):
        losses.cuts += 1
        promised = max((frames for events, frames in promises if events <= cut), default=0)
        ways: list[tuple[str, Choose]] = [("drop all", drop_all), ("keep all", keep_all)]
        ways += [(f"seed {seed}", keep_any(seed * 1_000_003 + cut)) for seed in seeds]
        for way, choose in ways:
            store = directory / "store"
            shutil.rmtree(store, ignore_errors=True)
            store.mkdir()
            write_to_directory(disk.after_loss_of_power(cut, choose), store)
            _judge(store, pixels, promised, f"cut {cut}, {way}", losses)
    return losses


def _judge(store: Path, pixels: np.ndarray, promised: int, where: str, losses: Losses) -> None:
    """Repair a store and compare what was promised."""
    losses.states += 1
    losses.promised += promised
    if promised and _right_frames(store, pixels, promised) < promised:
        losses.needed_repair += 1
    repair_store(store, apply=True)
    right = _right_frames(store, pixels, promised)
    if right < promised:
        losses.lost.append(f"{where}: {promised - right} of {promised} promised frames")
    repair_store(store, apply=True)  # must find nothing that stops it


def _right_frames(store: Path, pixels: np.ndarray, promised: int) -> int:
    """Return how many of the promised frames read as they were recorded."""
    try:
        reader = ZarrArrayReader(store / "img")
    except StorageError:
        return 0
    right = 0
    for number in range(min(promised, reader.shape[0])):
        try:
            right += bool(np.array_equal(reader.read_plane(number), pixels[number]))
        except StorageError:
            continue
    return right
