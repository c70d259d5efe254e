"""``aqz record``: record a Micro-Manager camera into a store, as fast as it sends frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aqz_core.cli.camera_recording import StoreChoices, present, record_camera
from aqz_core.cli.cameras import demo_camera
from aqz_core.cli.cameras.micromanager import configured_camera
from aqz_core.cli.destinations import check_lasting, local_output
from aqz_core.cli.display import lasting_console
from aqz_core.cli.json_output import print_json
from aqz_core.errors import SettingsError
from aqz_core.planning.memory import machine_nbytes
from aqz_core.settings.location import is_local
from aqz_core.settings.paths import local_path, without_password

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from aqz_core.cli.camera_recording import CameraRecording
    from aqz_core.cli.cameras import MicroManagerCamera
    from aqz_core.settings.compression import CompressionName
    from aqz_core.settings.s3 import S3Settings

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
        One of the names of `COMPRESSION_NAMES`.
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
    keep_free
        Bytes of the disk that stay free.
    checksum
        Whether every chunk carries a checksum.
    as_json
        Whether standard output gets one JSON document, and standard error the rest.
    """

    config: Path | None
    adapters: Path | None
    frames: int | None
    exposure_ms: float | None
    buffer_mb: int
    codec: CompressionName
    pyramid: bool
    output: str
    overwrite: bool
    spill: Path | None = None
    s3: S3Settings | None = None
    keep_free: int = 0
    checksum: bool = False
    as_json: bool = False


def run_record(options: RecordOptions) -> int:
    """Record and report; return the exit code.

    Raises
    ------
    AqzError
        The output exists, or camera or store failed. What was recorded before is stored.
    """
    check_lasting(options.output)
    folder = None
    if is_local(options.output):
        folder = local_output(options.output, overwrite=options.overwrite).parent
        if options.spill is not None:
            raise SettingsError(
                f"--spill {options.spill} is for object stores, but {options.output} is on this "
                "machine; leave it out"
            )
    _check_buffer(options.buffer_mb)
    with lasting_console(errors=options.as_json) as console:
        return _record(options, folder, console)


def _check_buffer(mebibytes: int) -> None:
    """Refuse a buffer that the machine has no memory for: it would end this program, or others."""
    memory = machine_nbytes()
    if memory is not None and mebibytes << 20 > memory * 3 // 4:
        raise SettingsError(
            f"--buffer {mebibytes} is too much for a machine with {memory >> 20} MiB of memory; "
            f"give {memory * 3 // 4 >> 20} at most"
        )


def _record(options: RecordOptions, folder: Path | None, console: Console) -> int:
    """Record into a store that can be made, and report."""
    camera = _open_camera(options)
    present(console, camera)
    choices = StoreChoices(
        options.output if folder is None else str(local_path(options.output)),
        folder,
        options.codec,
        options.pyramid,
        options.overwrite,
        options.keep_free,
        checksum=options.checksum,
        spill=options.spill,
        s3=options.s3,
    )
    done = record_camera(
        camera, options.frames, choices, console, interval_s=camera.exposure_ms / 1000, timed=True
    )
    shown = without_password(options.output)
    if options.as_json:
        _print_document(options, done, shown)
    else:
        _report(options, done, shown, console)
    if done.failure is not None:
        raise done.failure
    return 130 if done.interrupted and options.frames is not None else 0


def _report(options: RecordOptions, done: CameraRecording, shown: str, console: Console) -> None:
    """Say what was recorded."""
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


def _print_document(options: RecordOptions, done: CameraRecording, shown: str) -> None:
    """Print what was recorded as JSON."""
    print_json(
        {
            "store": shown,
            "frames": done.statistics.frames,
            "frames_asked": options.frames,
            "seconds": done.seconds,
            "bytes_in": done.statistics.bytes_in,
            "bytes_written": done.statistics.bytes_written,
            "interrupted": done.interrupted,
            "spill": str(options.spill) if done.statistics.spilled else None,
            "failure": None if done.failure is None else str(done.failure),
        }
    )


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
