"""What ``aqz demo`` and ``aqz record`` have in common: frames of a camera into a store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aqz_core.cameras import CameraError
from aqz_core.cli.demo_settings import settings_for_demo
from aqz_core.cli.progress import RecordingProgress
from aqz_core.cli.wording import write_shape
from aqz_core.stream import ZarrStream
from aqz_core.termination import exit_on_sigterm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from rich.console import Console

    from aqz_core.cameras import Camera
    from aqz_core.events import StreamStatistics
    from aqz_core.settings import S3Settings

__all__ = ["CameraRecording", "StoreChoices", "present", "record_camera"]


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
        One of the names of `aqz_core.cli.demo_settings.COMPRESSIONS`.
    pyramid
        Whether smaller versions are stored, too.
    overwrite
        Whether a store at `output` is replaced.
    spill, s3
        See `StreamSettings`.
    """

    output: Path | str
    folder: Path | None
    codec: str
    pyramid: bool
    overwrite: bool
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
        What the camera failed with, if it did.
    """

    statistics: StreamStatistics
    seconds: float
    interrupted: bool
    failure: CameraError | None


def present(console: Console, camera: Camera, hint: str = "") -> None:
    """Say which camera is recorded."""
    console.print(
        f"camera: {camera.name}, {write_shape(camera.shape)} {camera.dtype}{hint}",
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
        The store failed.
    SystemExit
        SIGTERM ended it; the store is finished.
    """
    settings = settings_for_demo(
        choices.output,
        shape=camera.shape,
        dtype=camera.dtype,
        pixel_size_um=camera.pixel_size_um,
        codec=choices.codec,
        pyramid=choices.pyramid,
        overwrite=choices.overwrite,
    )
    if interval_s:
        settings.arrays[0].dimensions[0].scale = interval_s
        settings.arrays[0].dimensions[0].unit = "second"
    settings.s3 = choices.s3
    settings.spill = None if choices.spill is None else str(choices.spill)
    failure: CameraError | None = None
    interrupted, begun = False, time.monotonic()
    with (
        exit_on_sigterm(),
        ZarrStream(settings) as stream,
        RecordingProgress(console, frames, choices.folder) as progress,
    ):
        try:
            for frame in camera.frames(frames):
                elapsed = {"elapsed_ms": round(1000 * (time.monotonic() - begun), 3)}
                stream.append(frame, metadata=elapsed if timed else None)
                if on_frame is not None:
                    on_frame(frame)
                if progress.is_due():
                    progress.show(stream.statistics())
        except KeyboardInterrupt:
            interrupted = True
        except CameraError as error:
            failure = error
        progress.show(stream.statistics(), "finishing")
        stream.close()
        progress.show(stream.statistics(), "recorded")
        statistics = stream.statistics()
    seconds = max(1e-9, time.monotonic() - begun)
    return CameraRecording(statistics, seconds, interrupted, failure)
