"""``aqz record``: record a Micro-Manager camera into a store, as fast as it sends frames."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.cameras import CameraError, demo_camera
from aqz_core.cameras.micromanager import configured_camera
from aqz_core.cli.demo import check_output
from aqz_core.cli.demo_settings import settings_for_demo
from aqz_core.cli.progress import RecordingProgress
from aqz_core.cli.wording import open_console, write_shape
from aqz_core.store_path import local_path, url_scheme
from aqz_core.stream import ZarrStream

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from aqz_core.cameras import MicroManagerCamera

__all__ = ["RecordOptions", "run_record"]


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What the user asked ``aqz record`` for.

    Attributes
    ----------
    config
        Micro-Manager's configuration file; None is the DemoCamera.
    adapters
        Folder of the device adapters; None is that of mm-test-adapters.
    frames
        How many frames to record.
    exposure_ms
        Exposure, milliseconds; None leaves that of the configuration.
    buffer_mb
        Size of the buffer between camera and program, MiB.
    codec
        One of the names of `aqz_core.cli.demo_settings.COMPRESSIONS`.
    pyramid
        Whether smaller versions are stored, too.
    output
        Path or URL of the store.
    overwrite
        Whether a store at `output` is replaced.
    """

    config: Path | None
    adapters: Path | None
    frames: int
    exposure_ms: float | None
    buffer_mb: int
    codec: str
    pyramid: bool
    output: str
    overwrite: bool


def run_record(options: RecordOptions) -> int:
    """Record and report; return the exit code.

    Raises
    ------
    AqzError
        The output exists, or camera or store failed. What was recorded before is stored.
    """
    console = open_console()
    folder = None
    if url_scheme(options.output) in (None, "file"):
        local = local_path(options.output)
        check_output(local, overwrite=options.overwrite)
        folder = local.parent
    camera = _open_camera(options)
    console.print(
        f"camera: {camera.name}, {write_shape(camera.shape)} {camera.dtype}",
        markup=False,
        soft_wrap=True,
    )
    return _record(options, camera, console, folder)


def _open_camera(options: RecordOptions) -> MicroManagerCamera:
    """Return the camera of the configuration, or the DemoCamera."""
    if options.config is None:
        exposure = 10.0 if options.exposure_ms is None else options.exposure_ms
        return demo_camera(exposure_ms=exposure, buffer_mb=options.buffer_mb)
    return configured_camera(
        options.config,
        adapters=options.adapters,
        exposure_ms=options.exposure_ms,
        buffer_mb=options.buffer_mb,
    )


def _record(
    options: RecordOptions, camera: MicroManagerCamera, console: Console, folder: Path | None
) -> int:
    """Record the frames; whatever ends it early, the store is finished with those that came."""
    settings = settings_for_demo(
        options.output,
        shape=camera.shape,
        dtype=camera.dtype,
        pixel_size_um=camera.pixel_size_um,
        codec=options.codec,
        pyramid=options.pyramid,
        overwrite=options.overwrite,
    )
    failure: CameraError | None = None
    code, begun = 0, time.monotonic()
    with (
        ZarrStream(settings) as stream,
        RecordingProgress(console, options.frames, folder) as progress,
    ):
        try:
            for frame in camera.frames(options.frames):
                stream.append(frame)
                if progress.is_due():
                    progress.show(stream.statistics())
        except KeyboardInterrupt:
            code = 130
        except CameraError as error:
            failure = error
        progress.show(stream.statistics(), "finishing")
        stream.close()
        progress.show(stream.statistics(), "recorded")
        statistics = stream.statistics()
    seconds = max(1e-9, time.monotonic() - begun)
    how = "interrupted; " if code else ""
    console.print(
        f"{how}{statistics.frames} of {options.frames} frames are in {options.output}: "
        f"{statistics.frames / seconds:.0f} frames/s, "
        f"{statistics.bytes_in / 1e6 / seconds:.0f} MB/s of pixels, none dropped",
        markup=False,
        soft_wrap=True,
    )
    if failure is not None:
        raise failure
    return code
