"""``aqz demo``: record a camera, read the recording back, and say what came of it."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from aqz_core.cli.camera_recording import StoreChoices, present, record_camera
from aqz_core.cli.cameras import SimulatedCamera, demo_camera
from aqz_core.cli.cameras.micromanager import INSTALL, is_installed
from aqz_core.cli.destinations import local_output
from aqz_core.cli.display import lasting_console
from aqz_core.cli.store_tree import read_tree
from aqz_core.cli.verification import Verification, checksum, verify_recording
from aqz_core.cli.wording import write_bytes, write_codecs, write_shape
from aqz_core.errors import SettingsError
from aqz_core.settings.location import is_local

if TYPE_CHECKING:
    from rich.console import Console

    from aqz_core.cli.cameras import Camera
    from aqz_core.reading.stored_array import StoredArray
    from aqz_core.settings.compression import CompressionName

__all__ = ["DemoOptions", "run_demo"]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the user asked ``aqz demo`` for.

    Attributes
    ----------
    frames
        How many frames to record.
    shape
        Size of a frame, ``(Y, X)`` pixels.
    codec
        One of the names of `COMPRESSION_NAMES`.
    pyramid
        Whether smaller versions are stored, too.
    output
        Path of the store.
    camera
        ``"auto"``, ``"micromanager"`` or ``"simulated"``.
    overwrite
        Whether a store at `output` is replaced.
    keep_free
        Bytes of the disk that stay free.
    """

    frames: int
    shape: tuple[int, int]
    codec: CompressionName
    pyramid: bool
    output: str
    camera: str
    overwrite: bool
    keep_free: int = 0


def run_demo(options: DemoOptions) -> int:
    """Record, verify and report; return the exit code.

    Raises
    ------
    AqzError
        The output exists, or camera, recording or verification failed.
    """
    if not is_local(options.output):
        raise SettingsError(
            f"{options.output} is not on this machine, where aqz demo reads its recording back; "
            "give a path, or record to it with aqz record"
        )
    found = local_output(options.output, overwrite=options.overwrite)
    given = Path(options.output)  # the words that the user knows, where they are a path
    output = given if given.absolute() == found else found
    with lasting_console() as console:
        return _demonstrate(options, output, console)


def _demonstrate(options: DemoOptions, output: Path, console: Console) -> int:
    """Record into a directory that can be made, and report."""
    camera = _open_camera(options, console)
    checksums: list[int] = []
    choices = StoreChoices(
        output,
        output.absolute().parent,
        options.codec,
        options.pyramid,
        options.overwrite,
        options.keep_free,
    )
    done = record_camera(
        camera, options.frames, choices, console, lambda frame: checksums.append(checksum(frame))
    )
    if done.failure is not None:
        raise done.failure
    if done.interrupted:
        console.print(f"\ninterrupted; {len(checksums)} frames are in {output}", markup=False)
        return 130
    root = read_tree(output)
    levels = [
        _Level(output / node.path, node.array, node.nbytes)
        for node in root.walk()
        if node.array is not None
    ]
    with console.status("reading back and comparing"):
        verification = verify_recording([level.path for level in levels], checksums)
    _report(console, output, levels, verification, done.seconds)
    return 0


def _open_camera(options: DemoOptions, console: Console) -> Camera:
    """Return the camera that was asked for, and say which one it is."""
    camera: Camera
    if options.camera == "simulated" or (options.camera == "auto" and not is_installed()):
        camera = SimulatedCamera(options.shape)
    else:
        camera = demo_camera(options.shape)
    hint = ""
    if options.camera == "auto" and not is_installed():
        hint = f"; for a Micro-Manager camera: {INSTALL}"
    present(console, camera, hint)
    return camera


class _Level(NamedTuple):
    """One array of the recording: where it is, what it is, and its bytes on disk."""

    path: Path
    array: StoredArray
    nbytes: int


def _title(output: Path, levels: list[_Level]) -> str:
    """Return what is said above the table."""
    array = levels[0].array
    return escape(f"written to {output}: {array.dtype}, codec {write_codecs(array)}")


def _report(
    console: Console,
    output: Path,
    levels: list[_Level],
    verification: Verification,
    seconds: float,
) -> None:
    """Print what was written, how it was verified, and how to open it."""
    table = Table(
        title=_title(output, levels),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for heading in ("array", "shape", "chunks", "shards"):
        table.add_column(heading)
    for heading in ("stored", "ratio"):
        table.add_column(heading, justify="right")
    raw_bytes = []
    for path, array, nbytes in levels:
        raw_bytes.append(array.dtype.itemsize * math.prod(array.shape))
        table.add_row(
            path.name,
            write_shape(array.shape),
            write_shape(array.chunk_shape),
            write_shape(array.shard_shape),
            write_bytes(nbytes),
            f"{raw_bytes[-1] / max(1, nbytes):.2f}",
        )
    console.print(table)
    frames, rate = verification.frames, raw_bytes[0] / 1e6 / max(seconds, 1e-9)
    console.print(
        f"recorded {frames} frames in {seconds:.2f} s: {frames / max(seconds, 1e-9):.0f} frames/s, "
        f"{rate:.0f} MB/s of pixels",
        soft_wrap=True,
    )
    also = ""
    if verification.reduced_planes:
        also = f"; {verification.reduced_planes} planes of the pyramid are right as well"
    console.print(
        f"verified: {frames} frames read back with {verification.reader}, "
        f"each equal to what the camera gave (crc32c of its pixels){also}",
        soft_wrap=True,
    )
    store, array_path = shlex.quote(str(output)), str(levels[0].path)
    console.print(
        "open it:\n"
        f"  aqz info {store}\n"
        f"  napari --plugin napari-ome-zarr {store}    (needs napari and napari-ome-zarr)\n"
        f'  python -c "import zarr; print(zarr.open_array({array_path!r})[-1])"    (needs zarr)',
        markup=False,
        soft_wrap=True,
    )
