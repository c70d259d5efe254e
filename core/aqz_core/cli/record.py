"""``aqz record``: record a Micro-Manager camera into a store, as fast as it sends frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.cameras import demo_camera
from aqz_core.cameras.micromanager import configured_camera
from aqz_core.cli.camera_recording import StoreChoices, present, record_camera
from aqz_core.cli.demo import check_output
from aqz_core.cli.destinations import check_lasting
from aqz_core.cli.wording import open_console
from aqz_core.errors import SettingsError
from aqz_core.store_path import is_local, local_path, without_password

if TYPE_CHECKING:
    from pathlib import Path

    from aqz_core.cameras import MicroManagerCamera
    from aqz_core.settings import S3Settings

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
        How many frames to record; None goes on until Ctrl+C, SIGTERM or SIGHUP.
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
    spill
        Folder to go on in when an object store fails, if there is one.
    s3
        How to reach a bucket, where the URL does not say all.
    """

    config: Path | None
    adapters: Path | None
    frames: int | None
    exposure_ms: float | None
    buffer_mb: int
    codec: str
    pyramid: bool
    output: str
    overwrite: bool
    spill: Path | None = None
    s3: S3Settings | None = None


def run_record(options: RecordOptions) -> int:
    """Record and report; return the exit code.

    Raises
    ------
    AqzError
        The output exists, or camera or store failed. What was recorded before is stored.
    """
    console = open_console()
    check_lasting(options.output)
    folder = None
    if is_local(options.output):
        local = local_path(options.output)
        check_output(local, overwrite=options.overwrite)
        folder = local.parent
        if options.spill is not None:
            raise SettingsError(
                f"--spill {options.spill} is for object stores, but {options.output} is on this "
                "machine; leave it out"
            )
    camera = _open_camera(options)
    present(console, camera)
    choices = StoreChoices(
        options.output,
        folder,
        options.codec,
        options.pyramid,
        options.overwrite,
        spill=options.spill,
        s3=options.s3,
    )
    done = record_camera(
        camera, options.frames, choices, console, interval_s=camera.exposure_ms / 1000, timed=True
    )
    shown = without_password(options.output)
    how = "interrupted; " if done.interrupted and options.frames is not None else ""
    asked = "" if options.frames is None else f" of {options.frames}"
    console.print(
        f"{how}{done.statistics.frames}{asked} frames are in {shown}: "
        f"{done.statistics.frames / done.seconds:.0f} frames/s, "
        f"{done.statistics.bytes_in / 1e6 / done.seconds:.0f} MB/s of pixels, none dropped",
        markup=False,
        soft_wrap=True,
    )
    if done.statistics.spilled:
        console.print(
            f"{shown} failed on the way; what it lacks is in {options.spill}. To send it: "
            f"aqz upload {options.spill}",
            markup=False,
            soft_wrap=True,
        )
    if done.failure is not None:
        raise done.failure
    return 130 if done.interrupted and options.frames is not None else 0


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
