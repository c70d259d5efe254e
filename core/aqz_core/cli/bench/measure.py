"""Will this disk, with this codec, hold that camera? Measured with the engine itself.

For each codec a stream is recorded twice: once as fast as it goes, which tells what can be
sustained, and once at the camera's pace, which tells what a camera would feel. One store exists
at a time, in a folder of its own that is removed in any case.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from aqz_core.cli.bench.load import CameraLoad, deliver, make_ring
from aqz_core.errors import SettingsError, StorageError
from aqz_core.open_stream import open_stream
from aqz_core.planning.stream import worker_count

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from aqz_core.open_stream import Method
    from aqz_core.settings.compression import CompressionName

__all__ = ["Answer", "CodecTrial", "Run", "Verdict", "judge", "measure"]

SPARE_NBYTES = 1 << 30
"""Free space that is left alone."""

COMFORTABLE = 1.3
"""Headroom from which on the answer is a plain yes: disks slow down when they fill or get warm."""

BUSY = 0.75
"""Part of what there is, or of what the disk has shown, from which on it counts as used up."""

LONGEST_WAIT = 0.5
"""Seconds of frames that a camera's buffer may be asked to hold in a plain yes."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One recording.

    Attributes
    ----------
    frames
        How many were recorded.
    bytes_in
        Bytes of their pixels.
    bytes_stored
        Bytes of the store's files.
    seconds
        From the first frame until everything was stored for good.
    cpu_seconds
        Processor time meanwhile, of all threads.
    latencies
        Seconds of each `append`, shape (frames,).
    backlog
        The most frames that had to wait in the camera's buffer.
    """

    frames: int
    bytes_in: int
    bytes_stored: int
    seconds: float
    cpu_seconds: float
    latencies: npt.NDArray[np.float64]
    backlog: int

    @property
    def bytes_per_second(self) -> float:
        """Pixels recorded a second."""
        return self.bytes_in / self.seconds

    @property
    def stored_per_second(self) -> float:
        """Bytes that reached the store a second."""
        return self.bytes_stored / self.seconds

    @property
    def ratio(self) -> float:
        """Bytes of pixels for each byte stored."""
        return self.bytes_in / max(1, self.bytes_stored)

    @property
    def cpu_seconds_per_gb(self) -> float:
        """Processor seconds for a GB of pixels."""
        return self.cpu_seconds / (self.bytes_in / 1e9)

    @property
    def cores(self) -> float:
        """Processor cores that were busy on average."""
        return self.cpu_seconds / self.seconds

    def latency(self, quantile: float) -> float:
        """Return the seconds of `append` that this part of the calls did not exceed."""
        return float(np.quantile(self.latencies, quantile, method="higher"))

    def as_dict(self) -> dict[str, float]:
        """Return the figures as JSON types, in bytes and seconds."""
        return {
            "frames": self.frames,
            "bytes_in": self.bytes_in,
            "bytes_stored": self.bytes_stored,
            "seconds": self.seconds,
            "bytes_per_second": self.bytes_per_second,
            "ratio": self.ratio,
            "cpu_seconds_per_gb": self.cpu_seconds_per_gb,
            "append_p50": self.latency(0.5),
            "append_p99": self.latency(0.99),
            "append_max": self.latency(1),
            "backlog": self.backlog,
        }


@dataclass(frozen=True, slots=True, eq=False)
class CodecTrial:
    """What was measured with one codec.

    Attributes
    ----------
    codec
        Its name, as for `open_stream`.
    sustained
        The recording as fast as it went.
    paced
        The recording at the camera's pace.
    """

    codec: str
    sustained: Run
    paced: Run

    def headroom(self, camera: CameraLoad) -> float:
        """Return how many such cameras could be recorded."""
        return self.sustained.bytes_per_second / camera.bytes_per_second


Answer = Literal["yes", "only just", "no"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one codec.

    Attributes
    ----------
    codec
        Its name.
    answer
        Whether it holds the camera.
    headroom
        How many such cameras could be recorded.
    text
        The answer in a sentence or two, with what to change.
    """

    codec: str
    answer: Answer
    headroom: float
    text: str


def measure(
    folder: Path,
    camera: CameraLoad,
    codecs: Sequence[str],
    *,
    seconds: float = 5.0,
    pyramid: Method | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Generator[CodecTrial]:
    """Record with each codec and yield what was measured.

    Parameters
    ----------
    folder
        A folder on the disk in question. A folder inside of it takes the recordings, one at a
        time, and is removed at the end, also when the iterator is closed or an error comes.
    camera
        What to record.
    codecs
        Names, as for `open_stream`.
    seconds
        Length of each recording.
    pyramid
        As for `open_stream`.
    tell
        Told in a few words what is being done.

    Raises
    ------
    SettingsError
        There is not enough room.
    StorageError
        The folder is none, or cannot be written.
    """
    _check_folder(folder)
    check_room(folder, camera, seconds)
    tell("making frames")
    ring = make_ring(camera)
    try:
        own = Path(tempfile.mkdtemp(prefix="aqz-bench-", dir=folder))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error
    try:
        for codec in codecs:
            tell(f"{codec}: as fast as it goes")
            sustained = _record(own, camera, ring, codec, seconds, None, pyramid)
            tell(f"{codec}: at {camera.fps:g} frames/s")
            paced = _record(own, camera, ring, codec, seconds, camera.fps, pyramid)
            yield CodecTrial(codec, sustained, paced)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _check_folder(folder: Path) -> None:
    """Raise unless there is a folder."""
    if not folder.is_dir():
        raise StorageError(f"{folder} is not a folder; name one on the disk that you record to")


def check_room(folder: Path, camera: CameraLoad, seconds: float) -> None:
    """Raise unless a recording at the camera's pace fits, whatever the codec.

    Raises
    ------
    SettingsError
        It does not; the message says how long it may be.
    """
    room = _room(folder)
    needed = camera.bytes_per_second * seconds * 4 / 3  # with a pyramid
    if needed > room:
        fits = room / needed * seconds
        has = f"room for {room / 1e9:.1f} GB" if room >= 5e7 else "no room"
        shorter = f"choose --seconds below {fits:.1f}" if fits >= 0.1 else "name another disk"
        raise SettingsError(
            f"{folder} has {has} (1 GB is left free), but {seconds:g} s of {camera} take up to "
            f"{needed / 1e9:.1f} GB. Free some space, or {shorter}."
        )


def _room(folder: Path) -> int:
    """Return the bytes that may be used."""
    return max(0, shutil.disk_usage(folder).free - SPARE_NBYTES)


def _record(
    folder: Path,
    camera: CameraLoad,
    ring: npt.NDArray[Any],
    codec: str,
    seconds: float,
    fps: float | None,
    pyramid: Method | None,
) -> Run:
    """Record once, remove the store, and return the figures."""
    store = folder / "camera.ome.zarr"
    most_frames = max(1, int(_room(folder) * 3 / 4 / camera.frame_nbytes))
    try:
        stream = open_stream(
            store,
            shape=(0, *camera.shape),
            dtype=camera.data_type,
            axes="tyx",
            compression=cast("CompressionName", codec),
            pyramid=pyramid,
        )
        with stream:
            cpu, start = time.process_time(), time.perf_counter()
            delivery = deliver(
                stream.append, ring, seconds=seconds, fps=fps, most_frames=most_frames
            )
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        stored = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    finally:
        shutil.rmtree(store, ignore_errors=True)
    return Run(
        frames=delivery.frames,
        bytes_in=delivery.frames * camera.frame_nbytes,
        bytes_stored=stored,
        seconds=wall,
        cpu_seconds=cpu,
        latencies=delivery.latencies,
        backlog=delivery.backlog,
    )


def judge(camera: CameraLoad, trials: Sequence[CodecTrial]) -> tuple[Verdict, ...]:
    """Say for each codec whether it holds the camera, and if not, what to change."""
    return tuple(_judged(camera, trial, trials) for trial in trials)


def _judged(camera: CameraLoad, trial: CodecTrial, trials: Sequence[CodecTrial]) -> Verdict:
    """Judge one codec, knowing the others."""
    headroom = trial.headroom(camera)
    waited = trial.paced.backlog
    if headroom < 1:
        fps = trial.sustained.bytes_per_second / camera.frame_nbytes
        text = (
            f"no: it sustains {trial.sustained.bytes_per_second / 1e6:.0f} MB/s of the "
            f"{camera.bytes_per_second / 1e6:.0f} MB/s that the camera sends, that is "
            f"{fps:.4g} of {camera.fps:g} frames/s. {_remedy(camera, trial, trials)}"
        )
        return Verdict(trial.codec, "no", headroom, text)
    fold = f"{headroom:.2f}-fold headroom"
    if headroom < COMFORTABLE:
        text = (
            f"only just: {fold}. A disk that gets full or warm, or another program, may be too "
            f"much. {_remedy(camera, trial, trials)}"
        )
        return Verdict(trial.codec, "only just", headroom, text)
    if waited > camera.fps * LONGEST_WAIT:
        text = (
            f"only just: {fold}, but up to {waited} frames had to wait. Give the camera a buffer "
            f"of more than {waited} frames ({waited * camera.frame_nbytes / 1e6:.0f} MB), or "
            "find out what else uses the disk."
        )
        return Verdict(trial.codec, "only just", headroom, text)
    buffer = f" A buffer of {waited} frames is enough." if waited > 1 else ""
    return Verdict(trial.codec, "yes", headroom, f"yes, with {fold}.{buffer}")


def _remedy(camera: CameraLoad, trial: CodecTrial, trials: Sequence[CodecTrial]) -> str:
    """Say what to change for more headroom."""
    others = [other for other in trials if other.headroom(camera) >= COMFORTABLE]
    if others:
        smallest = max(others, key=lambda other: other.sustained.ratio)
        return f"Use {smallest.codec}, which has {smallest.headroom(camera):.2f}-fold headroom."
    cores, busy = worker_count(0), trial.sustained.cores
    if busy > BUSY * cores:
        lighter = "" if trial.codec == "none" else "a lighter codec, "
        return (
            f"The processor is the limit ({busy:.1f} of {cores} cores busy): use {lighter}fewer "
            "or smaller frames, or more cores."
        )
    fastest = max(other.sustained.stored_per_second for other in trials)
    if trial.sustained.stored_per_second > BUSY * fastest:
        denser = "a codec, " if trial.codec == "none" and len(trials) == 1 else ""
        return (
            f"The disk is the limit (it took {trial.sustained.stored_per_second / 1e6:.0f} MB/s): "
            f"use {denser}a faster disk, or fewer or smaller frames."
        )
    return (
        f"Neither the disk nor the recording's own work explains it ({busy:.1f} of {cores} cores "
        "busy with it): other programs seem to use the machine; measure again without them."
    )
