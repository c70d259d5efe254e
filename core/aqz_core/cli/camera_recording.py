"""What ``aqz demo`` and ``aqz record`` have in common: frames of a camera into a store."""

from __future__ import annotations

import logging
import math
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aqz_core.cli.cameras import CameraError
from aqz_core.cli.progress import RecordingProgress
from aqz_core.cli.wording import write_bytes, write_shape
from aqz_core.errors import SettingsError, StorageError
from aqz_core.open_stream import open_stream
from aqz_core.recording.process import exit_on_sigterm
from aqz_core.settings.array import Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from aqz_core.cli.cameras import Camera
    from aqz_core.errors import AqzError
    from aqz_core.events import StreamStatistics
    from aqz_core.settings.compression import CompressionName
    from aqz_core.settings.s3 import S3Settings
    from aqz_core.stream import ZarrStream

__all__ = ["CameraRecording", "StoreChoices", "present", "record_camera"]

HIGHEST_RATIO = 20
"""Bytes of a camera's pixels for each byte stored: more than any codec reaches."""

COLORS = (
    Channel(name="Red", color="FF0000"),
    Channel(name="Green", color="00FF00"),
    Channel(name="Blue", color="0000FF"),
)

_log = logging.getLogger("aqz")


@dataclass(frozen=True, slots=True)
class StoreChoices:
    """How frames are to be stored.

    Attributes
    ----------
    output
        Path or URL of the store.
    folder
        A folder on its disk; None if it is none of this machine's.
    codec
        One of the names of `COMPRESSION_NAMES`.
    pyramid
        Whether smaller versions are stored, too.
    checksum
        Whether every chunk carries a checksum.
    overwrite
        Whether a store at `output` is replaced.
    keep_free
        Bytes of the disk that stay free.
    spill, s3
        See `StreamSettings`.
    """

    output: Path | str
    folder: Path | None
    codec: CompressionName
    pyramid: bool
    overwrite: bool
    keep_free: int = 0
    checksum: bool = False
    spill: Path | None = None
    s3: S3Settings | None = None


@dataclass(frozen=True, slots=True)
class CameraRecording:
    """How a recording went; the store is finished whatever ended it.

    Attributes
    ----------
    statistics
        Of the stream, at its end.
    seconds
        From the first frame to the finished store.
    interrupted
        Whether Ctrl+C ended it.
    failure
        What ended it early, if something did: the camera failed, or the disk is as full as it may
        be.
    """

    statistics: StreamStatistics
    seconds: float
    interrupted: bool
    failure: AqzError | None


def present(console: Console, camera: Camera, hint: str = "") -> None:
    """Say which camera is recorded."""
    console.print(
        f"camera: {camera.name}, {write_shape(camera.shape)} {camera.dtype}"
        f"{' colour' if camera.components > 1 else ''}{hint}",
        markup=False,
        soft_wrap=True,
    )


def record_camera(
    camera: Camera,
    frames: int | None,
    choices: StoreChoices,
    console: Console,
    on_frame: Callable[[NDArray[Any]], None] | None = None,
    *,
    interval_s: float | None = None,
    timed: bool = False,
) -> CameraRecording:
    """Record frames and show the progress.

    Parameters
    ----------
    camera
        Where frames come from.
    frames
        How many; None until something ends it.
    choices
        Where they go, and how.
    console
        Shows the progress.
    on_frame
        Called with each frame that was taken.
    interval_s
        Time from one frame to the next, seconds, if it is known.
    timed
        Whether the table of frames shall say when each was taken.

    Raises
    ------
    AqzError
        The store failed, or has too little room.
    SystemExit
        SIGTERM or SIGHUP ended it; the store is finished.
    """
    if choices.folder is not None and frames is not None:
        _check_room(camera, frames, choices, choices.folder)
    failure: AqzError | None = None
    ending: SystemExit | None = None
    interrupted, begun = False, time.monotonic()
    with (
        exit_on_sigterm(),
        _opened(camera, choices, interval_s) as stream,
        RecordingProgress(console, frames, choices.folder) as progress,
    ):
        try:
            for frame in camera.frames(frames):
                elapsed = {"elapsed_ms": round(1000 * (time.monotonic() - begun), 3)}
                for number, plane in enumerate(frame if frame.ndim > 2 else (frame,)):
                    stream.append(plane, metadata=elapsed if timed and not number else None)
                if on_frame is not None:
                    on_frame(frame)
                if progress.is_due():
                    progress.show(_statistics(stream, camera))
        except KeyboardInterrupt:
            interrupted = True
        except SystemExit as error:  # SIGTERM or SIGHUP
            ending = error
        except (CameraError, StorageError) as error:
            failure = error  # of a store that failed: closing says what that cost
        progress.show(_statistics(stream, camera), "finishing")
        stream.close()
        statistics = _statistics(stream, camera)
        progress.show(statistics, "recorded")
    if ending is not None:
        raise ending
    seconds = max(1e-9, time.monotonic() - begun)
    return CameraRecording(statistics, seconds, interrupted, failure)


def _statistics(stream: ZarrStream, camera: Camera) -> StreamStatistics:
    """Return how a stream is doing, colour frames counted once."""
    statistics = stream.statistics()
    return replace(statistics, frames=statistics.frames // camera.components)


def _opened(camera: Camera, choices: StoreChoices, interval_s: float | None) -> ZarrStream:
    """Open a stream for any number of the camera's frames."""
    scale: dict[str, float] = {}
    units: dict[str, str] = {}
    if camera.pixel_size_um is not None:
        scale = dict.fromkeys("yx", camera.pixel_size_um)
        units = dict.fromkeys("yx", "micrometer")
    if interval_s:
        scale["t"], units["t"] = interval_s, "second"
    colors = COLORS if camera.components > 1 else ()
    return open_stream(
        choices.output,
        shape=(0, *((len(colors),) if colors else ()), *camera.shape),
        dtype=camera.dtype,
        axes="tcyx" if colors else "tyx",
        channels=colors,
        compression=choices.codec,
        pyramid="mean" if choices.pyramid else None,
        checksum=choices.checksum,
        scale=scale,
        units=units,
        overwrite=choices.overwrite,
        s3=choices.s3,
        spill=choices.spill,
        keep_free=choices.keep_free,
    )


def _check_room(camera: Camera, frames: int, choices: StoreChoices, folder: Path) -> None:
    """Refuse a recording that cannot fit the disk; say of one that may not.

    Raises
    ------
    SettingsError
        It is too large, as it is or, where it is compressed, by a factor that no codec reaches with
        a camera's noise.
    """
    nbytes = math.prod(camera.shape) * camera.components * camera.dtype.itemsize * frames
    if choices.pyramid:
        nbytes += nbytes // 3
    room = shutil.disk_usage(folder).free - choices.keep_free
    text = (
        f"{frames} frames are {write_bytes(nbytes)} before compression, and the disk of {folder} "
        f"has {write_bytes(max(0, room))} for them"
    )
    kept = f" (--keep-free {write_bytes(choices.keep_free)})" if choices.keep_free else ""
    most = 1 if choices.codec == "none" else HIGHEST_RATIO
    if nbytes > most * max(0, room):
        raise SettingsError(f"{text}{kept}; record fewer, or choose another disk")
    if nbytes > room:
        _log.warning("%s%s: the recording may end early", text, kept)
